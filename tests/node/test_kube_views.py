"""What a cluster says of a pod: whose doing its end was, and what keeps it from its start."""

import json
from typing import Any

import pytest

from neurogrid_marketplace.faults import Outcome
from neurogrid_node.container.errors import (
    ContainerGone,
    EngineConflict,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    ImageNotFound,
    MachineUnavailable,
    PullFailed,
)
from neurogrid_node.container.outcome import Exit, classify
from neurogrid_node.container.views import ContainerState
from neurogrid_node.kube.images import images_by_name
from neurogrid_node.kube.objects import Node, Pod, PodList, Status, WatchEvent, read
from neurogrid_node.kube.views import (
    WatchExpired,
    api_answer,
    gone_exit,
    job_view,
    no_place,
    pull_problem,
    start_problem,
)
from node.kube_shapes import DIGEST, ended, node, pod

NOW_NS = 1_795_946_460 * 10**9
DISRUPTED = [
    {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
    }
]


def exit_of(found: Pod) -> Exit:
    told = job_view(found, NOW_NS).ended
    assert told is not None
    return told


def outcome(found: Pod) -> Outcome:
    return classify(exit_of(found)).outcome


def test_a_pod_that_waits_runs_and_has_ended() -> None:
    gated = job_view(pod("Pending", spec={"schedulingGates": [{"name": "g"}]}), NOW_NS)
    assert (gated.state, gated.lease_id, gated.image_id) == (ContainerState.CREATED, "l", DIGEST)
    creating = pod("Pending", {"waiting": {"reason": "ContainerCreating"}})
    assert job_view(creating, NOW_NS).state is ContainerState.CREATED
    running = pod("Running", {"running": {"startedAt": "2026-11-29T10:00:00Z"}})
    assert job_view(running, NOW_NS).state is ContainerState.RUNNING
    # Its machine has not said the last word: why it ended may still come.
    assert job_view(pod("Running", ended(1)), NOW_NS).ended is None
    told = exit_of(pod("Failed", ended(3)))
    assert (told.code, told.ran_ns, told.is_interrupted) == (3, 12 * 10**9, False)
    assert outcome(pod("Succeeded", ended(0, "Completed"))) is Outcome.COMPLETED


@pytest.mark.parametrize(
    ("found", "whose"),
    [
        (pod("Failed", ended(137, "OOMKilled")), Outcome.MEMORY_EXCEEDED),
        (pod("Failed", ended(137)), Outcome.EXIT_NONZERO),
        # We told it to end: its deadline is how.
        (pod("Failed", ended(137), stopped=True, reason="DeadlineExceeded"), Outcome.EXIT_NONZERO),
        # Nobody told it to: the last fence, for a node that is away.
        (pod("Failed", ended(137), reason="DeadlineExceeded"), Outcome.EXIT_NONZERO),
        (
            pod(
                "Failed",
                ended(137),
                reason="Evicted",
                message="The node was low on resource: memory.",
            ),
            Outcome.ENGINE_LOST,
        ),
        (
            pod(
                "Failed",
                ended(137),
                reason="Evicted",
                message='Container job exceeded its local ephemeral storage limit "128Mi". ',
            ),
            Outcome.EXIT_NONZERO,
        ),
        (
            pod(
                "Failed",
                ended(137),
                reason="Evicted",
                message='Usage of EmptyDir volume "m" exceeds',
            ),
            Outcome.EXIT_NONZERO,
        ),
        (pod("Failed", ended(143), conditions=DISRUPTED), Outcome.ENGINE_LOST),
        (pod("Failed", ended(137), reason="Preempting"), Outcome.ENGINE_LOST),
        (
            pod("Failed", ended(143), reason="Terminated", message="node shutdown"),
            Outcome.ENGINE_LOST,
        ),
        (pod("Failed", ended(255, "Unknown")), Outcome.ENGINE_LOST),
        (pod("Failed", ended(137, "ContainerStatusUnknown")), Outcome.ENGINE_LOST),
        (pod("Failed", reason="NodeLost"), Outcome.ENGINE_LOST),
        # Somebody with kubectl.
        (
            pod("Failed", ended(143), meta={"deletionTimestamp": "2026-11-29T10:00:12Z"}),
            Outcome.ENGINE_LOST,
        ),
        # It was done before anybody did anything.
        (pod("Succeeded", ended(0, "Completed"), conditions=DISRUPTED), Outcome.COMPLETED),
        (
            pod(
                "Failed",
                ended(128, "StartError", 'exec: "/no": stat /no: no such file or directory'),
            ),
            Outcome.COMMAND_NOT_FOUND,
        ),
        (
            pod("Failed", ended(128, "StartError", 'runc: exec: "/etc": permission denied')),
            Outcome.COMMAND_NOT_FOUND,
        ),
        (
            pod("Failed", ended(128, "StartError", 'exec: "/etc": is a directory')),
            Outcome.COMMAND_NOT_FOUND,
        ),
        (pod("Failed", ended(128, "StartError", "cgroup: no such device")), Outcome.ENGINE_LOST),
    ],
)
def test_whose_doing_an_end_was(found: Pod, whose: Outcome) -> None:
    assert outcome(found) is whose


def test_one_whose_machine_is_given_up_is_lost_and_not_charged() -> None:
    deleted = pod(
        "Running",
        {"running": {"startedAt": "2026-11-29T10:00:00Z"}},
        meta={"deletionTimestamp": "2026-11-29T10:00:00Z"},
    )
    deleted_ns = 1_795_946_400 * 10**9
    assert job_view(deleted, deleted_ns + 59 * 10**9).ended is None
    told = job_view(deleted, deleted_ns + 61 * 10**9).ended
    assert told is not None
    assert classify(told).outcome is Outcome.ENGINE_LOST
    assert told.ran_ns == 0


def test_one_that_is_gone_was_somebodys_doing_unless_it_had_ended() -> None:
    running = pod("Running", {"running": {"startedAt": "2026-11-29T10:00:00Z"}})
    told = gone_exit(running, NOW_NS)
    assert told is not None
    assert classify(told).outcome is Outcome.ENGINE_LOST
    assert gone_exit(pod("Pending"), NOW_NS) is None
    done = gone_exit(pod("Succeeded", ended(0, "Completed")), NOW_NS)
    assert done is not None
    assert classify(done).outcome is Outcome.COMPLETED


def test_one_that_was_told_to_end_before_it_began_has() -> None:
    told = exit_of(pod("Pending", spec={"nodeName": ""}, stopped=True))
    assert (told.ran_ns, told.finished_at_ns) == (0, 5 * 10**9)
    # A machine that has it already ends it by itself.
    assert job_view(pod("Pending", stopped=True), NOW_NS).ended is None


@pytest.mark.parametrize(
    ("reason", "message", "kind"),
    [
        ("ErrImagePull", 'failed to pull and unpack image "x": not found', ImageNotFound),
        ("ImagePullBackOff", "pull access denied, repository does not exist", ImageNotFound),
        ("ErrImageNeverPull", "Container image is not present", ImageNotFound),
        ("InvalidImageName", "couldn't parse image reference", ImageNotFound),
        ("CreateContainerError", "cannot load seccomp profile: no such file", EngineRefused),
        ("CreateContainerConfigError", "container has runAsNonRoot", EngineRefused),
        ("CreateContainerError", "write /x: no space left on device", EngineRefused),
    ],
)
def test_why_a_container_will_not_start(reason: str, message: str, kind: type[EngineError]) -> None:
    waits = pod("Pending", {"waiting": {"reason": reason, "message": message}})
    problem = start_problem(waits)
    assert type(problem) is kind
    assert message in str(problem)


def test_what_may_still_pass_is_waited_for() -> None:
    for reason in ("ContainerCreating", "PodInitializing", "SomethingNew"):
        assert start_problem(pod("Pending", {"waiting": {"reason": reason}})) is None
    away = pod("Pending", {"waiting": {"reason": "ErrImagePull", "message": "dial tcp: timeout"}})
    assert start_problem(away) is None
    assert type(pull_problem(away)) is PullFailed
    assert pull_problem(pod("Pending", {"waiting": {"reason": "ContainerCreating"}})) is None


def test_a_machine_that_did_not_take_it_and_one_that_could_not_run_it() -> None:
    refused = start_problem(pod("Failed", reason="OutOfcpu", message="Pod was rejected"))
    assert type(refused) is MachineUnavailable
    broken = start_problem(pod("Failed", ended(128, "StartError", "cgroup: no such device")))
    assert type(broken) is EngineRefused
    # `wait` tells it as an exit code.
    missing = pod("Failed", ended(128, "StartError", "exec: /no: no such file or directory"))
    assert start_problem(missing) is None


def test_a_pod_that_finds_no_place_says_why() -> None:
    def scheduled(status: str, reason: str = "") -> Pod:
        condition = {"type": "PodScheduled", "status": status, "reason": reason, "message": "cpu"}
        return pod("Pending", spec={"nodeName": ""}, conditions=[condition])

    full = no_place(scheduled("False", "Unschedulable"))
    assert type(full) is MachineUnavailable
    assert "cpu" in str(full)
    assert no_place(scheduled("False", "SchedulingGated")) is None
    assert no_place(scheduled("True")) is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (0, EngineUnavailable),
        (400, EngineRefused),
        (401, EngineRefused),
        (403, EngineRefused),
        (404, ContainerGone),
        (409, EngineConflict),
        (410, WatchExpired),
        (422, EngineRefused),
        (429, EngineUnavailable),
        (500, EngineUnavailable),
        (503, EngineUnavailable),
    ],
)
def test_each_refusal_of_the_server(code: int, kind: type[EngineError]) -> None:
    error = api_answer(code, Status(message="words"))
    assert type(error) is kind
    assert "words" in str(error)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Pod, b""),
        (Pod, b"[]"),
        (Pod, b'{"metadata": {"name": 5}}'),
        (Pod, b'{"status": {}}'),
        (Pod, json.dumps({"metadata": {"name": "x" * 300}}).encode()),
        (Pod, json.dumps({"metadata": {}, "status": {"conditions": [{}] * 65}}).encode()),
        (PodList, b'{"items": [null]}'),
        (WatchEvent, b'{"type": "ADDED"}'),
        (Node, b'{"metadata": {}, "status": {"images": [{"sizeBytes": -1}]}}'),
        (Pod, b'{"metadata": ' + b"[" * 100_000),
    ],
)
def test_what_is_none_of_the_published_answers_goes_no_further(kind: Any, body: bytes) -> None:
    with pytest.raises(EngineUnavailable, match="published API"):
        read(kind, body)


def test_what_a_server_leaves_out_or_says_beyond_is_no_matter() -> None:
    assert read(Pod, b'{"metadata": {}, "new": 1}').status.phase == ""
    assert read(PodList, b'{"items": null}').items is None


def test_images_are_known_by_their_digest_alone() -> None:
    other = "sha256:" + "2" * 64

    def having(name: str, *names: str) -> Node:
        return node(name, images=[{"names": list(names), "sizeBytes": 5}])

    found = images_by_name(
        [
            having("ash", f"docker.io/a/b@{DIGEST}", "docker.io/a/b:1"),
            # Built there: nothing else has it.
            having("oak", "docker.io/own:1"),
            having("elm", f"docker.io/a/b@{other}", "docker.io/a/b:1", "not a name!"),
            having("fir", f"docker.io/c/d@{DIGEST}", "docker.io/c/d:2", f"docker.io/e/f@{other}"),
        ]
    )
    # Two machines mean different bytes by a/b:1, so that its registry is asked.
    assert set(found) == {
        f"docker.io/a/b@{DIGEST}",
        f"docker.io/a/b@{other}",
        f"docker.io/c/d@{DIGEST}",
        "docker.io/c/d:2",
        f"docker.io/e/f@{other}",
    }
    assert (found["docker.io/c/d:2"].digest, found["docker.io/c/d:2"].size_bytes) == (DIGEST, 5)
