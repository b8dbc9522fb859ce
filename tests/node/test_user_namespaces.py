"""Whom an engine that remaps users takes root for, and what follows for the node."""

import os

import pytest

from neurogrid_node.container.errors import EngineUnavailable
from neurogrid_node.container.user_namespaces import (
    ROOT,
    RootIds,
    judge_ids,
    obstacle,
    on_host,
    remapped_root,
)
from neurogrid_node.container.views import engine_info
from neurogrid_node.engines import check_engine
from neurogrid_node.settings.machine import EngineConfig

MAPPED = (165536, 231072)
INFO = {
    "SecurityOptions": ["name=seccomp,profile=default", "name=userns"],
    "DockerRootDir": "/var/lib/docker/165536.231072",
    "DefaultRuntime": "runc",
    "LiveRestoreEnabled": True,
}


@pytest.mark.parametrize(
    ("data_root", "root"),
    [
        ("/var/lib/docker/165536.165536", (165536, 165536)),
        ("/srv/docker/165536.231072/", MAPPED),
        ("/var/lib/docker", None),
        ("/var/lib/docker/20.10", (20, 10)),
        ("/var/lib/docker/165536.165536/more", None),
        ("/var/lib/docker/0.0", None),
        ("", None),
    ],
)
def test_where_an_engine_keeps_its_files_tells_whom_root_is(data_root: str, root: RootIds) -> None:
    assert remapped_root(data_root) == root


def test_only_an_engine_that_says_so_remaps() -> None:
    info = engine_info(INFO)
    assert (info.root_ids, info.offered) == (MAPPED, ("runc", "userns"))
    info = engine_info(INFO | {"SecurityOptions": ["name=seccomp"]})
    assert (info.root_ids, info.offered) == (ROOT, ("runc",))


def test_whom_the_machine_takes_a_jobs_user_for() -> None:
    assert on_host("65534:65534", MAPPED) == (231070, 296606)
    assert on_host("1000:100", ROOT) == (1000, 100)


@pytest.mark.parametrize(
    ("root", "uid_map", "gid_map", "failures"),
    [
        (ROOT, "0 0 4294967295", "0 0 4294967295", 0),
        (MAPPED, "         0     165536      65536", "         0     231072      65536", 0),
        # Not remapped, to somebody else, without nobody, in two pieces.
        (MAPPED, "0 0 4294967295", "0 231072 65536", 1),
        (MAPPED, "0 165537 65536", "0 231072 65536", 1),
        (MAPPED, "0 165536 65534", "0 231072 65536", 1),
        (MAPPED, "1 165536 65536", "0 231072 x", 2),
        (MAPPED, None, "", 2),
    ],
)
def test_a_container_has_to_see_what_the_engine_says(
    root: RootIds, uid_map: object, gid_map: object, failures: int
) -> None:
    assert len(judge_ids({"uid_map": uid_map, "gid_map": gid_map}, root)) == failures


def test_a_probe_that_is_older_than_the_node_says_what_to_do() -> None:
    (only,) = judge_ids({}, MAPPED)
    assert "make images" in only


def test_what_keeps_jobs_from_their_files() -> None:
    assert obstacle(ROOT, is_node_root=False) == obstacle(MAPPED, is_node_root=True) == ""
    assert "not root" in obstacle(MAPPED, is_node_root=False)
    assert "does not tell" in obstacle(None, is_node_root=True)


def test_an_engine_is_used_as_its_owner_wants_or_not_at_all() -> None:
    required = EngineConfig(user_namespaces="required")
    plain = engine_info(INFO | {"SecurityOptions": ["name=seccomp"]})
    check_engine(plain, EngineConfig())
    with pytest.raises(EngineUnavailable, match=r"user_namespaces.*daemon\.json"):
        check_engine(plain, required)
    with pytest.raises(EngineUnavailable, match=r"does not tell.*docs/runtimes\.md"):
        check_engine(engine_info(INFO | {"DockerRootDir": "/var/lib/docker"}), EngineConfig())
    if os.geteuid() == 0:
        check_engine(engine_info(INFO), required)
    else:
        with pytest.raises(EngineUnavailable, match="not root"):
            check_engine(engine_info(INFO), required)
