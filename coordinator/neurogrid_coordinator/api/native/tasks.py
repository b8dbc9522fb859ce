"""``/tasks``: submit, list, show, cancel."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from neurogrid_telemetry.traces import OFF, Traces, read_traceparent

from ...services.fetching import Fetching
from ...services.models import Models
from ...services.tasks import LIST_MAX, CancelResult, Tasks
from ...services.written_tasks import offered
from ...store.task_lists import TaskFilter
from ..auth import Caller, Gate
from ..direct import Direct, path_parameter
from ..envelope import JsonAnswer, success
from ..headers import header
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..known_parameters import known_parameters
from ..leaving import while_there
from ..openapi import Schemas, errors
from ..paths import API
from .audit import unix_ms
from .model_schemas import ModelRequest
from .operation_schemas import OperationRequest
from .requests import TaskRequest
from .schemas import TaskKind, TaskStatus
from .shown_tasks import ShownTasks
from .task_kinds import ByName, read_submission
from .task_schemas import CancelView, TaskListView, TaskView
from .task_views import summary_view, task_view
from .words import STATUS_OF_PHASE, phases_of

TASK_EXAMPLE = {
    "name": "Resize images",
    "type": "cpu",
    "resource_requirements": {"cpu_cores": 2, "ram_gb": 1, "storage_gb": 5},
    "docker_image": "python:3.12-slim",
    "command": ["python", "-c", "print('hello')"],
    "max_price_per_hour": "1.00",
    "timeout_seconds": 600,
    "priority": "normal",
}
# A container job's row says which hardware it is for.
_ROWS_OF_KIND: dict[TaskKind, frozenset[str]] = {"container": frozenset({"cpu", "gpu"})}
_MESSAGES = {
    CancelResult.CANCELLED: "The task is cancelled.",
    CancelResult.CANCELLING: "The task is being cancelled: its node is told to stop.",
    CancelResult.DELETED: "The task is deleted. Its receipt stays valid.",
}


def add_task_routes(
    app: FastAPI,
    direct: Direct,
    tasks: Tasks,
    models: Models,
    fetching: Fetching,
    gate: Gate,
    schemas: Schemas,
    traces: Traces,
    is_ready: Callable[[str, str], Awaitable[bool]],
    by_name: ByName,
) -> None:
    """Add the routes.

    Args:
        is_ready: whether a lease's service is well, by its node's word.
    """

    shown = ShownTasks()

    async def create_task(request: Request) -> Response:
        """Everything that can be known to fail is refused now: values, missing inputs, the budget,
        and a market that could never serve it (with the reasons, and what to relax).

        A request to a model has a container of its own here, which starts each time and is paid by the time it runs. Who waits for the
        answer asks `/api/v1/models/generate/text`, `/generate/image`, `/transcribe` or `/v1`: where the model has a warm replica it answers at once,
        and is paid by tokens, images or seconds (`replicas` and `pricing` of `GET /api/v1/models/{id}`)."""
        caller = await gate(request)
        key = idempotency_key(request)
        written = offered(request.scope)
        # A trace is part of what is stored.
        if (
            written is not None
            and traces is OFF
            and await tasks.submit_written(caller.account, written.task, key)
        ):
            written.stored = True
            return JsonAnswer(b"", 201, _location(written.task.task_id))
        wanted = await read_submission(request, caller.account.wallet, by_name, key)
        parent = read_traceparent(header(request, b"traceparent") or "")
        with traces.within("task.submit", parent) as span:
            if span.traceparent:
                wanted = replace(wanted, trace=span.traceparent)
            if wanted.names_urls:
                wanted = await while_there(request, fetching.task(caller.account, wanted))
            if wanted.model is not None:
                await models.keep(caller.account, wanted)
            detail, created = await tasks.submit(caller.account, wanted)
            span.note(task=detail.row.id)
        status = 201 if created else 200
        return success(task_view(detail), status=status, headers=_location(detail.row.id))

    direct.add(
        app,
        "POST",
        f"{API}/tasks",
        create_task,
        tags=["Tasks"],
        status_code=201,
        summary="Submit a container job, an operation or a request to a model",
        parameters=[IDEMPOTENCY_KEY],
        responses={
            201: schemas.answer(TaskView, "It is stored, and will run even if we crash now."),
            200: schemas.answer(TaskView, "It was submitted before with this idempotency key."),
            **errors(
                "INVALID_REQUEST",
                "UNAUTHORIZED",
                "INSUFFICIENT_CREDITS",
                "QUOTA_EXCEEDED",
                "MODEL_UNAVAILABLE",
                "NODE_UNAVAILABLE",
                "DEPENDENCY_UNMET",
                "IDEMPOTENCY_MISMATCH",
                "PAYLOAD_TOO_LARGE",
                "RATE_LIMITED",
            ),
        },
        openapi_extra=schemas.body(TaskRequest, TASK_EXAMPLE, OperationRequest, ModelRequest),
    )

    async def get_task(request: Request) -> Response:
        """A task of another account is not found."""
        caller = await gate(request)
        detail = await tasks.get(caller.account, request.path_params["task_id"])
        lease = detail.row.state.lease
        ready = (
            lease is not None
            and detail.row.job.service is not None
            and await is_ready(lease.node_id, lease.lease_id)
        )
        return success(shown.of(detail, ready=ready))

    direct.add(
        app,
        "GET",
        f"{API}/tasks/{{task_id}}",
        get_task,
        tags=["Tasks"],
        summary="Show a task",
        parameters=[path_parameter("task_id")],
        responses={
            200: schemas.answer(TaskView, "With its leases, its money and its timeline."),
            **errors("UNAUTHORIZED", "NOT_FOUND", "RATE_LIMITED"),
        },
    )

    @app.get(
        f"{API}/tasks",
        tags=["Tasks"],
        summary="List your tasks",
        dependencies=[Depends(known_parameters)],
        response_class=Response,
        responses={
            200: schemas.answer(TaskListView, "Newest first."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "RATE_LIMITED"),
        },
    )
    async def list_tasks(
        caller: Annotated[Caller, Depends(gate)],
        status: Annotated[TaskStatus | None, Query(description="Only these.")] = None,
        workflow_id: Annotated[
            str | None, Query(description="Only this workflow's.", max_length=64)
        ] = None,
        model: Annotated[
            str | None,
            Query(description="Only those that ask this model, by its id.", max_length=128),
        ] = None,
        kind: Annotated[TaskKind | None, Query(description="Only those of this kind.")] = None,
        name: Annotated[
            str | None,
            Query(description="Only those in whose name this occurs, in any case.", max_length=200),
        ] = None,
        created_after: Annotated[
            datetime | None, Query(description="Only those of this moment and later (RFC 3339).")
        ] = None,
        created_before: Annotated[
            datetime | None, Query(description="Only those from before this moment (RFC 3339).")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
        order: Annotated[Literal["desc", "asc"], Query(description="By age.")] = "desc",
    ) -> Response:
        """Without their details; see a task itself for those."""
        which = TaskFilter(
            caller.account.id,
            phases=None if status is None else phases_of(status),
            kinds=None if kind is None else _ROWS_OF_KIND.get(kind, frozenset({kind})),
            workflow_id=workflow_id,
            model=model,
            created_after_ms=unix_ms(created_after),
            created_before_ms=unix_ms(created_before),
            text=name,
        )
        page = await tasks.list(
            which,
            limit=limit,
            offset=offset,
            oldest_first=order == "asc",
        )
        views = [summary_view(row) for row in page.rows]
        return success(TaskListView(views, page.total, limit, offset))

    @app.delete(
        f"{API}/tasks/{{task_id}}",
        tags=["Tasks"],
        summary="Cancel or delete a task",
        response_class=Response,
        responses={
            200: schemas.answer(CancelView, "What was done."),
            **errors("UNAUTHORIZED", "NOT_FOUND", "CONFLICT", "RATE_LIMITED"),
        },
    )
    async def delete_task(task_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Cancels what waits or runs (what ran so far is charged); deletes what has ended and is
        settled."""
        result, row = await tasks.end(caller.account, task_id)
        view = CancelView(row.id, result.value, STATUS_OF_PHASE[row.phase])
        return success(view, message=_MESSAGES[result])


def _location(task_id: str) -> dict[str, str]:
    return {"Location": f"{API}/tasks/{task_id}"}
