"""What a native batch is in OpenAI's words. Pure."""

from typing import Final, Literal

from ..batches.batch_rules import ENDED, BatchState

Status = Literal[
    "validating",
    "failed",
    "in_progress",
    "finalizing",
    "completed",
    "expired",
    "cancelling",
    "cancelled",
]
FAILED: Final = "failed"
# Fifty thousand requests are stored in a minute or two.
_STORING_MAX_MS = 600_000
_GOING: dict[BatchState, Status] = {
    BatchState.LOADING: "validating",
    BatchState.PENDING: "validating",
    BatchState.RUNNING: "in_progress",
    BatchState.CANCELLING: "cancelling",
}


def status_of(
    state: BatchState | None, *, age_ms: int, is_finished: bool, is_expired: bool, failed: int
) -> Status:
    """The status.

    Args:
        state: None: there is no native batch: it is being stored, the coordinator stopped meanwhile, or it was deleted.
        age_ms: since it was asked for.
        is_finished: its answers are in files.
        is_expired: its window is over.
        failed: how many requests have no answer.
    """
    if state is None:
        return FAILED if age_ms > _STORING_MAX_MS else "validating"
    if state not in ENDED:
        return _GOING[state]
    if not is_finished:
        return "finalizing"
    if state is BatchState.CANCELLED:
        return "cancelled"
    # Requests that failed are told in the file of errors; a batch with some has still been completed.
    return "expired" if is_expired and failed else "completed"
