"""``/batches``: many tasks that are sent together, of which a few at a time are in the market."""

from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Query, Request
from starlette.responses import Response, StreamingResponse

from ...batches.batch_rules import BatchState, ItemState
from ...services.batch_intake import BatchIntake
from ...services.batches import ITEMS_MAX, LIST_MAX, Batches
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import success
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..leaving import while_there
from ..openapi import Schemas, errors
from ..paths import API
from .amounts import micro_usdc
from .batch_requests import (
    BATCH_RULES,
    BODY_BYTES_MAX,
    BatchRequest,
    RetryRequest,
)
from .batch_schemas import BatchEndView, BatchListView, BatchTaskListView, BatchView
from .batch_sources import BatchSources, batch_wanted
from .batch_views import STATUS_OF_BATCH, batch_view, item_view, results_file
from .schemas import TaskStatus

_EXAMPLE = {
    "name": "Thumbnails",
    "defaults": {
        "docker_image": "python:3.12-slim",
        "command": ["python", "-c", "import os; print(os.environ['WORD'])"],
        "max_price_per_hour": "1.00",
        "timeout_seconds": 600,
    },
    "tasks": [{"id": "a", "env": {"WORD": "one"}}, {"id": "b", "env": {"WORD": "two"}}],
    "max_concurrency": 5,
    "retries": 1,
    "max_cost": "0.50",
}
_STATES_OF_STATUS: dict[TaskStatus, frozenset[ItemState]] = {
    # Of those that were released, the tasks say which run; here they count as not ended.
    "pending": frozenset({ItemState.PENDING}),
    "running": frozenset({ItemState.RELEASED}),
    "completed": frozenset({ItemState.COMPLETED}),
    "failed": frozenset({ItemState.FAILED}),
    "cancelled": frozenset({ItemState.CANCELLED}),
}


def add_batch_routes(
    app: FastAPI,
    *,
    intake: BatchIntake,
    batches: Batches,
    sources: BatchSources,
    gate: Gate,
    schemas: Schemas,
    public_url: str,
) -> None:
    """Add the routes."""
    batch = f"{API}/batches/{{batch_id}}"
    missing = ("UNAUTHORIZED", "BATCH_NOT_FOUND", "RATE_LIMITED")

    @app.post(
        f"{API}/batches",
        tags=["Batches"],
        summary="Send many tasks together",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.answer(BatchView, "All of its tasks are stored."),
            200: schemas.answer(BatchView, "It was sent before with this idempotency key."),
            **errors(
                "INVALID_REQUEST",
                "UNAUTHORIZED",
                "NOT_FOUND",
                "MODEL_UNAVAILABLE",
                "CONFLICT",
                "IDEMPOTENCY_MISMATCH",
                "PAYLOAD_TOO_LARGE",
                "RATE_LIMITED",
            ),
        },
        openapi_extra={"parameters": [IDEMPOTENCY_KEY], **schemas.body(BatchRequest, _EXAMPLE)},
    )
    async def create_batch(request: Request, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """All of its tasks are stored, or none: each is looked at like one of `POST /tasks`, but for money
        and nodes, which are looked for when its turn comes. At most `max_concurrency` of them are in the
        market at a time. A batch that lacks money waits and says so in `waits_for`."""
        key = idempotency_key(request)
        body = await read_json(request, BatchRequest, BATCH_RULES, limit_bytes=BODY_BYTES_MAX)
        wanted = batch_wanted(body, key)
        source = await sources.of(caller.account, body)
        made, created = await while_there(request, intake.create(caller.account, wanted, source))
        location = {"Location": f"{API}/batches/{made.row.id}"}
        return success(batch_view(made), status=201 if created else 200, headers=location)

    @app.get(
        batch,
        tags=["Batches"],
        summary="Show a batch",
        response_class=Response,
        responses={200: schemas.answer(BatchView, "With its progress."), **errors(*missing)},
    )
    async def get_batch(batch_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """By its id, or by yours. A batch of another account is not found."""
        return success(batch_view(await batches.get(caller.account, batch_id)))

    @app.get(
        f"{API}/batches",
        tags=["Batches"],
        summary="List your batches",
        response_class=Response,
        responses={
            200: schemas.answer(BatchListView, "Newest first."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "RATE_LIMITED"),
        },
    )
    async def list_batches(
        caller: Annotated[Caller, Depends(gate)],
        status: Annotated[TaskStatus | None, Query(description="Only these.")] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Without their tasks."""
        states = None
        if status is not None:
            states = frozenset(s for s in BatchState if STATUS_OF_BATCH[s] == status)
        page = await batches.list(caller.account, states=states, limit=limit, offset=offset)
        views = [batch_view(item) for item in page.batches]
        return success(BatchListView(views, page.total, limit, offset))

    @app.get(
        batch + "/tasks",
        tags=["Batches"],
        summary="List a batch's tasks",
        response_class=Response,
        responses={
            200: schemas.answer(BatchTaskListView, "In its order."),
            **errors("INVALID_REQUEST", *missing),
        },
    )
    async def list_batch_tasks(
        batch_id: str,
        caller: Annotated[Caller, Depends(gate)],
        status: Annotated[
            TaskStatus | None,
            Query(description="Only these; `running`: in the market, `pending`: not yet."),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=ITEMS_MAX)] = 100,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Each with its newest task."""
        page = await batches.items(
            caller.account,
            batch_id,
            states=None if status is None else _STATES_OF_STATUS[status],
            limit=limit,
            offset=offset,
        )
        views = [item_view(item) for item in page.items]
        return success(BatchTaskListView(page.batch.id, views, page.total, limit, offset))

    @app.get(
        batch + "/results",
        tags=["Batches"],
        summary="Get a batch's results as a file",
        response_class=Response,
        responses={
            200: {
                "description": "A line for each task, in its order.",
                "content": {"text/csv": {}, "application/x-ndjson": {}},
            },
            **errors("INVALID_REQUEST", *missing),
        },
    )
    async def get_results(
        batch_id: str,
        caller: Annotated[Caller, Depends(gate)],
        format: Annotated[Literal["csv", "jsonl"], Query(description="Or JSON lines.")] = "csv",
    ) -> Response:
        """What became of each task, what it cost, and where its output files are. At any time: what has not
        ended says so."""
        # Asked before the answer begins, so that a wrong id is an ordinary 404.
        found = await batches.get(caller.account, batch_id)
        pieces = batches.results(caller.account, found.row.id)
        name = f'attachment; filename="{found.row.id}.{format}"'
        return StreamingResponse(
            results_file(pieces, format, public_url),
            media_type="text/csv" if format == "csv" else "application/x-ndjson",
            headers={"Content-Disposition": name},
        )

    @app.post(
        batch + "/execute",
        tags=["Batches"],
        summary="Start a batch",
        response_class=Response,
        responses={
            200: schemas.answer(BatchView, "It runs."),
            **errors("CONFLICT", *missing),
        },
    )
    async def execute_batch(batch_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Starts one that was made with `execute` false; one that runs is left alone."""
        made = await batches.execute(caller.account, batch_id)
        return success(batch_view(made), message="The batch runs.")

    @app.post(
        batch + "/cancel",
        tags=["Batches"],
        summary="Cancel a batch",
        response_class=Response,
        responses={200: schemas.answer(BatchView, "Nothing begins any more."), **errors(*missing)},
    )
    async def cancel_batch(batch_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """What waits is cancelled, and what runs is told to stop; what ran so far is charged. One that has
        ended is left alone."""
        return success(batch_view(await batches.cancel(caller.account, batch_id)))

    @app.post(
        batch + "/retry",
        tags=["Batches"],
        summary="Try again what failed",
        response_class=Response,
        responses={
            200: schemas.answer(BatchView, "It runs again."),
            **errors("INVALID_REQUEST", "CONFLICT", "PAYLOAD_TOO_LARGE", *missing),
        },
        openapi_extra=schemas.body(RetryRequest, {"cancelled": True}),
    )
    async def retry_batch(
        request: Request, batch_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Of a batch that has ended. Each task that failed gets another one, and its retries anew; what has
        completed stays."""
        body = await read_json(request, RetryRequest)
        budget = None if body.max_cost is None else micro_usdc(body.max_cost, "max_cost")
        made = await batches.retry(
            caller.account, batch_id, cancelled=body.cancelled, max_cost_micro_usdc=budget
        )
        return success(batch_view(made))

    @app.delete(
        batch,
        tags=["Batches"],
        summary="Cancel or delete a batch",
        response_class=Response,
        responses={200: schemas.answer(BatchEndView, "What was done."), **errors(*missing)},
    )
    async def delete_batch(batch_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Cancels one that runs; deletes one that has ended, or was never started, and its tasks as soon as
        they are settled."""
        deleted, found = await batches.end(caller.account, batch_id)
        status = STATUS_OF_BATCH[found.row.state]
        result = "deleted" if deleted else "cancelled" if status == "cancelled" else "cancelling"
        return success(BatchEndView(found.row.id, result, status))
