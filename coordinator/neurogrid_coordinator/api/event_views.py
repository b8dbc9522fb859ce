"""How an event is shown on ``/ws`` and in event streams."""

from msgspec import Struct

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.task import TERMINAL, Phase

from ..services.events import Happening
from .envelope import iso
from .native.schemas import TaskStatus
from .native.task_schemas import TaskFailure
from .native.task_views import failure_view
from .native.words import STATUS_OF_PHASE


class UpdateView(Struct, frozen=True):
    """An event of a task, with what a watcher wants to know without asking again."""

    type: str
    task_id: str
    sequence: int
    timestamp: str
    status: TaskStatus
    phase: str
    progress: float
    progress_note: str
    node_id: str | None
    price_per_hour: str | None
    cost_usdc: str
    message: str | None
    error: TaskFailure | None


def update_view(happening: Happening) -> UpdateView:
    """The event with the task as it was then; only its end is told from what it is now."""
    row, data = happening.task, happening.data
    ended = happening.phase in TERMINAL
    completed = happening.phase is Phase.COMPLETED
    cost = data.get("cost_micro_usdc", row.cost_micro_usdc if ended else 0)
    return UpdateView(
        type=happening.name,
        task_id=row.id,
        sequence=happening.seq,
        timestamp=iso(happening.at_ms),
        status=STATUS_OF_PHASE[happening.phase],
        phase=happening.phase.value,
        progress=100.0 if completed else happening.progress_permille / 10,
        progress_note=happening.progress_note,
        node_id=_text(data.get("node_id")),
        price_per_hour=_usdc_or_none(data.get("price_micro_usdc_per_hour")),
        cost_usdc=_usdc(cost),
        message=_text(data.get("message")),
        error=failure_view(row) if ended else None,
    )


def _text(value: Json) -> str | None:
    assert value is None or isinstance(value, str), "stored by us"
    return value or None


def _usdc(micro_usdc: Json) -> str:
    assert isinstance(micro_usdc, int), "stored by us"
    return format_usdc(micro_usdc)


def _usdc_or_none(micro_usdc: Json) -> str | None:
    return None if micro_usdc is None else _usdc(micro_usdc)
