"""Parsing the engine's answers and refusals."""

from dataclasses import replace
from typing import Any

import pytest

from neurogrid_marketplace.offer import MAX_IMAGES
from neurogrid_node.container.errors import (
    CommandFailed,
    ContainerGone,
    EngineConflict,
    EngineError,
    EngineRefused,
    connection_advice,
    engine_answer,
)
from neurogrid_node.container.exits import ExitBoard
from neurogrid_node.container.job_engine import Abilities
from neurogrid_node.container.outcome import Exit
from neurogrid_node.container.probe import judge, judge_gpus
from neurogrid_node.container.spec import ContainerSpec, ImageInfo, RenderNode
from neurogrid_node.container.usage import Usage, add_sample
from neurogrid_node.container.views import (
    ContainerState,
    LeaseContainer,
    container_view,
    engine_info,
    forsaken_containers,
    image_info,
    image_names,
    lease_containers,
)

ABLE = Abilities(
    gpus=True, freeze=True, links=True, hard_disk=True, usage=True, oom=True, logins=True
)


def test_an_image_pulled_and_one_built_here() -> None:
    pulled = {
        "Id": "sha256:1",
        "Size": 5,
        "RepoDigests": ["r/x@sha256:2"],
        "Config": {"Env": ["PATH=/bin", "A=b=c"], "Volumes": {"/v": {}}},
    }
    assert image_info("x", pulled) == ImageInfo(
        "x", "sha256:1", "sha256:2", 5, ("A", "PATH"), ("/v",)
    )
    assert image_info("x", {"Id": "sha256:1", "Config": None}) == ImageInfo(
        "x", "sha256:1", None, 0
    )


def inspected(status: str, **state: Any) -> dict[str, Any]:
    return {
        "Id": "c",
        "Image": "sha256:1",
        "Config": {"Labels": {"io.neurogrid.lease": "l"}},
        "State": {"Status": status, "Pid": 7, **state},
    }


def test_a_running_container_has_not_ended() -> None:
    view = container_view(inspected("running"))
    assert (view.state, view.lease_id, view.pid) == (ContainerState.RUNNING, "l", 7)
    assert view.ended is None


def test_an_ended_container() -> None:
    view = container_view(
        inspected(
            "exited",
            ExitCode=137,
            OOMKilled=True,
            StartedAt="1970-01-01T00:00:01Z",
            FinishedAt="1970-01-01T00:00:03Z",
        )
    )
    assert view.ended == Exit("c", 137, True, 1_000_000_000, 3_000_000_000)


def test_a_container_with_our_label_and_another_name_is_not_ours() -> None:
    def entry(name: str, lease_id: str) -> dict[str, Any]:
        labels = {"io.neurogrid.lease": lease_id}
        return {"Id": "c" + lease_id, "Names": [name], "Labels": labels, "State": "exited"}

    found = [entry("/neurogrid-b", "b"), entry("/evil", "a"), entry("/neurogrid-x", "y")]
    assert lease_containers(found) == (LeaseContainer("b", "cb", ContainerState.EXITED),)


def test_an_engine_that_cannot_limit_says_so() -> None:
    info = engine_info(
        {
            "Warnings": ["WARNING: No swap limit support", "WARNING: bridge-nf-call-iptables"],
            "SecurityOptions": ["name=apparmor"],
            "LiveRestoreEnabled": True,
        }
    )
    assert info.unenforced == (
        "WARNING: No swap limit support",
        "the engine or kernel has no seccomp",
    )
    assert info.advice == ()
    assert info.job_runtimes == ()


def test_images_are_named_as_an_offer_can_name_them() -> None:
    found = [
        {"Created": 1, "RepoTags": ["old:1"], "RepoDigests": None},
        {"Created": 3, "RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]},
        {"Created": 2, "RepoTags": ["new:1", "Bad Name"], "RepoDigests": ["new@sha256:ab"]},
        {"Created": 2, "RepoTags": ["new:1"]},
    ]
    assert image_names(found) == ("new:1", "new@sha256:ab", "old:1")
    many = [{"RepoTags": [f"image:{number}" for number in range(MAX_IMAGES + 1)]}]
    assert len(image_names(many)) == MAX_IMAGES


def test_jobs_run_in_the_engines_default_runtime_whatever_else_it_has() -> None:
    info = engine_info({"Runtimes": {"runc": {}, "runsc": {}}, "DefaultRuntime": "runc"})
    assert info.runtimes == ("runc", "runsc")
    assert info.job_runtimes == ("runc",)


@pytest.mark.parametrize(
    ("status", "words", "kind", "code"),
    [
        (404, "No such container: x", ContainerGone, "container_gone"),
        (409, "is not running", EngineConflict, "engine_conflict"),
        (500, "Container x is not paused", EngineConflict, "engine_conflict"),
        (
            500,
            "Cannot unpause container x: cannot resume a running process: unknown",
            EngineConflict,
            "engine_conflict",
        ),
        (
            400,
            'OCI runtime create failed: exec: "x": executable file not found in $PATH: unknown',
            CommandFailed,
            "command_not_found",
        ),
        (
            400,
            'failed to create task: exec: "/etc": permission denied',
            CommandFailed,
            "command_not_executable",
        ),
        (
            500,
            'could not select device driver "nvidia" with capabilities: [[gpu]]',
            EngineRefused,
            "gpu_runtime_missing",
        ),
        (500, "mkdir: no space left on device", EngineRefused, "engine_disk_full"),
        (
            400,
            "invalid mount config: bind source path does not exist: /x",
            EngineRefused,
            "workspace_not_visible",
        ),
        (500, "boom", EngineRefused, "engine_refused"),
    ],
)
def test_refusals(status: int, words: str, kind: type[EngineError], code: str) -> None:
    error = engine_answer(status, words)
    assert type(error) is kind
    assert error.code == code
    assert words in str(error)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("Permission denied", "usermod"),
        ("No such file or directory", "apt-get install"),
        ("Connection refused", "systemctl start"),
    ],
)
def test_what_to_do_about_an_engine_that_cannot_be_reached(words: str, advice: str) -> None:
    assert advice in connection_advice(words)


def statistics(usage: int, cache: dict[str, int], cpu_ns: int, pids: int) -> dict[str, Any]:
    return {
        "memory_stats": {"usage": usage, "stats": cache},
        "cpu_stats": {"cpu_usage": {"total_usage": cpu_ns}},
        "pids_stats": {"current": pids},
    }


def test_usage_keeps_its_peaks_and_leaves_out_file_cache() -> None:
    first = add_sample(Usage(), statistics(100, {"total_inactive_file": 40}, 7, 5))
    assert first == Usage(7, 60, 60, 5, 5)
    second = add_sample(first, statistics(30, {"inactive_file": 50}, 6, 2))
    assert second == Usage(7, 0, 60, 2, 5)


def test_usage_counts_what_devices_moved_as_far_as_the_kernel_does() -> None:
    told = statistics(100, {}, 7, 5)
    assert add_sample(Usage(), told | {"blkio_stats": {"io_service_bytes_recursive": None}}) == (
        Usage(7, 100, 100, 5, 5)
    )
    moved = [
        {"major": 8, "minor": 0, "op": "read", "value": 3},
        {"major": 8, "minor": 0, "op": "Write", "value": 4},
        {"major": 9, "minor": 0, "op": "Read", "value": 5},
        {"major": 9, "minor": 0, "op": "Total", "value": 99},
    ]
    sample = add_sample(Usage(), told | {"blkio_stats": {"io_service_bytes_recursive": moved}})
    assert sample is not None
    assert (sample.disk_read_bytes, sample.disk_written_bytes) == (8, 4)


def test_a_container_that_has_ended_uses_nothing() -> None:
    assert add_sample(Usage(), {"memory_stats": {}, "cpu_stats": {}}) is None


def event(action: str, at_ns: int, **attributes: str) -> dict[str, Any]:
    return {"id": "c", "Action": action, "timeNano": at_ns, "Actor": {"Attributes": attributes}}


async def test_a_clean_end_is_known_from_the_events_alone() -> None:
    board = ExitBoard()
    board.record(event("start", 5))
    assert board.clean_exit("c") is None
    board.record(event("die", 9, exitCode="0"))
    assert board.clean_exit("c") == Exit("c", 0, False, 5, 9)
    board.forget("c")
    assert board.clean_exit("c") is None


async def test_any_other_end_has_to_be_looked_up() -> None:
    board = ExitBoard()
    with board.waiting("c") as waiter:
        board.record(event("start", 5))
        board.record(event("die", 9, exitCode="1"))
        assert waiter.changed.is_set()
    assert board.clean_exit("c") is None


async def test_an_end_whose_start_was_not_seen_has_to_be_looked_up() -> None:
    board = ExitBoard()
    board.record(event("die", 9, exitCode="0"))
    assert board.clean_exit("c") is None


async def test_waiters_learn_that_the_engine_was_away() -> None:
    board = ExitBoard()
    board.connected()
    with board.waiting("c") as waiter:
        assert not waiter.interrupted
        board.disconnected()
        assert waiter.interrupted
        assert waiter.changed.is_set()
    with board.waiting("c") as waiter:
        assert waiter.interrupted


async def test_only_the_kills_that_we_did_not_ask_for_count() -> None:
    board = ExitBoard()
    board.expect_kill("c")
    board.record(event("kill", 1, signal="9"))
    assert not board.was_killed("c")
    board.record(event("kill", 1, signal="15") | {"id": "d"})
    assert board.was_killed("d")
    board.forget("d")
    assert not board.was_killed("d")
    board.expect_kill("neurogrid-l")
    board.record(event("kill", 1, signal="9", name="neurogrid-l") | {"id": "e"})
    assert not board.was_killed("e")


async def test_no_number_of_containers_fills_the_memory() -> None:
    board = ExitBoard()
    for number in range(5000):
        board.record({"id": str(number), "Action": "start", "timeNano": 1})
        board.record(
            {"id": str(number), "Action": "die", "Actor": {"Attributes": {"exitCode": "0"}}}
        )
    assert board.clean_exit("0") is None
    assert board.clean_exit("4999") is not None


def test_a_probe_is_judged_fact_by_fact() -> None:
    spec = ContainerSpec(
        "l", "n", ImageInfo("x", "sha256:1", None, 0), None, (), 1000, 128 << 20, 32, 0
    )
    good = {
        "uid": 65534,
        "capabilities": 0,
        "no_new_privileges": "1",
        "seccomp": "2",
        "interfaces": ["lo"],
        "write_root": "EROFS",
        "user_namespace": "EPERM",
        "engine_socket": False,
        "memory_max": str(128 << 20),
        "pids_max": "32",
    }
    assert judge(good, spec, ABLE) == ()
    for name in good:
        assert len(judge(good | {name: ["other"]}, spec, ABLE)) == 1, name
    assert len(judge({}, spec, ABLE)) == len(good)
    # What an engine leaves to its machines is looked at elsewhere.
    fleet = replace(ABLE, own_network=False, own_pids=False)
    assert judge(good | {"interfaces": ["eth0", "lo"], "pids_max": "max"}, spec, fleet) == ()


NONE: dict[str, object] = {
    "gpus": [],
    "cuda": -1,
    "gpu_nodes": [],
    "render_nodes": [],
    "opens_render_nodes": True,
}
UUID = "GPU-0a0b0c0d-1111-2222-3333-444444444444"
DIGITS = "0a0b0c0d111122223333444444444444"
HAS_IT: dict[str, object] = {"gpus": [DIGITS], "cuda": 0, "gpu_nodes": ["nvidia0"]}


def given(*uuids: str, nodes: tuple[RenderNode, ...] = ()) -> ContainerSpec:
    image = ImageInfo("x", "sha256:1", None, 0)
    return ContainerSpec(
        *("l", "n", image, None, (), 1000, 128 << 20, 32, 0), gpu_uuids=uuids, render_nodes=nodes
    )


@pytest.mark.parametrize(
    ("spec", "facts", "failures"),
    [
        (given(), {}, 0),
        (given(UUID), HAS_IT, 0),
        # A part's digits are its own; two parts of one GPU share its node.
        (given(UUID.replace("GPU", "MIG")), HAS_IT, 0),
        (given(f"MIG-{UUID}/1/0"), HAS_IT, 0),
        (given(UUID), {}, 1),
        (given(UUID), HAS_IT | {"cuda": 100, "gpus": []}, 1),
        (given(UUID), HAS_IT | {"gpus": ["ff" * 16]}, 2),
        (given(UUID), HAS_IT | {"gpu_nodes": ["nvidia0", "nvidia1"]}, 1),
        # A runtime that gives all of them to everybody.
        (given(), HAS_IT, 2),
        (given(nodes=(RenderNode("AMD-1", 128),)), {"render_nodes": ["renderD128"]}, 0),
        (given(nodes=(RenderNode("AMD-1", 128),)), {}, 1),
        (
            given(nodes=(RenderNode("AMD-1", 128),)),
            {"render_nodes": ["renderD128", "renderD129"]},
            1,
        ),
        (
            given(nodes=(RenderNode("AMD-1", 128),)),
            {"render_nodes": ["renderD128"], "opens_render_nodes": False},
            1,
        ),
        (given(), {"render_nodes": ["renderD128"]}, 1),
    ],
)
def test_a_container_has_exactly_the_gpus_that_it_was_given(
    spec: ContainerSpec, facts: dict[str, object], failures: int
) -> None:
    assert len(judge_gpus(NONE | facts, spec)) == failures


def test_forsaken_is_what_has_our_name_and_label_and_is_old() -> None:
    ours = {"Id": "a", "Created": 9, "Labels": {"io.neurogrid.lease": "probe-1"}}
    ours["Names"] = ["/neurogrid-probe-1"]
    others = (
        ours | {"Created": 10},
        ours | {"Names": ["/somebodys"]},
        ours | {"Names": None},
        ours | {"Labels": None},
    )
    assert forsaken_containers([ours, *others], 10) == ("a",)
