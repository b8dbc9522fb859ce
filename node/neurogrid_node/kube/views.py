"""What a cluster says of a pod and of a request, parsed into what engines say. Pure."""

import re
from typing import Final

from neurogrid_node.container.errors import (
    CommandFailed,
    ContainerGone,
    EngineConflict,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    ImageNotFound,
    MachineUnavailable,
    PullFailed,
    engine_answer,
)
from neurogrid_node.container.logs import parse_time_ns
from neurogrid_node.container.outcome import Exit
from neurogrid_node.container.spec import LABEL_LEASE
from neurogrid_node.container.views import ContainerState, ContainerView
from neurogrid_node.kube.objects import Condition, Pod, Status, Terminated, Waiting
from neurogrid_node.kube.pod import ANNOTATION_IMAGE, CONTAINER_NAME, LABEL_STOPPED

# How an end is told that nobody knows more of.
UNKNOWN_CODE: Final = -1
# Of a pod that somebody has deleted and whose machine does not say that it has ended, after its grace.
_AWAY_NS: Final = 60 * 1_000_000_000
_OVER: Final = ("Succeeded", "Failed")
# A container whose program could not be run; the words are its runtime's (containerd, CRI-O).
_NEVER_RAN: Final = ("StartError", "ContainerCannotRun")
# One that its machine has found ended after it was away: how, nobody saw.
_NOT_SEEN: Final = ("Unknown", "ContainerStatusUnknown")
# Why the cluster, not the job, ended a pod (kubelet and kube-scheduler; `DisruptionTarget` says it for all).
_BY_CLUSTER: Final = frozenset(
    {
        *("NodeLost", "Shutdown", "Terminated", "NodeShutdown", "Preempting", "NodeAffinity"),
        *("UnexpectedAdmissionError", "OutOfcpu", "OutOfmemory", "OutOfpods"),
        "OutOfephemeral-storage",
    }
)
_EVICTED: Final = "Evicted"
# Evictions for what a pod has done itself (kubelet, eviction manager: localStorageEviction).
_OWN_DOING: Final = re.compile(
    r"\AUsage of EmptyDir volume|\AContainer .* exceeded its local ephemeral storage limit|"
    r"\APod ephemeral local storage usage exceeds the total limit"
)
_NO_SUCH_IMAGE: Final = re.compile(
    r"not ?found|no such image|manifest unknown|name unknown|does not exist|denied|unauthorized|"
    r"authorization failed|forbidden",
    re.IGNORECASE,
)
_IMAGE_REASONS: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable"}
)
_BAD_IMAGE_REASONS: Final = frozenset(
    {"ErrImageNeverPull", "InvalidImageName", "SignatureValidationFailed"}
)
_REFUSED_REASONS: Final = frozenset(
    {
        *("CreateContainerConfigError", "CreateContainerError", "RunContainerError"),
        *("PreCreateHookError", "PreStartHookError", "PostStartHookError"),
        *("CreatePodSandboxError", "ConfigPodSandboxError"),
    }
)


def api_answer(http_status: int, status: Status) -> EngineError:
    """The error behind an API server's answer."""
    words = status.message or status.reason or f"HTTP {http_status}"
    if http_status == 404:
        return ContainerGone(words)
    if http_status == 409:
        return EngineConflict(words)
    if http_status == 410:
        return WatchExpired(words)
    if http_status in (401, 403):
        return EngineRefused(
            f"the cluster does not let this node do that: {words}: compare its Role with "
            "configs/kubernetes (docs/fleet.md)",
            code="not_permitted",
        )
    if http_status < 400 or http_status in (408, 429) or http_status >= 500:
        return EngineUnavailable(f"the cluster's API server answers {http_status}: {words}")
    return EngineRefused(f"the cluster refused (HTTP {http_status}): {words}")


class WatchExpired(EngineError):
    """What happened since then is not kept any more: all is to be listed again."""

    code = "watch_expired"


def terminated(pod: Pod) -> Terminated | None:
    """How its container ended, as far as its machine has said."""
    for status in pod.status.container_statuses or ():
        if status.name == CONTAINER_NAME:
            return status.state.terminated
    return None


def is_running(pod: Pod) -> bool:
    """Whether its process runs."""
    return any(
        status.name == CONTAINER_NAME and status.state.running is not None
        for status in pod.status.container_statuses or ()
    )


def is_bound(pod: Pod) -> bool:
    """Whether it has been given to a machine."""
    return bool(pod.spec.node_name)


def is_told_to_end(pod: Pod) -> bool:
    return LABEL_STOPPED in (pod.metadata.labels or {})


def job_view(pod: Pod, now_ns: int) -> ContainerView:
    """A job now."""
    ended = _ended(pod, now_ns)
    state = ContainerState.CREATED
    if ended is not None:
        state = ContainerState.EXITED
    elif is_running(pod) or terminated(pod) is not None:
        state = ContainerState.RUNNING
    return ContainerView(
        container_id=pod.metadata.name,
        lease_id=(pod.metadata.labels or {}).get(LABEL_LEASE, ""),
        image_id=(pod.metadata.annotations or {}).get(ANNOTATION_IMAGE, ""),
        state=state,
        # It is another machine's.
        pid=0,
        ended=ended,
    )


def _ended(pod: Pod, now_ns: int) -> Exit | None:
    how = terminated(pod)
    if pod.status.phase in _OVER:
        words = _interruption(pod, how)
        if how is None:
            # Evicted or refused before it began.
            return _exit(pod, UNKNOWN_CODE, 0, 0, words or pod.status.reason or "it never began")
        return _exit(pod, _code(how), *_times_ns(how), words)
    deleted_ns = parse_time_ns(pod.metadata.deletion_timestamp or "")
    if deleted_ns and now_ns - deleted_ns > _AWAY_NS:
        # Its machine is not heard of, and the cluster has given it up.
        return _exit(pod, UNKNOWN_CODE, 0, deleted_ns, "its machine is not heard of")
    if is_told_to_end(pod) and not is_bound(pod):
        stopped_ns = _label_ns((pod.metadata.labels or {})[LABEL_STOPPED])
        return _exit(pod, UNKNOWN_CODE, 0, stopped_ns, "")
    return None


def gone_exit(pod: Pod, now_ns: int) -> Exit | None:
    """How a pod has ended that was last seen so and is not there any more, by nobody's doing of ours; None:
    it had not begun.
    """
    if (ended := _ended(pod, now_ns)) is not None:
        return ended
    if not (is_running(pod) or terminated(pod) is not None):
        return None
    return _exit(pod, UNKNOWN_CODE, 0, now_ns, "somebody has deleted its pod, or its machine")


def _exit(pod: Pod, code: int, started_ns: int, finished_ns: int, words: str) -> Exit:
    """``words``: of an interruption; "": there was none."""
    return Exit(
        container_id=pod.metadata.name,
        code=code,
        oom_killed=(how := terminated(pod)) is not None and how.reason == "OOMKilled",
        # Of one that nobody saw run it is not known, and so nothing is charged.
        started_at_ns=started_ns or finished_ns,
        finished_at_ns=finished_ns,
        is_interrupted=bool(words),
        error=words,
    )


def _times_ns(how: Terminated) -> tuple[int, int]:
    return parse_time_ns(how.started_at or ""), parse_time_ns(how.finished_at or "")


def _code(how: Terminated) -> int:
    if how.reason not in _NEVER_RAN:
        return how.exit_code
    # As an init that finds no program says it.
    match _start_error(how):
        case CommandFailed() as error:
            return 126 if error.code == "command_not_executable" else 127
    return UNKNOWN_CODE


def _start_error(how: Terminated) -> EngineError:
    words = how.message
    if "is a directory" in words.lower():
        return CommandFailed(words, code="command_not_executable")
    return engine_answer(500, words or how.reason)


def _interruption(pod: Pod, how: Terminated | None) -> str:
    """In words, why it was not the job that ended; "" if it was."""
    status = pod.status
    for condition in status.conditions or ():
        if condition.type == "DisruptionTarget" and condition.status == "True":
            return f"{condition.reason}: {condition.message}"
    said = f"{status.reason}: {status.message}"
    if status.reason == _EVICTED:
        return "" if _OWN_DOING.search(status.message) else said
    if status.reason in _BY_CLUSTER:
        return said
    if how is None:
        return said
    if how.reason in _NOT_SEEN:
        return f"nobody saw how it ended ({how.message or how.reason})"
    if how.reason in _NEVER_RAN and _code(how) == UNKNOWN_CODE:
        return f"its machine could not run it: {how.message}"
    if pod.metadata.deletion_timestamp and not is_told_to_end(pod):
        return "somebody has deleted its pod"
    return ""


def start_problem(pod: Pod) -> EngineError | None:
    """Why a pod's process will not come to run; None if it did, or still may."""
    how = terminated(pod)
    if how is not None and how.reason in _NEVER_RAN:
        error = _start_error(how)
        # `wait` tells that as an exit code.
        return None if isinstance(error, CommandFailed) else error
    if pod.status.phase in _OVER and how is None:
        return MachineUnavailable(
            f"the machine did not take the job: {pod.status.reason} {pod.status.message}".strip()
        )
    waiting = _waiting(pod)
    if waiting is None:
        return None
    words = waiting.message or waiting.reason
    if waiting.reason in _BAD_IMAGE_REASONS:
        return ImageNotFound(f"the machine cannot have the image: {words}")
    if waiting.reason in _IMAGE_REASONS and _NO_SUCH_IMAGE.search(words):
        return ImageNotFound(f"the machine has no such image and cannot pull it: {words}")
    if waiting.reason in _REFUSED_REASONS:
        return engine_answer(500, words)
    return None


def pull_problem(pod: Pod) -> EngineError | None:
    """Why its image does not come, for the moment: its machine tries again."""
    waiting = _waiting(pod)
    if waiting is not None and waiting.reason in _IMAGE_REASONS:
        return PullFailed(f"the machine cannot pull the image: {waiting.message or waiting.reason}")
    return None


def no_place(pod: Pod) -> MachineUnavailable | None:
    """Why the scheduler finds no place for it, for the moment; None if it has one, or was not asked."""
    scheduled = _condition(pod, "PodScheduled")
    if scheduled is None or scheduled.status == "True" or scheduled.reason != "Unschedulable":
        return None
    return MachineUnavailable(
        f"the machine does not take the job: {scheduled.message}: look at kubectl describe node"
    )


def _waiting(pod: Pod) -> Waiting | None:
    for status in pod.status.container_statuses or ():
        if status.name == CONTAINER_NAME:
            return status.state.waiting
    return None


def _condition(pod: Pod, kind: str) -> Condition | None:
    return next((each for each in pod.status.conditions or () if each.type == kind), None)


def _label_ns(text: str) -> int:
    return int(text) if text.isdigit() and len(text) < 20 else 0
