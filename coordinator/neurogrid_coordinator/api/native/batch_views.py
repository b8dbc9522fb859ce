"""How batches are shown, and their results as files."""

import csv
import io
from collections.abc import AsyncGenerator, Sequence
from typing import Literal

import msgspec

from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.task import TERMINAL, Phase

from ...batches.batch_rules import BatchState, ItemState
from ...services.batches import Batch, ItemResult
from ...store.batch_items import ItemRow
from ..envelope import iso, iso_or_none
from .batch_schemas import BatchProgress, BatchTaskFailure, BatchTaskView, BatchView
from .schemas import TaskStatus
from .task_views import output_view
from .words import STATUS_OF_PHASE

STATUS_OF_BATCH: dict[BatchState, TaskStatus] = {
    BatchState.LOADING: "pending",
    BatchState.PENDING: "pending",
    BatchState.RUNNING: "running",
    BatchState.CANCELLING: "running",
    BatchState.COMPLETED: "completed",
    BatchState.FAILED: "failed",
    BatchState.CANCELLED: "cancelled",
}
_STATUS_OF_ITEM: dict[ItemState, TaskStatus] = {
    ItemState.PENDING: "pending",
    ItemState.RELEASED: "pending",
    ItemState.COMPLETED: "completed",
    ItemState.FAILED: "failed",
    ItemState.CANCELLED: "cancelled",
}
_COLUMNS = (
    "id",
    "status",
    "task_id",
    "node_id",
    "attempts",
    "cost_usdc",
    "exit_code",
    "error_code",
    "error_message",
    "started_at",
    "completed_at",
    "outputs",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def batch_view(batch: Batch) -> BatchView:
    """A batch."""
    row = batch.row
    return BatchView(
        id=row.id,
        client_id=row.client_id,
        name=row.name,
        description=row.description,
        status=STATUS_OF_BATCH[row.state],
        cancelling=row.state is BatchState.CANCELLING,
        progress=progress_view(batch),
        cost_usdc=format_usdc(row.spent_micro_usdc),
        most_usdc=format_usdc(row.most_micro_usdc),
        max_cost=None if row.max_cost_micro_usdc is None else format_usdc(row.max_cost_micro_usdc),
        max_concurrency=row.max_concurrency,
        retries=row.retries,
        defaults=row.defaults,
        waits_for=row.note or None,
        created_at=iso(row.created_at_ms),
        started_at=iso_or_none(row.started_at_ms),
        completed_at=iso_or_none(row.ended_at_ms),
    )


def progress_view(batch: Batch) -> BatchProgress:
    """How far it is."""
    counts = batch.row.counts
    return BatchProgress(
        total=counts.total,
        completed=counts.completed,
        failed=counts.failed,
        cancelled=counts.cancelled,
        pending=counts.pending + counts.released - batch.running,
        running=batch.running,
    )


def item_view(item: ItemRow) -> BatchTaskView:
    """A task of a batch."""
    return BatchTaskView(
        id=item.client_id,
        status=_status(item),
        phase=item.phase.value if item.phase is not None else None,
        task_id=item.task_id,
        node_id=item.node_id,
        attempts=item.attempts,
        cost_usdc=format_usdc(item.cost_micro_usdc),
        error=BatchTaskFailure(item.code, item.message) if item.code else None,
        completed_at=iso_or_none(item.ended_at_ms),
    )


async def results_file(
    pieces: AsyncGenerator[Sequence[ItemResult]], kind: Literal["csv", "jsonl"], public_url: str
) -> AsyncGenerator[bytes]:
    """What became of every item, a line each."""
    if kind == "csv":
        yield _csv_lines([_COLUMNS])
    async for piece in pieces:
        lines = [_line(result, public_url) for result in piece]
        if kind == "csv":
            yield _csv_lines([[_cell(line[name]) for name in _COLUMNS] for line in lines])
        else:
            yield b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def _status(item: ItemRow) -> TaskStatus:
    if item.state is ItemState.RELEASED and item.phase is not None:
        # A task that has ended a moment ago is being counted.
        return "running" if item.phase in TERMINAL else STATUS_OF_PHASE[item.phase]
    return _STATUS_OF_ITEM[item.state]


def _line(result: ItemResult, public_url: str) -> dict[str, object]:
    item, task = result.item, result.task
    outcome = task.state.result if task is not None else None
    outputs: Sequence[OutputFile] = ()
    if task is not None and outcome is not None and task.phase is Phase.COMPLETED:
        outputs = sorted(outcome.outputs, key=lambda output: output.path)
    return {
        "id": item.client_id,
        "status": _status(item),
        "task_id": item.task_id,
        "node_id": item.node_id,
        "attempts": item.attempts,
        "cost_usdc": format_usdc(item.cost_micro_usdc),
        "exit_code": outcome.exit_code if outcome is not None else None,
        "error_code": item.code or None,
        "error_message": item.message or None,
        "started_at": iso_or_none(task.started_at_ms if task is not None else None),
        "completed_at": iso_or_none(item.ended_at_ms),
        "outputs": [
            output_view(item.task_id, output, public_url) for output in outputs if item.task_id
        ],
    }


def _cell(value: object) -> str:
    """A value for a spreadsheet, which would compute a cell that looks like a formula."""
    if value is None:
        return ""
    if isinstance(value, list):
        return msgspec.json.encode(value).decode() if value else ""
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) and not text.lstrip("-").isdecimal() else text


def _csv_lines(rows: Sequence[Sequence[str]]) -> bytes:
    made = io.StringIO()
    csv.writer(made).writerows(rows)
    return made.getvalue().encode()
