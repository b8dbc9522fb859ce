"""``/workflows``: tasks that are submitted together, watched together and ended together."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from starlette.responses import Response

from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.task import TERMINAL
from neurogrid_telemetry.traces import Traces, read_traceparent

from ...services.batch_tasks import ReadTask
from ...services.fetching import Fetching
from ...services.tasks import CancelResult
from ...services.workflows import LIST_MAX, Workflow, Workflows, WorkflowWanted
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, success
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..leaving import while_there
from ..openapi import Schemas, errors
from ..paths import API
from .task_schemas import CancelView
from .task_views import common_fields
from .words import STATUS_OF_PHASE
from .workflow_requests import WORKFLOW_RULES, WorkflowRequest
from .workflow_schemas import WorkflowListView, WorkflowSummary, WorkflowTaskView, WorkflowView

_TRAIN = {"docker_image": "python:3.12-slim", "max_price_per_hour": "1.00", "timeout_seconds": 600}
_EXAMPLE = {
    "name": "Train and test",
    "tasks": {
        "train": {**_TRAIN, "command": ["python", "-c", "open('/outputs/model', 'w').write('1')"]},
        "test": {
            **_TRAIN,
            "command": ["python", "-c", "print(open('/inputs/model').read())"],
            "inputs": [{"path": "model", "from_task": "train"}],
        },
    },
}
_MESSAGES = {
    CancelResult.CANCELLED: "All tasks of the workflow have ended.",
    CancelResult.CANCELLING: "The workflow is being cancelled: nodes are told to stop.",
    CancelResult.DELETED: "The workflow and its tasks are deleted. Their receipts stay valid.",
}


def add_workflow_routes(
    app: FastAPI,
    workflows: Workflows,
    read_task: ReadTask,
    fetching: Fetching,
    gate: Gate,
    schemas: Schemas,
    traces: Traces,
) -> None:
    """Add the routes."""

    @app.post(
        f"{API}/workflows",
        tags=["Workflows"],
        summary="Submit tasks that depend on each other",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.answer(WorkflowView, "All of its tasks are stored."),
            200: schemas.answer(WorkflowView, "It was submitted before with this idempotency key."),
            **errors(
                "INVALID_REQUEST",
                "UNAUTHORIZED",
                "INSUFFICIENT_CREDITS",
                "QUOTA_EXCEEDED",
                "NODE_UNAVAILABLE",
                "DEPENDENCY_UNMET",
                "IDEMPOTENCY_MISMATCH",
                "PAYLOAD_TOO_LARGE",
                "RATE_LIMITED",
            ),
        },
        openapi_extra={
            "parameters": [IDEMPOTENCY_KEY],
            **schemas.body(WorkflowRequest, _EXAMPLE),
        },
    )
    async def create_workflow(
        request: Request, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """All tasks are stored, or none; each may be of any kind. Each waits until all that it depends on have completed; then
        its inputs are fixed to the hashes of their outputs, and it is queued. If one fails or is
        cancelled, those that depend on it end as failed (`DEPENDENCY_FAILED`,
        `DEPENDENCY_CANCELLED`), and what depends on those; a file that is not there ends its reader
        with `OUTPUT_MISSING`. Tasks on other branches go on. The highest cost of every task is held
        from now on, so that a workflow that has begun can be paid to its end."""
        key = idempotency_key(request)
        body = await read_json(request, WorkflowRequest, WORKFLOW_RULES)
        wanted = WorkflowWanted(
            {
                name: read_task(bytes(task), caller.account.wallet, f"tasks.{name}.")
                for name, task in body.tasks.items()
            },
            body.name,
            key,
        )
        parent = read_traceparent(request.headers.get("traceparent", ""))
        with traces.within("workflow.submit", parent) as span:
            wanted = replace(
                wanted,
                tasks={
                    name: replace(task, trace=span.traceparent)
                    for name, task in wanted.tasks.items()
                },
            )
            if any(task.names_urls for task in wanted.tasks.values()):
                wanted = await while_there(request, fetching.workflow(caller.account, wanted))
            workflow, created = await workflows.submit(caller.account, wanted)
            span.note(workflow=workflow.row.id)
        location = {"Location": f"{API}/workflows/{workflow.row.id}"}
        return success(_view(workflow), status=201 if created else 200, headers=location)

    @app.get(
        f"{API}/workflows/{{workflow_id}}",
        tags=["Workflows"],
        summary="Show a workflow",
        response_class=Response,
        responses={
            200: schemas.answer(WorkflowView, "With its tasks."),
            **errors("UNAUTHORIZED", "NOT_FOUND", "RATE_LIMITED"),
        },
    )
    async def get_workflow(workflow_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """A workflow of another account is not found."""
        return success(_view(await workflows.get(caller.account, workflow_id)))

    @app.get(
        f"{API}/workflows",
        tags=["Workflows"],
        summary="List your workflows",
        response_class=Response,
        responses={
            200: schemas.answer(WorkflowListView, "Newest first."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "RATE_LIMITED"),
        },
    )
    async def list_workflows(
        caller: Annotated[Caller, Depends(gate)],
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Without their tasks; `GET /tasks?workflow_id=` lists those."""
        page = await workflows.list(caller.account, limit=limit, offset=offset)
        views = [WorkflowSummary(**_summary(item)) for item in page.workflows]
        return success(WorkflowListView(views, page.total, limit, offset))

    @app.delete(
        f"{API}/workflows/{{workflow_id}}",
        tags=["Workflows"],
        summary="Cancel or delete a workflow",
        response_class=Response,
        responses={
            200: schemas.answer(CancelView, "What was done."),
            **errors("UNAUTHORIZED", "NOT_FOUND", "CONFLICT", "RATE_LIMITED"),
        },
    )
    async def delete_workflow(
        workflow_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Cancels every task that has not ended, all in one step; deletes a workflow whose tasks have
        ended and are settled."""
        result, workflow = await workflows.end(caller.account, workflow_id)
        view = CancelView(workflow.row.id, result.value, workflow.status.value)
        return success(view, message=_MESSAGES[result])


def _view(workflow: Workflow) -> WorkflowView:
    return WorkflowView(
        **_summary(workflow),
        tasks=[
            WorkflowTaskView(
                **common_fields(task, task.cost_micro_usdc),
                key=task.workflow_key or "",
                depends_on=list(task.state.needs.task_ids),
            )
            for task in workflow.tasks
        ],
    )


def _summary(workflow: Workflow) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for task in workflow.tasks:
        word = STATUS_OF_PHASE[task.phase]
        counts[word] = counts.get(word, 0) + 1
    ended = all(task.phase in TERMINAL for task in workflow.tasks)
    ends = [task.ended_at_ms or 0 for task in workflow.tasks]
    return {
        "id": workflow.row.id,
        "name": workflow.row.name,
        "status": workflow.status.value,
        "created_at": iso(workflow.row.created_at_ms),
        "completed_at": iso(max(ends)) if ended else None,
        "counts": counts,
        "cost_usdc": format_usdc(workflow.cost_micro_usdc),
    }
