"""``/tasks/{id}/logs|outputs|receipt|events``: what a task prints, leaves and proves."""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Query, Request
from starlette.responses import Response

from ...services.artifacts import Artifacts
from ...services.errors import InvalidRequest
from ...services.events import Events
from ...services.logs import LINES_MAX, LogPiece, Logs
from ...services.results import Results
from ...store.accounts import Account
from ...store.logs import READ_BYTES_MAX
from .. import sse
from ..auth import Caller, Gate
from ..envelope import success
from ..event_views import RESET, reset_fields, update_view
from ..openapi import Schemas, errors
from ..paths import API
from .files import file_response
from .task_schemas import LogView, OutputListView
from .task_views import log_view, output_view


def _last_event_id(pattern: str) -> Any:
    return Header(
        description="Of the last event that arrived; the stream goes on after it.",
        max_length=128,
        json_schema_extra={"pattern": pattern},
    )


# Of a log's events: their lease, and how far the log goes with them. Of others: their number.
_LAST_LOG_EVENT_ID = _last_event_id("^([0-9a-z_]{0,100}:)?[0-9]{1,15}$")
_LAST_EVENT_ID = _last_event_id("^[0-9]{1,15}$")

# Far beyond any log, and still an integer of every database.
_OFFSET_MAX = 10**15


def add_result_routes(
    app: FastAPI,
    *,
    logs: Logs,
    results: Results,
    events: Events,
    artifacts: Artifacts,
    gate: Gate,
    schemas: Schemas,
    stopping: asyncio.Event,
    public_url: str,
) -> None:
    """Add the routes."""
    task = f"{API}/tasks/{{task_id}}"
    stream = {"text/event-stream": {"schema": sse.EVENT_SCHEMA}}
    stream_answer = {"description": "A stream of server-sent events.", "content": stream}
    log_answer = schemas.answer(LogView, "A piece of the log; with `follow`, a stream of them.")
    log_answer["content"].update(stream)

    @app.get(
        task + "/logs",
        tags=["Results"],
        summary="Read or follow a task's log",
        response_class=Response,
        responses={
            200: log_answer,
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "NOT_FOUND", "EXPIRED"),
        },
    )
    async def get_logs(
        task_id: str,
        caller: Annotated[Caller, Depends(gate)],
        lines: Annotated[int, Query(ge=0, le=LINES_MAX, description="So many at the end.")] = 100,
        offset: Annotated[
            int | None,
            Query(
                ge=0,
                le=_OFFSET_MAX,
                description="From this byte on, instead of `lines`; beyond its end, from there on.",
            ),
        ] = None,
        limit: Annotated[
            int, Query(ge=1, le=READ_BYTES_MAX, description="Bytes.")
        ] = READ_BYTES_MAX,
        lease_id: Annotated[
            str | None, Query(description="Of an earlier attempt; default: the latest.")
        ] = None,
        follow: Annotated[
            bool, Query(description="Server-sent events `log` as it grows, then `end`.")
        ] = False,
        last_event_id: Annotated[str | None, _LAST_LOG_EVENT_ID] = None,
    ) -> Response:
        """Standard output and error of the job, together."""
        if follow and last_event_id is not None:
            lease_id, offset = _log_position(last_event_id)
        if offset is None:
            piece = await logs.tail(caller.account, task_id, lines, lease_id)
        else:
            piece = await logs.read(
                caller.account, task_id, offset=offset, max_bytes=limit, lease_id=lease_id
            )
        if not follow:
            return success(log_view(task_id, piece))
        return sse.EventStream(
            _log_events(logs, caller.account, task_id, piece), stopping, partial(gate.ended, caller)
        )

    @app.get(
        task + "/outputs",
        tags=["Results"],
        summary="List a task's output files",
        response_class=Response,
        responses={
            200: schemas.answer(OutputListView, "Empty until the task has completed."),
            **errors("UNAUTHORIZED", "NOT_FOUND"),
        },
    )
    async def list_outputs(task_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """The files that the job left under /outputs."""
        outputs = await results.outputs(caller.account, task_id)
        views = [output_view(task_id, output, public_url) for output in outputs]
        return success(OutputListView(task_id, views, len(views)))

    @app.get(
        task + "/outputs/{path:path}",
        tags=["Results"],
        summary="Get an output file",
        response_class=Response,
        responses={
            200: {"description": "The file. `ETag` is its SHA-256; `Range` resumes."},
            **errors(
                "UNAUTHORIZED", "NOT_FOUND", "EXPIRED", "RANGE_NOT_SATISFIABLE", "STORE_UNAVAILABLE"
            ),
        },
    )
    async def get_output(
        request: Request, task_id: str, path: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Exactly the bytes that the job wrote."""
        output = await results.output(caller.account, task_id, path)
        stored = await artifacts.find(caller.account, output.sha256)
        return file_response(
            request,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            content=lambda offset: artifacts.content(stored, offset),
            name=output.path,
        )

    @app.get(
        task + "/receipt",
        tags=["Results"],
        summary="Get the signed receipt",
        response_class=Response,
        responses={
            200: {"description": "The receipt, byte for byte; check it with `neurogrid verify`."},
            **errors("UNAUTHORIZED", "NOT_FOUND", "NOT_SETTLED"),
        },
    )
    async def get_receipt(
        task_id: str,
        caller: Annotated[Caller, Depends(gate)],
        lease_id: Annotated[
            str | None, Query(description="Of an earlier attempt; default: the latest.")
        ] = None,
    ) -> Response:
        """Everything that both sides signed, from the demand to the payment. It is complete a few
        seconds after the task has ended; until then the error says what is missing."""
        receipt = await results.receipt(caller.account, task_id, lease_id)
        name = f'attachment; filename="receipt-{receipt.lease_id}.json"'
        return Response(
            receipt.data,
            headers={"Content-Disposition": name},
            media_type="application/json",
        )

    @app.get(
        task + "/events",
        tags=["Results"],
        summary="Follow a task",
        response_class=Response,
        responses={200: stream_answer, **errors("UNAUTHORIZED", "NOT_FOUND")},
    )
    async def get_events(
        task_id: str,
        caller: Annotated[Caller, Depends(gate)],
        last_event_id: Annotated[str | None, _LAST_EVENT_ID] = None,
    ) -> Response:
        """Server-sent events from the task's beginning (`task.created`, `task.started`,
        `task.progress`, ...) until it has ended, then `end`. `Last-Event-ID` resumes; where that is no event (any
        more), `reset` comes first, and then all of them."""
        seen = _sequence(last_event_id)
        after, is_reset = await events.beginning(seen)
        asked = seen if is_reset else None
        # Asked before the stream begins, so that a wrong id is an ordinary 404.
        await results.outputs(caller.account, task_id)
        return sse.EventStream(
            _task_events(events, caller.account, task_id, 0 if is_reset else after, asked),
            stopping,
            partial(gate.ended, caller),
        )


async def _log_events(
    logs: Logs, account: Account, task_id: str, start: LogPiece
) -> AsyncGenerator[bytes]:
    yield _log_event(task_id, start)
    async for piece in logs.follow(account, task_id, start):
        yield _log_event(task_id, piece)
    yield sse.event("end", {"task_id": task_id})


def _log_event(task_id: str, piece: LogPiece) -> bytes:
    position = f"{piece.lease_id or ''}:{piece.next_offset}"
    return sse.event("log", log_view(task_id, piece), position)


def _log_position(event_id: str) -> tuple[str | None, int]:
    lease_id, _, offset = event_id.rpartition(":")
    if not (offset.isascii() and offset.isdecimal()) or len(offset) > len(str(_OFFSET_MAX)):
        raise InvalidRequest("Last-Event-ID: is not the id of a log event", "Last-Event-ID")
    return lease_id or None, int(offset)


async def _task_events(
    events: Events, account: Account, task_id: str, after: int, unknown: int | None
) -> AsyncGenerator[bytes]:
    if unknown is not None:
        yield sse.event(RESET, {"task_id": task_id, **reset_fields(after, unknown)}, str(after))
    async for happening in events.of_task(account, task_id, after):
        yield sse.event(happening.name, update_view(happening), str(happening.seq))
    yield sse.event("end", {"task_id": task_id})


def _sequence(event_id: str | None) -> int:
    if event_id is None:
        return 0
    if not (event_id.isascii() and event_id.isdecimal()) or len(event_id) > 15:
        raise InvalidRequest("Last-Event-ID: is not the id of an event", "Last-Event-ID")
    return int(event_id)
