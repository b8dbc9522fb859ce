"""``/v1/batches``: many requests in a file, answered when there is capacity to spare."""

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Query
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from neurogrid_marketplace.money import MICRO_PER_USDC

from ...openai.batch_lines import WINDOW
from ...openai.batch_status import FAILED, Status
from ...services.openai_batches import LIST_MAX, OpenAiBatch, OpenAiBatches
from ...services.task_answers import FileUrl
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import json_response
from ..openapi import Schemas
from .errors import refusals
from .files import After
from .models import NAME

_MS_PER_S = 1000
_EXAMPLE = {
    "input_file_id": "file-01a22b2da3ee73b2ad0b5d4862dab2fc",
    "endpoint": "/v1/chat/completions",
    "completion_window": WINDOW,
}


class OpenAiBatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A file of requests, and where all of them go."""

    input_file_id: Annotated[str, Meta(max_length=80)]
    endpoint: Literal[
        "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/images/generations"
    ]
    completion_window: Literal["24h"]
    metadata: (
        Annotated[
            dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
            Meta(max_length=16),
        ]
        | None
    ) = None


class OpenAiRequestCounts(Struct, frozen=True):
    """How far it is."""

    total: int
    completed: int
    failed: int


class OpenAiBatchError(Struct, frozen=True):
    """Why it failed as a whole."""

    code: str
    message: str
    line: int | None
    param: str | None


class OpenAiBatchErrors(Struct, frozen=True):
    """All of them."""

    object: Literal["list"]
    data: list[OpenAiBatchError]


class OpenAiBatchOrigin(Struct, frozen=True):
    """Not OpenAI's: what all of it has cost so far, USDC, and why nothing goes on; "": it does."""

    cost: float
    cost_micro_usdc: int
    waits_for: str


class OpenAiBatchView(Struct, frozen=True):
    """A batch."""

    id: str
    object: Literal["batch"]
    endpoint: str
    errors: OpenAiBatchErrors | None
    input_file_id: str
    completion_window: Literal["24h"]
    status: Status
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: OpenAiRequestCounts
    metadata: dict[str, str] | None
    neurogrid: OpenAiBatchOrigin


class OpenAiBatchList(Struct, frozen=True):
    """Some batches, newest first."""

    object: Literal["list"]
    data: list[OpenAiBatchView]
    first_id: str | None
    last_id: str | None
    has_more: bool


def add_openai_batch_routes(
    app: FastAPI,
    batches: OpenAiBatches,
    gate: Gate,
    schemas: Schemas,
    file_url: Callable[[Request], FileUrl],
) -> None:
    """Add the routes; ``file_url``: as `texts` has it."""
    read = refusals(schemas, 401, 403, 404, 429, 503)

    @app.post(
        "/v1/batches",
        tags=[NAME],
        summary="Have a file of requests answered",
        response_class=Response,
        responses={
            200: schemas.bare(OpenAiBatchView, "All of its requests are stored."),
            **refusals(schemas, 400, 401, 403, 404, 409, 413, 429, 503),
        },
        openapi_extra=schemas.body(OpenAiBatchRequest, _EXAMPLE),
    )
    async def create_batch(request: Request, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """All of its requests are stored, or none: a wrong one is refused with its line. They wait behind all others, and
        cost less (docs/openai.md)."""
        asked = await read_json(request, OpenAiBatchRequest)
        made = await batches.create(
            caller.account,
            endpoint=asked.endpoint,
            input_file_id=asked.input_file_id,
            metadata=asked.metadata or {},
        )
        return json_response(_view(made))

    @app.get(
        "/v1/batches",
        tags=[NAME],
        summary="List batches",
        response_class=Response,
        responses={
            200: schemas.bare(OpenAiBatchList, "Newest first."),
            **refusals(schemas, 400, 401, 403, 429, 503),
        },
    )
    async def list_batches(
        request: Request,
        caller: Annotated[Caller, Depends(gate)],
        after: After = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 20,
    ) -> Response:
        """Those that were made here; the native API lists all."""
        found, has_more = await batches.list(
            caller.account, after=after, limit=limit, file_url=file_url(request)
        )
        views = [_view(each) for each in found]
        first, last = (views[0].id, views[-1].id) if views else (None, None)
        return json_response(OpenAiBatchList("list", views, first, last, has_more))

    @app.get(
        "/v1/batches/{openai_batch_id}",
        tags=[NAME],
        summary="Show a batch",
        response_class=Response,
        responses={200: schemas.bare(OpenAiBatchView, "With its counts."), **read},
    )
    async def get_batch(
        request: Request, openai_batch_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Once it has ended, its answers are written into files; that may take some seconds, in which it is `finalizing`."""
        return json_response(
            _view(await batches.get(caller.account, openai_batch_id, file_url(request)))
        )

    @app.post(
        "/v1/batches/{openai_batch_id}/cancel",
        tags=[NAME],
        summary="Cancel a batch",
        response_class=Response,
        responses={
            200: schemas.bare(OpenAiBatchView, "Nothing more of it begins."),
            **refusals(schemas, 400, 401, 403, 404, 409, 429, 503),
        },
    )
    async def cancel_batch(
        openai_batch_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """What was answered before is in its file of answers, and paid."""
        return json_response(_view(await batches.cancel(caller.account, openai_batch_id)))


def _view(batch: OpenAiBatch) -> OpenAiBatchView:
    row, native, status = batch.row, batch.native, batch.status
    kept = None if native is None else native.row
    ended_s = _seconds(None if kept is None else kept.ended_at_ms)
    finished_s = _seconds(row.finished_at_ms)

    def at(wanted: str, when_s: int | None) -> int | None:
        return when_s if status == wanted else None

    spent = 0 if kept is None else kept.spent_micro_usdc
    lost = OpenAiBatchError(
        "batch_lost",
        "the coordinator stopped before all of it was stored, or it was deleted; send it again",
        None,
        None,
    )
    return OpenAiBatchView(
        id=row.id,
        object="batch",
        endpoint=row.endpoint,
        errors=OpenAiBatchErrors("list", [lost]) if status == FAILED else None,
        input_file_id=row.input_file_id,
        completion_window="24h",
        status=status,
        output_file_id=row.output_file_id,
        error_file_id=row.error_file_id,
        created_at=row.created_at_ms // _MS_PER_S,
        in_progress_at=_seconds(None if kept is None else kept.started_at_ms),
        expires_at=row.expires_at_ms // _MS_PER_S,
        finalizing_at=ended_s,
        completed_at=at("completed", finished_s),
        failed_at=at(FAILED, row.created_at_ms // _MS_PER_S),
        expired_at=at("expired", finished_s),
        cancelling_at=_seconds(row.cancelling_at_ms),
        cancelled_at=at("cancelled", finished_s),
        request_counts=OpenAiRequestCounts(
            total=0 if kept is None else kept.counts.total,
            completed=0 if kept is None else kept.counts.completed,
            failed=0 if kept is None else kept.counts.failed,
        ),
        metadata=batch.metadata or None,
        neurogrid=OpenAiBatchOrigin(spent / MICRO_PER_USDC, spent, batch.waits_for),
    )


def _seconds(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds // _MS_PER_S
