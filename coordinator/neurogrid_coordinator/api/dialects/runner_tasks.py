"""Document 001's tasks: native ones with an id of their owner's."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from neurogrid_marketplace.money import format_usdc

from ...services.models import Models
from ...services.named_tasks import NamedTask, NamedTasks
from ...store.named_tasks import EntryFilter, EntryOrder, EntryRow, EntryState
from ...store.tasks import TaskRow
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, iso_or_none
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..native.task_views import failure_view
from ..openapi import Schemas
from .runner_form import NAME, PREFIX, Order, Paging, done, paging_of, refusals
from .runner_requests import changes_of, metadata_of, named_wanted, shown
from .runner_schemas import (
    RunnerDeleted,
    RunnerExecution,
    RunnerFailure,
    RunnerResult,
    RunnerTask,
    RunnerTaskLine,
    RunnerTaskList,
    RunnerTaskMade,
    RunnerTaskPatch,
    RunnerTaskView,
    RunnerUsage,
)

_TASKS = f"{PREFIX}/tasks"
# A task's name is the id that its owner gave it.
_ORDERS = {
    "createdAt": EntryOrder.AGE,
    "id": EntryOrder.ID,
    "name": EntryOrder.ID,
    "status": EntryOrder.STATE,
}
_EXAMPLE = {
    "id": "task-001",
    "prompt": "Write a haiku about programming",
    "model": "gpt-4",
    "temperature": 0.7,
    "maxTokens": 1000,
    "metadata": {"category": "creative"},
    "idempotencyKey": "task-001-unique-key",
}


def add_runner_task_routes(
    app: FastAPI, named: NamedTasks, models: Models, gate: Gate, schemas: Schemas
) -> None:
    """Add the routes."""
    refused = refusals(schemas)
    one = f"{_TASKS}/{{own_id}}"

    @app.post(
        _TASKS,
        tags=[NAME],
        summary="Ask a model something, by an id of yours",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.answer(RunnerTaskMade, "It is queued."),
            200: schemas.answer(RunnerTaskMade, "It was made before with this idempotency key."),
            **refused(400, 409, 413),
        },
        openapi_extra={"parameters": [IDEMPOTENCY_KEY], **schemas.body(RunnerTask, _EXAMPLE)},
    )
    async def create_task(request: Request, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """It waits for a node at once: `execute` is not needed."""
        key = idempotency_key(request)
        wanted = named_wanted(await read_json(request, RunnerTask), key)
        task, created = await named.create(caller.account, wanted)
        view = RunnerTaskMade(task.client_id, task.state.value, iso(task.created_at_ms))
        message = "Task created successfully" if created else "Task was created before"
        return done(view, status=201 if created else 200, message=message)

    @app.get(
        _TASKS,
        tags=[NAME],
        summary="List tasks",
        response_class=Response,
        responses={
            200: schemas.answer(RunnerTaskList, "Those of batches too."),
            **refused(400),
        },
    )
    async def list_tasks(
        caller: Annotated[Caller, Depends(gate)],
        paging: Annotated[Paging, Depends(paging_of)],
        status: EntryState | None = None,
        batch_id: Annotated[str | None, Query(alias="batchId", max_length=200)] = None,
        after: Annotated[datetime | None, Query(alias="createdAfter")] = None,
        before: Annotated[datetime | None, Query(alias="createdBefore")] = None,
        sort: Literal["createdAt", "id", "name", "status"] = "createdAt",
        order: Order = "desc",
    ) -> Response:
        """Tasks that were asked for natively, without an id of yours, are in `GET /api/v1/tasks` alone."""
        which = EntryFilter(status, batch_id, _unix_ms(after), _unix_ms(before))
        page = await named.list(
            caller.account,
            which,
            order=_ORDERS[sort],
            descending=order == "desc",
            limit=paging.limit,
            offset=paging.offset,
        )
        lines = [_line(entry) for entry in page.entries]
        return done(RunnerTaskList(lines, paging.of(page.total)))

    @app.get(
        one,
        tags=[NAME],
        summary="Show a task",
        response_class=Response,
        responses={
            200: schemas.answer(RunnerTaskView, "With its result, once completed."),
            **refused(404),
        },
    )
    async def get_task(own_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """By your own id for it; a batch's task too."""
        return done(await _view(await named.get(caller.account, own_id), models))

    @app.patch(
        one,
        tags=[NAME],
        summary="Change a task",
        response_class=Response,
        responses={
            200: schemas.answer(RunnerTaskView, "As it is now."),
            **refused(400, 404, 409, 413),
        },
        openapi_extra=schemas.body(RunnerTaskPatch, {"temperature": 0.8}),
    )
    async def update_task(
        request: Request, own_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """One that waits is queued anew; of one that has ended the next execution has it. One that runs is
        left alone, but for its metadata."""
        body = await read_json(request, RunnerTaskPatch)
        before = await named.get(caller.account, own_id)
        changes = changes_of(body, before.request)
        task = await named.update(caller.account, own_id, changes, metadata_of(body))
        return done(await _view(task, models), message="Task updated successfully")

    @app.delete(
        one,
        tags=[NAME],
        summary="Delete a task",
        response_class=Response,
        responses={200: schemas.answer(RunnerDeleted, "It is gone."), **refused(404, 409)},
    )
    async def delete_task(own_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """One that has not ended is cancelled; what it ran so far is charged."""
        await named.delete(caller.account, own_id)
        return done(RunnerDeleted(own_id), message="Task deleted successfully")

    @app.post(
        one + "/execute",
        tags=[NAME],
        summary="Execute a task",
        response_class=Response,
        responses={
            200: schemas.answer(RunnerExecution, "It is under way."),
            **refused(400, 404, 409),
        },
    )
    async def execute_task(own_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Once more, if it has ended; one that waits or runs is under way already."""
        task = await named.execute(caller.account, own_id)
        assert task.task is not None, "it has been executed"
        view = RunnerExecution(task.task.id, execution_status(task.state))
        return done(view, message="Task execution started")


def execution_status(
    state: EntryState,
) -> Literal["running", "completed", "failed", "cancelled"]:
    """Of an execution: that it waits for a node, too, is a part of it."""
    match state:
        case EntryState.PENDING | EntryState.RUNNING:
            return "running"
        case EntryState.COMPLETED:
            return "completed"
        case EntryState.FAILED:
            return "failed"
        case EntryState.CANCELLED:
            return "cancelled"


async def result_of(row: TaskRow | None, models: Models) -> RunnerResult | None:
    """What the model answered, where it has and it can be read."""
    run = None if row is None else await models.result(row)
    if run is None or run.result is None:
        return None
    usage = run.result.usage
    return RunnerResult(
        content=run.result.text,
        usage=RunnerUsage(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens),
        finish_reason=run.result.finish_reason,
    )


def failure_of(row: TaskRow | None, code: str = "", message: str = "") -> RunnerFailure | None:
    """Why a task failed; where it has no native one, what its batch says."""
    failure = None if row is None else failure_view(row)
    if failure is not None:
        return RunnerFailure(failure.code, failure.message)
    return RunnerFailure(code, message) if code else None


async def _view(task: NamedTask, models: Models) -> RunnerTaskView:
    asked, row = shown(task.request), task.task
    return RunnerTaskView(
        id=task.client_id,
        prompt=asked.prompt,
        messages=list(asked.messages) or None,
        model=asked.model,
        temperature=asked.temperature,
        max_tokens=asked.max_tokens,
        status=task.state.value,
        result=await result_of(row, models),
        error=failure_of(row, task.code, task.message),
        metadata=dict(task.metadata),
        batch_id=task.label or None,
        executions=task.executions,
        execution_id=None if row is None else row.id,
        cost=format_usdc(0 if row is None else row.cost_micro_usdc),
        created_at=iso(task.created_at_ms),
        updated_at=iso(task.updated_at_ms),
        started_at=None if row is None else iso_or_none(row.started_at_ms),
        completed_at=iso_or_none(task.ended_at_ms),
    )


def _line(entry: EntryRow) -> RunnerTaskLine:
    return RunnerTaskLine(
        id=entry.client_id,
        status=entry.state.value,
        batch_id=entry.label or None,
        execution_id=entry.task_id,
        created_at=iso(entry.created_at_ms),
        completed_at=iso_or_none(entry.ended_at_ms),
    )


def _unix_ms(at: datetime | None) -> int | None:
    """A time without a zone is UTC's."""
    if at is None:
        return None
    return int((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1000)
