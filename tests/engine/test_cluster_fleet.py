"""Which machines of a cluster are offered: each is tried, and says what it lacks."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from click.testing import CliRunner

from engine.bench import PATIENCE_S, PYTHON_IMAGE
from engine.kube_machine import image_digest
from engine.own_cluster import IMAGES, OwnCluster
from engine.own_dockerd import OwnDockerd, network_pid, own_dockerd
from neurogrid_marketplace.resources import Capacity
from neurogrid_node.__main__ import main
from neurogrid_node.files.workspace import Workspaces
from neurogrid_node.fleet.fleet import Fleet

pytestmark = pytest.mark.engine

MOST = Capacity(0, 0, 1 << 30)
_LISTEN = (
    "import socket, sys\n"
    "door = socket.create_server(('127.0.0.1', 10250))\n"
    "print('up', flush=True)\n"
    "sys.stdin.read()"
)


@contextmanager
def kubelets_port() -> Iterator[None]:
    """Somebody listens where a machine's kubelet does, in the network of the tests' engines."""
    command = ["nsenter", f"--net=/proc/{network_pid()}/ns/net", "python3", "-c", _LISTEN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as listener:
        assert listener.stdin is not None
        assert listener.stdout is not None
        assert listener.stdout.readline() == b"up\n"
        yield
        listener.stdin.close()


def with_a_volume(dockerd: OwnDockerd) -> str:
    """The tests' Python image, as one that declares a volume."""
    made = dockerd.docker("create", PYTHON_IMAGE).strip()
    changed = dockerd.docker("commit", "--change", "VOLUME /data", made)
    dockerd.docker("rm", made)
    return changed.strip()


async def test_only_a_machine_that_holds_jobs_as_it_should_is_offered(
    cluster: OwnCluster, tmp_path: Path
) -> None:
    with (
        TemporaryDirectory(prefix="ng-") as folder,
        own_dockerd(Path(folder) / "o") as dockerd,
        kubelets_port(),
    ):
        dockerd.take_images(*IMAGES)
        oak = cluster.add_machine("oak", dockerd, obeys_policies=False, pids=4096)
        name = f"docker.io/neurogrid/python@{image_digest(oak.images[f'docker.io/{PYTHON_IMAGE}'])}"
        oak.images[name] = with_a_volume(dockerd)
        elm = cluster.add_machine("elm", dockerd, has_filter=False)
        try:
            async with cluster.connect("fleet-test") as engine:
                workspaces = await Workspaces.open(cluster.shared / tmp_path.name, may_mount=False)
                fleet = Fleet(engine, workspaces, PYTHON_IMAGE, MOST, tmp_path)
                with trio.fail_after(PATIENCE_S):
                    offered, line = await fleet.look()
                assert set(offered) == {"ash"}, (tmp_path / "fleet.json").read_text()
                assert offered["ash"] == Capacity(8000, 16 << 30, 1 << 30)
                assert "2 not offered" in line
                assert await engine.list_leases() == ()
                assert await workspaces.list() == ()

                shown = CliRunner().invoke(main, ["fleet", "--data", str(tmp_path), "--json"])
                problems = {
                    each["machine_id"]: " ".join(each["problems"])
                    for each in json.loads(shown.output)
                }
                assert problems["ash"] == ""
                for words in ("10250", "NetworkPolicy", "podPidsLimit", "/data"):
                    assert words in problems["oak"]
                assert "seccomp" in problems["elm"]

                # One that is cordoned is offered no more, and tried again only when it is another.
                cluster.change_machine("ash", lambda node: node["spec"].update(unschedulable=True))
                assert (await fleet.look())[0] == {}
                cluster.change_machine("ash", lambda node: node["spec"].pop("unschedulable"))
                assert set((await fleet.look())[0]) == {"ash"}
            assert cluster.api.mistakes == []
        finally:
            for machine in (oak, elm):
                cluster.take_away(machine)
