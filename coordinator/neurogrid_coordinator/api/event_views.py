"""How an event is shown on ``/ws``, in event streams and to webhooks."""

import time
from typing import Final

from msgspec import Struct, convert
from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.task import TERMINAL, Phase
from neurogrid_marketplace.usage import LeaseUsage

from ..services.events import Happening, Notice, happening_at
from ..services.nodes import KnownNode
from ..store.webhook_deliveries import DeliveryRow
from ..store.webhooks import WebhookRow
from ..tasks.usage_series import gpu_percent
from ..webhooks.message import body_of
from ..webhooks.nodes import NODE_STATUS
from .envelope import iso
from .native.schemas import TaskKind, TaskStatus
from .native.task_schemas import TaskFailure
from .native.task_views import failure_view, kind_of
from .native.words import STATUS_OF_PHASE

RESET: Final = "reset"


class UsageNowView(Struct, frozen=True):
    """With a job's progress: what it uses, as its node has measured it. ``gpu_usage``: percent, of its GPUs, mean."""

    cpu_seconds: float
    memory_bytes: int
    memory_peak_bytes: int
    gpu_usage: float | None


class UpdateView(Struct, frozen=True):
    """An event of a task, with what a watcher wants to know without asking again."""

    type: str
    task_id: str
    kind: TaskKind
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
    metrics: UsageNowView | None


def update_view(happening: Happening) -> UpdateView:
    """The event with the task as it was then; only its end is told from what it is now."""
    row, data = happening.task, happening.data
    ended = happening.phase in TERMINAL
    completed = happening.phase is Phase.COMPLETED
    cost = data.get("cost_micro_usdc", row.cost_micro_usdc if ended else 0)
    return UpdateView(
        type=happening.name,
        task_id=row.id,
        kind=kind_of(row),
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
        metrics=_usage(data),
    )


def event_view(event: Happening | Notice) -> object:
    """Any event of an account; one that is about no task shows its data beside what all have."""
    if isinstance(event, Happening):
        return update_view(event)
    return {
        "type": event.name,
        "sequence": event.seq,
        "timestamp": iso(event.at_ms),
        **event.data,
    }


def webhook_body(conn: Connection, webhook: WebhookRow, delivery: DeliveryRow) -> str:
    """What a webhook is told of a stored event; "" where that is not there any more."""
    if delivery.event_seq is None:
        return ""
    event = happening_at(conn, delivery.event_seq)
    if event is None:
        return ""
    return body_of(
        delivery_id=delivery.id,
        webhook_id=webhook.id,
        kind=delivery.kind,
        created_at=iso(event.at_ms),
        data=event_view(event),
        is_test=False,
    )


def reset_fields(sequence: int, asked_after: int) -> dict[str, object]:
    """What a listener is told who has seen an event last that we do not know.

    Args:
        sequence: after which it is told of events now.
    """
    return {
        "type": RESET,
        "sequence": sequence,
        "timestamp": iso(time.time_ns() // 1_000_000),
        "asked_after": asked_after,
        "message": f"there is no event {asked_after}: what was known of earlier events may have changed, so ask anew "
        "for what you keep",
    }


def node_fields(node: KnownNode) -> dict[str, object]:
    """What is told of a node whose status has changed."""
    offer = node.view.offer
    return {"node_id": offer.node_id, "status": node.status.value, "region": offer.region}


def node_status_body(webhook: WebhookRow, delivery_id: str, node: KnownNode, at_ms: int) -> str:
    """What a webhook is told of a node whose status has changed."""
    return body_of(
        delivery_id=delivery_id,
        webhook_id=webhook.id,
        kind=NODE_STATUS,
        created_at=iso(at_ms),
        data={"type": NODE_STATUS, "timestamp": iso(at_ms), **node_fields(node)},
        is_test=False,
    )


def _usage(data: dict[str, Json]) -> UsageNowView | None:
    said = data.get("usage")
    if said is None:
        return None
    usage = convert(said, LeaseUsage)
    peak = data.get("memory_peak_bytes")
    return UsageNowView(
        cpu_seconds=usage.cpu_ms / 1000,
        memory_bytes=usage.memory_bytes,
        memory_peak_bytes=peak if isinstance(peak, int) else 0,
        gpu_usage=gpu_percent(usage.gpus),
    )


def _text(value: Json) -> str | None:
    assert value is None or isinstance(value, str), "stored by us"
    return value or None


def _usdc(micro_usdc: Json) -> str:
    assert isinstance(micro_usdc, int), "stored by us"
    return format_usdc(micro_usdc)


def _usdc_or_none(micro_usdc: Json) -> str | None:
    return None if micro_usdc is None else _usdc(micro_usdc)
