"""Why a task that somebody waited for has left no result."""

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.task import Phase

from ..store.tasks import TaskRow
from .errors import NobodyAnswered, NotAnswered, Refused, Unavailable

_NODE_UNAVAILABLE = "NODE_UNAVAILABLE"


def unanswered(row: TaskRow) -> Refused:
    """The refusal of the request that waited, in its words."""
    ending = row.state.ending if row.phase in (Phase.FAILED, Phase.EXPIRED) else None
    details: dict[str, Json] = {"task_id": row.id, "phase": row.phase.value}
    if row.phase is Phase.EXPIRED or (ending is not None and ending.code == _NODE_UNAVAILABLE):
        why = ending.message if ending is not None else "no node took it in time"
        return NobodyAnswered(f"{row.id}: {why}", details)
    if ending is not None:
        details["failure"] = ending.code
        return NotAnswered(f"{row.id} failed ({ending.code}): {ending.message}".strip(), details)
    if row.phase is Phase.COMPLETED:
        words = f"{row.id} completed, and left no result that can be read"
        return NotAnswered(words, details)
    words = f"{row.id} did not end in time and is cancelled; it may be asked for again"
    return Unavailable(words, details)
