"""``/tasks``: submit, list, show, cancel."""

from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from ...services.tasks import LIST_MAX, CancelResult, Tasks
from ..auth import Caller, Gate
from ..body import read_json
from ..direct import Direct, path_parameter
from ..envelope import success
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..openapi import Schemas, errors
from ..paths import API
from .requests import TASK_RULES, TaskRequest
from .schemas import TaskStatus
from .task_schemas import CancelView, TaskListView, TaskView
from .task_submissions import submission
from .task_views import summary_view, task_view
from .words import STATUS_OF_PHASE, phases_of

_EXAMPLE = {
    "name": "Resize images",
    "type": "cpu",
    "resource_requirements": {"cpu_cores": 2, "ram_gb": 1, "storage_gb": 5},
    "docker_image": "python:3.12-slim",
    "command": ["python", "-c", "print('hello')"],
    "max_price_per_hour": "1.00",
    "timeout_seconds": 600,
    "priority": "normal",
}
_MESSAGES = {
    CancelResult.CANCELLED: "The task is cancelled.",
    CancelResult.CANCELLING: "The task is being cancelled: its node is told to stop.",
    CancelResult.DELETED: "The task is deleted. Its receipt stays valid.",
}


def add_task_routes(
    app: FastAPI, direct: Direct, tasks: Tasks, gate: Gate, schemas: Schemas
) -> None:
    """Add the routes."""

    async def create_task(request: Request) -> Response:
        """Everything that can be known to fail is refused now: values, missing inputs, the budget,
        and a market that could never serve it (with the reasons, and what to relax)."""
        caller = await gate(request)
        key = idempotency_key(request)
        body = await read_json(request, TaskRequest, TASK_RULES)
        wanted = submission(body, caller.account.wallet, key)
        detail, created = await tasks.submit(caller.account, wanted)
        location = {"Location": f"{API}/tasks/{detail.row.id}"}
        return success(task_view(detail), status=201 if created else 200, headers=location)

    direct.add(
        app,
        "POST",
        f"{API}/tasks",
        create_task,
        tags=["Tasks"],
        status_code=201,
        summary="Submit a container job",
        parameters=[IDEMPOTENCY_KEY],
        responses={
            201: schemas.answer(TaskView, "It is stored, and will run even if we crash now."),
            200: schemas.answer(TaskView, "It was submitted before with this idempotency key."),
            **errors(
                "INVALID_REQUEST",
                "UNAUTHORIZED",
                "INSUFFICIENT_CREDITS",
                "NODE_UNAVAILABLE",
                "DEPENDENCY_UNMET",
                "IDEMPOTENCY_MISMATCH",
                "PAYLOAD_TOO_LARGE",
                "RATE_LIMITED",
            ),
        },
        openapi_extra=schemas.body(TaskRequest, _EXAMPLE),
    )

    async def get_task(request: Request) -> Response:
        """A task of another account is not found."""
        caller = await gate(request)
        return success(task_view(await tasks.get(caller.account, request.path_params["task_id"])))

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
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
        order: Annotated[Literal["desc", "asc"], Query(description="By age.")] = "desc",
    ) -> Response:
        """Without their details; see a task itself for those."""
        page = await tasks.list(
            caller.account,
            phases=None if status is None else phases_of(status),
            workflow_id=workflow_id,
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
