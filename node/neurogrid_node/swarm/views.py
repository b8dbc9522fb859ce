"""What a swarm says of a service, its task and their machine, parsed into what engines say. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from neurogrid_node.container.errors import (
    EngineError,
    ImageNotFound,
    MachineUnavailable,
    engine_answer,
)
from neurogrid_node.container.logs import parse_time_ns
from neurogrid_node.container.outcome import Exit
from neurogrid_node.container.spec import LABEL_LEASE
from neurogrid_node.container.views import ContainerState, ContainerView
from neurogrid_node.swarm.service import (
    LABEL_ENDED,
    LABEL_IMAGE,
    LABEL_STARTED,
    LABEL_STOPPED,
    labels_of,
    replicas,
)

# Of a task's states (swarmkit), those before its process runs.
_BEFORE: Final = frozenset(
    {"new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting"}
)
_OVER: Final = frozenset({"complete", "failed", "shutdown", "rejected", "orphaned", "remove"})
# A task whose container ended by itself; every other failure is the machine's.
_OWN_END: Final = re.compile(r"task: non-zero exit \((\d+)\)")
# How an end is told that nobody knows more of.
UNKNOWN_CODE: Final = -1
# One that the swarm does not hear of any more: what ran there is given up, whatever became of it.
_DOWN: Final = "down"


@dataclass(frozen=True, slots=True)
class Member:
    """A machine of the swarm, as far as a task on it cares.

    Attributes:
        is_down: it has not been heard of.
        version: changes when its engine comes back.
        name: for people.
    """

    is_down: bool
    version: int
    name: str


def member(node: Mapping[str, Any]) -> Member:
    """From one of `GET /nodes`."""
    return Member(
        is_down=node.get("Status", {}).get("State") == _DOWN,
        version=int(node.get("Version", {}).get("Index", 0)),
        name=str(node.get("Description", {}).get("Hostname", "")),
    )


def newest(tasks: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """A service's task: there is one, unless somebody else has told the swarm to make another."""
    return max(tasks, key=lambda task: str(task.get("CreatedAt", "")), default=None)


def is_over(task: Mapping[str, Any]) -> bool:
    """Whether its process has ended, or never will run."""
    return task["Status"]["State"] in _OVER


def job_view(
    service: Mapping[str, Any], task: Mapping[str, Any] | None, machine: Member | None
) -> ContainerView:
    """A job now.

    Args:
        task: its newest; machine: where that is, as far as it has one.
    """
    labels = labels_of(service)
    service_id = str(service["ID"])
    state, ended = ContainerState.CREATED, None
    if task is not None:
        state, ended = _of_task(service_id, labels, task, machine)
    elif LABEL_STOPPED in labels:
        state, ended = ContainerState.EXITED, _told_to_end(service_id, labels)
    elif LABEL_STARTED in labels and replicas(service):
        # It ran, and its task is gone: somebody took its machine out of the swarm.
        words = "its machine has left the swarm"
        state, ended = ContainerState.EXITED, _lost(service_id, labels, 0, words)
    return ContainerView(
        container_id=service_id,
        lease_id=str(labels.get(LABEL_LEASE, "")),
        image_id=str(labels.get(LABEL_IMAGE, "")),
        state=state,
        # It is another machine's.
        pid=0,
        ended=ended,
    )


def _of_task(
    service_id: str, labels: Mapping[str, str], task: Mapping[str, Any], machine: Member | None
) -> tuple[ContainerState, Exit | None]:
    status = task["Status"]
    state, at_ns = str(status["State"]), parse_time_ns(str(status.get("Timestamp", "")))
    was_told = LABEL_STOPPED in labels
    if machine is not None and machine.is_down and state not in ("complete", "failed"):
        words = f"{machine.name} is not heard of"
        return ContainerState.EXITED, _lost(service_id, labels, at_ns, words)
    if state in _BEFORE:
        return ContainerState.CREATED, None
    if state not in _OVER:
        return ContainerState.RUNNING, None
    code = exit_code(task)
    if code == UNKNOWN_CODE or (state not in ("complete", "failed") and not was_told):
        words = str(status.get("Err") or f"the swarm ended it ({state})")
        return ContainerState.EXITED, _lost(service_id, labels, at_ns, words)
    return ContainerState.EXITED, Exit(
        container_id=service_id,
        code=code,
        oom_killed=False,
        started_at_ns=_started_ns(labels, at_ns),
        finished_at_ns=at_ns,
    )


def exit_code(task: Mapping[str, Any]) -> int:
    """How a task that is over ended by itself; `UNKNOWN_CODE` where it did not, or nobody saw it."""
    status = task["Status"]
    own = _OWN_END.search(str(status.get("Err", "")))
    match status["State"]:
        case "complete":
            return 0
        case "failed":
            return int(own[1]) if own is not None else UNKNOWN_CODE
        case "shutdown":
            return int(status.get("ContainerStatus", {}).get("ExitCode", UNKNOWN_CODE))
    return UNKNOWN_CODE


def ended_label(task: Mapping[str, Any]) -> str:
    """What is kept of a task that ended because we told it to."""
    at_ns = parse_time_ns(str(task["Status"].get("Timestamp", "")))
    return f"{exit_code(task)}:{at_ns}"


def start_problem(task: Mapping[str, Any]) -> EngineError | None:
    """Why a task's process did not come to run; None if it did, or still may."""
    status = task["Status"]
    words = str(status.get("Err", ""))
    if status["State"] not in ("failed", "rejected") or _OWN_END.search(words):
        return None
    if "No such image" in words or "not found: manifest" in words:
        return ImageNotFound(f"the machine has no such image and cannot pull it: {words}")
    return engine_answer(500, words)


def waiting_words(task: Mapping[str, Any]) -> str:
    """Why the swarm finds no place for it; "" if it does."""
    status = task["Status"]
    return str(status.get("Err", "")) if status["State"] in ("new", "pending") else ""


def no_place(words: str) -> MachineUnavailable:
    return MachineUnavailable(f"the machine does not take the job: {words}: look at docker node ls")


def _told_to_end(service_id: str, labels: Mapping[str, str]) -> Exit:
    code, _, at_ns = labels.get(LABEL_ENDED, "").partition(":")
    finished_ns = int(at_ns or labels[LABEL_STOPPED])
    return Exit(
        container_id=service_id,
        code=int(code or UNKNOWN_CODE),
        oom_killed=False,
        started_at_ns=_started_ns(labels, finished_ns),
        finished_at_ns=finished_ns,
    )


def _lost(service_id: str, labels: Mapping[str, str], at_ns: int, words: str) -> Exit:
    return Exit(
        container_id=service_id,
        code=UNKNOWN_CODE,
        oom_killed=False,
        started_at_ns=_started_ns(labels, at_ns),
        finished_at_ns=at_ns,
        is_interrupted=True,
        error=words,
    )


def _started_ns(labels: Mapping[str, str], finished_ns: int) -> int:
    """Of one that nobody saw run it is not known, and so nothing is charged."""
    return int(labels.get(LABEL_STARTED, finished_ns))
