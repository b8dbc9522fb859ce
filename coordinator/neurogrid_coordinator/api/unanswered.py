"""The error of a request that waited for a task's result, where the task ended without one."""

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.task import Phase

from ..store.tasks import TaskRow
from .errors import Problem, problem
from .native.task_views import failure_view


def unanswered(row: TaskRow) -> Problem:
    """Why there is no result, in the words of whoever waited for it."""
    failure = failure_view(row)
    details: dict[str, Json] = {"task_id": row.id, "phase": row.phase.value}
    if row.phase is Phase.EXPIRED or (failure is not None and failure.code == "NODE_UNAVAILABLE"):
        why = failure.message if failure is not None else "no node took it in time"
        return problem("NODE_UNAVAILABLE", f"{row.id}: {why}", details)
    if failure is not None:
        details["failure"] = failure.code
        words = f"{row.id} failed ({failure.code}): {failure.message} {failure.advice}".strip()
        return problem("TASK_FAILED", words, details)
    if row.phase is Phase.COMPLETED:
        words = f"{row.id} completed, and left no result that can be read"
        return problem("TASK_FAILED", words, details)
    words = f"{row.id} did not end in time and is cancelled; it may be asked for again"
    return problem("UNAVAILABLE", words, details)
