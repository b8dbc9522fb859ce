"""``/ws`` in the words of the documents: which messages each dialect has, and how they look.

`NATIVE` is document 002's; `OPENRUNTIME` 004's, `BOLT` 000's. A dialect leaves out what its document has no
message for.
"""

from collections.abc import Callable
from enum import StrEnum

from neurogrid_marketplace.task import Phase

from ..services.events import Happening, Notice
from ..tasks.task_measures import Measures, measure
from .event_views import event_view
from .native.words import STATUS_OF_PHASE

# What a task's node is known to be worth (0 to 1000), and the most memory that its job has had.
Known = Callable[[Happening], tuple[int, int]]


class Dialect(StrEnum):
    """Whose messages a client reads."""

    NATIVE = "native"
    OPENRUNTIME = "openruntime"
    BOLT = "bolt"


GREETINGS = {
    Dialect.NATIVE: "Connected to NeuroGrid WebSocket",
    Dialect.OPENRUNTIME: "Connected to OpenRuntime WebSocket",
    Dialect.BOLT: "Connected to Bolt WebSocket",
}
# Events after which a task's documented status may be another one.
_TURNS = frozenset(
    {
        "task.created",
        "task.started",
        "task.progress",
        "task.completed",
        "task.failed",
        "task.cancelled",
    }
)
_BOLT_STATUS = {
    "running": "running",
    "completed": "complete",
    "failed": "error",
    "cancelled": "error",
}


def message_of(dialect: Dialect, event: Happening | Notice, known: Known) -> object | None:
    """The message that tells of an event; None where the dialect has none for it."""
    if dialect is Dialect.NATIVE:
        return event_view(event)
    if isinstance(event, Notice) or event.name not in _TURNS:
        return None
    status = str(STATUS_OF_PHASE[event.phase])
    if dialect is Dialect.OPENRUNTIME:
        ran_ms = 0 if event.task.started_at_ms is None else event.at_ms - event.task.started_at_ms
        return {
            "type": "task_update",
            "data": {
                "task_id": event.task.id,
                "status": status,
                "execution_time": max(0, ran_ms) / 1000,
            },
        }
    if status not in _BOLT_STATUS:
        return None
    return _progress(event, _BOLT_STATUS[status], measures_of(event, known))


def measures_of(event: Happening, known: Known) -> Measures:
    """What is known of a task's work at the moment of an event."""
    score_permille, peak_bytes = known(event)
    said = event.data.get("memory_peak_bytes")
    demand = event.task.state.demand
    return measure(
        created_at_ms=event.task.submitted_at_ms,
        started_at_ms=event.task.started_at_ms,
        ended_at_ms=event.task.ended_at_ms if event.phase is event.task.phase else None,
        at_ms=event.at_ms,
        timeout_s=demand.timeout_s,
        progress_permille=1000 if event.phase is Phase.COMPLETED else event.progress_permille,
        memory_bytes=demand.requirements.memory_bytes,
        memory_peak_bytes=said if isinstance(said, int) else peak_bytes,
        score_permille=score_permille,
    )


def _progress(event: Happening, status: str, measures: Measures) -> object:
    """Document 000's TaskProgress, with a ``type`` beside it."""
    return {
        "type": "progress",
        "taskId": event.task.id,
        "progress": 100.0 if status == "complete" else event.progress_permille / 10,
        "status": status,
        "metrics": {
            "quality": measures.quality,
            "latency": measures.latency_ms,
            "resourceUsage": measures.resource_usage,
            "prediction": {
                "timeRemaining": measures.time_remaining_s,
                "resourceNeeded": measures.resource_needed_bytes,
            },
        },
    }
