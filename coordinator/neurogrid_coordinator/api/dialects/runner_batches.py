"""Document 001's batches: native ones whose tasks ask models, and that wait for `execute`."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Annotated

import msgspec
from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from neurogrid_marketplace.money import format_usdc

from ...batches.batch_rules import ENDED
from ...services.batch_intake import BatchIntake
from ...services.batches import Batch, Batches, ItemResult
from ...services.models import Models
from ...store.named_tasks import EntryState, state_of_item
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, iso_or_none
from ..leaving import while_there
from ..native.batch_requests import BODY_BYTES_MAX
from ..native.batch_sources import BatchSources, batch_wanted
from ..native.batch_views import STATUS_OF_BATCH, progress_view
from ..openapi import Schemas
from .runner_form import NAME, PREFIX, Paging, RunnerPagination, done, paging_if_asked, refusals
from .runner_requests import batch_request
from .runner_schemas import (
    RunnerBatch,
    RunnerBatchMade,
    RunnerBatchTaskView,
    RunnerBatchView,
    RunnerExecution,
    RunnerProgress,
)
from .runner_tasks import execution_status, failure_of, result_of

_BATCHES = f"{PREFIX}/batches"
_NO_TASKS = b',"tasks":[]'
_TASKS_BEGIN, _TASKS_END = _NO_TASKS[:-1], _NO_TASKS[-1:]
_EXAMPLE = {
    "id": "batch-001",
    "name": "Creative Writing Tasks",
    "tasks": [
        {"id": "task-001", "prompt": "Write a haiku about programming"},
        {"id": "task-002", "prompt": "Write a short story about AI"},
    ],
    "config": {"model": "gpt-4", "temperature": 0.7, "maxConcurrency": 5},
}


def add_runner_batch_routes(
    app: FastAPI,
    intake: BatchIntake,
    batches: Batches,
    sources: BatchSources,
    models: Models,
    gate: Gate,
    schemas: Schemas,
) -> None:
    """Add the routes."""
    refused = refusals(schemas)
    one = f"{_BATCHES}/{{batch_id}}"

    @app.post(
        _BATCHES,
        tags=[NAME],
        summary="Create a batch",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.answer(RunnerBatchMade, "It waits for `execute`."),
            **refused(400, 409, 413),
        },
        openapi_extra=schemas.body(RunnerBatch, _EXAMPLE),
    )
    async def create_batch(request: Request, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Of tasks in the request, or of a CSV file in your account's folder on the coordinator."""
        body = await read_json(request, RunnerBatch, limit_bytes=BODY_BYTES_MAX)
        native = batch_request(body)
        wanted = batch_wanted(native)
        source = await sources.of(caller.account, native)
        batch, _ = await while_there(request, intake.create(caller.account, wanted, source))
        row = batch.row
        view = RunnerBatchMade(
            row.client_id or row.id,
            STATUS_OF_BATCH[row.state],
            row.counts.total,
            iso(row.created_at_ms),
        )
        return done(view, status=201, message="Batch created successfully")

    @app.get(
        one,
        tags=[NAME],
        summary="Show a batch",
        response_class=Response,
        responses={
            200: schemas.answer(RunnerBatchView, "With its tasks, or a page of them."),
            **refused(400, 404),
        },
    )
    async def get_batch(
        batch_id: str,
        caller: Annotated[Caller, Depends(gate)],
        paging: Annotated[Paging | None, Depends(paging_if_asked)],
    ) -> Response:
        """By your id for it or ours. With all of its tasks, unless `page` or `limit` is sent."""
        if paging is None:
            batch = await batches.get(caller.account, batch_id)
            pieces = batches.results(caller.account, batch.row.id)
            return StreamingResponse(_whole(batch, pieces, models), media_type="application/json")
        batch, found = await batches.results_page(
            caller.account, batch_id, limit=paging.limit, offset=paging.offset
        )
        tasks = [await _task_view(each, models) for each in found]
        return done(_view(batch, tasks, paging.of(batch.row.counts.total)))

    @app.post(
        one + "/execute",
        tags=[NAME],
        summary="Execute a batch",
        response_class=Response,
        responses={200: schemas.answer(RunnerExecution, "It runs."), **refused(404, 409)},
    )
    async def execute_batch(batch_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Starts one that waits; of one that has ended, what has failed or was cancelled runs again. One that
        runs is left alone."""
        batch = await batches.get(caller.account, batch_id)
        if batch.row.state in ENDED:
            batch = await batches.retry(caller.account, batch.row.id, cancelled=True)
        else:
            batch = await batches.execute(caller.account, batch.row.id)
        status = EntryState(STATUS_OF_BATCH[batch.row.state])
        view = RunnerExecution(batch.row.id, execution_status(status))
        return done(view, message="Batch execution started")


async def _whole(
    batch: Batch, pieces: AsyncIterator[Sequence[ItemResult]], models: Models
) -> AsyncGenerator[bytes]:
    """The answer with all tasks, some at a time: they may be thousands, with a text each."""
    total = batch.row.counts.total
    empty = done(_view(batch, [], RunnerPagination(1, max(1, total), total, 1)))
    # No text has it: there a quotation mark has a backslash before it.
    before, _, after = bytes(empty.body).partition(_NO_TASKS)
    yield before + _TASKS_BEGIN
    between = b""
    async for piece in pieces:
        views = [msgspec.json.encode(await _task_view(each, models)) for each in piece]
        yield between + b",".join(views)
        between = b","
    yield _TASKS_END + after


def _view(
    batch: Batch, tasks: list[RunnerBatchTaskView], pagination: RunnerPagination
) -> RunnerBatchView:
    row, progress = batch.row, progress_view(batch)
    return RunnerBatchView(
        id=row.client_id or row.id,
        name=row.name,
        description=row.description,
        status=STATUS_OF_BATCH[row.state],
        progress=RunnerProgress(
            total=progress.total,
            completed=progress.completed,
            failed=progress.failed,
            pending=progress.pending,
            running=progress.running,
            cancelled=progress.cancelled,
        ),
        tasks=tasks,
        pagination=pagination,
        cost=format_usdc(row.spent_micro_usdc),
        created_at=iso(row.created_at_ms),
        started_at=iso_or_none(row.started_at_ms),
        completed_at=iso_or_none(row.ended_at_ms),
    )


async def _task_view(found: ItemResult, models: Models) -> RunnerBatchTaskView:
    item = found.item
    state = state_of_item(item.state, item.phase)
    result = await result_of(found.task, models) if state is EntryState.COMPLETED else None
    return RunnerBatchTaskView(
        id=item.client_id,
        status=state.value,
        result=None if result is None else result.content,
        error=failure_of(found.task, item.code, item.message) if item.ended_at_ms else None,
        execution_id=item.task_id,
    )
