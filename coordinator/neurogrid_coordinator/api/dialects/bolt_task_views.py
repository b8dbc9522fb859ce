"""How document 000 shows a task."""

from typing import Any

import msgspec

from neurogrid_marketplace.model_requests import ModelResult

from ...batches.batch_rules import ItemState
from ...services.batches import Promised
from ...services.models import ModelRun
from ...services.nodes import Nodes
from ...store.tasks import TaskRow
from ...tasks.task_measures import measure
from ..envelope import iso, iso_or_none
from ..native.task_views import output_url, progress_percent
from ..native.words import STATUS_OF_PHASE
from .bolt_task_schemas import (
    BoltFailure,
    BoltMetrics,
    BoltPrediction,
    BoltProgress,
    BoltTask,
)
from .bolt_words import STATUS

_USUAL_PRIORITY = 5


def progress_view(row: TaskRow, nodes: Nodes, now_ms: int) -> BoltProgress:
    """A task without what came of it."""
    return BoltProgress(**_fields(row, nodes, now_ms))


def bolt_task_view(run: ModelRun, nodes: Nodes, now_ms: int) -> BoltTask:
    """A task with what came of it."""
    # Other tasks may leave a file of the same name.
    result = run.result if isinstance(run.row.spec.get("model"), dict) else None
    usage = result.usage.total_tokens if result is not None and result.usage.total_tokens else None
    return BoltTask(
        **_fields(run.row, nodes, now_ms),
        result=None if result is None else _text(run.row, result),
        tokens_used=usage,
    )


def promised_view(promised: Promised, now_ms: int) -> BoltProgress:
    """A task of a batch whose turn has not come."""
    return BoltProgress(**_promised_fields(promised, now_ms))


def promised_task_view(promised: Promised, now_ms: int) -> BoltTask:
    """The same, where what came of it is asked for: nothing yet."""
    return BoltTask(**_promised_fields(promised, now_ms), result=None, tokens_used=None)


def _promised_fields(promised: Promised, now_ms: int) -> dict[str, Any]:
    item, batch, asked = promised.item, promised.batch, promised.request
    ended = item.state in (ItemState.FAILED, ItemState.CANCELLED)
    priority = asked.get("priority")
    until_ms = now_ms if item.ended_at_ms is None else item.ended_at_ms
    latency_ms = max(0, until_ms - batch.created_at_ms)
    return {
        "task_id": promised.task_id,
        "model": str(asked["model"]) if "model" in asked else None,
        "status": "error" if ended else "pending",
        "progress": 0.0,
        "metrics": BoltMetrics(0.0, latency_ms, 0.0, BoltPrediction(0.0, 0)),
        "priority": priority if isinstance(priority, int) else _USUAL_PRIORITY,
        "error": BoltFailure(item.code or "CANCELLED", item.message) if ended else None,
        "created_at": iso(batch.created_at_ms),
        "started_at": None,
        "completed_at": iso_or_none(item.ended_at_ms),
    }


def _text(row: TaskRow, result: ModelResult) -> str:
    if result.image is not None:
        return output_url(row.id, result.image, "")
    if result.embeddings:
        return msgspec.json.encode(result.embeddings[0]).decode()
    return result.text


def _fields(row: TaskRow, nodes: Nodes, now_ms: int) -> dict[str, Any]:
    status = STATUS[STATUS_OF_PHASE[row.phase]]
    asked = row.spec.get("model")
    ending = row.state.ending
    return {
        "task_id": row.id,
        "model": str(asked["name"]) if isinstance(asked, dict) else None,
        "status": status,
        "progress": progress_percent(row),
        "metrics": _metrics(row, nodes, now_ms),
        "priority": row.priority,
        "error": (
            None
            if ending is None or status != "error"
            else BoltFailure(ending.code, ending.message)
        ),
        "created_at": iso(row.submitted_at_ms),
        "started_at": iso_or_none(row.started_at_ms),
        "completed_at": iso_or_none(row.ended_at_ms),
    }


def _metrics(row: TaskRow, nodes: Nodes, now_ms: int) -> BoltMetrics:
    node_id, lease_id = row.node_id or "", row.lease_id or ""
    result = row.state.result
    known_bytes = nodes.memory_peak_bytes(node_id, lease_id)
    found = measure(
        created_at_ms=row.submitted_at_ms,
        started_at_ms=row.started_at_ms,
        ended_at_ms=row.ended_at_ms,
        at_ms=now_ms if row.ended_at_ms is None else row.ended_at_ms,
        timeout_s=row.state.demand.timeout_s,
        progress_permille=round(10 * progress_percent(row)),
        memory_bytes=row.state.demand.requirements.memory_bytes,
        memory_peak_bytes=known_bytes if result is None else result.memory_peak_bytes,
        score_permille=nodes.score_permille(node_id),
    )
    return BoltMetrics(
        quality=found.quality,
        latency=found.latency_ms,
        resource_usage=found.resource_usage,
        prediction=BoltPrediction(found.time_remaining_s, found.resource_needed_bytes),
    )
