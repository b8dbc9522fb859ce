"""Document 000's ``/api/audit/logs`` and ``/api/errors/log``."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query
from msgspec import Meta, Struct
from starlette.responses import Response

from ...services.audit import LIST_MAX as AUDIT_MAX
from ...services.audit import AuditLog
from ...services.failures import LIST_MAX as FAILURES_MAX
from ...services.failures import FailureLog
from ...store.audit import AuditFilter, AuditLevel, AuditType
from ...store.failures import Failure, FailureFilter, Severity
from ..auth import Caller, Gate
from ..envelope import iso, json_response
from ..native.audit import Moment, time_range, unix_ms
from ..native.failures import Timeframe, since_ms
from ..native.schemas import Time
from ..openapi import Schemas
from .bolt_errors import bolt_errors
from .bolt_words import NAME

_Offset = Annotated[int, Query(ge=0, le=10**9, description="Beyond the document: for more pages.")]


class BoltLogEntry(Struct, frozen=True):
    """A change."""

    timestamp: Time
    type: str
    level: str
    message: str
    details: Annotated[
        dict[str, Any],
        Meta(description="`id`, and `key_id`, `address`, `request_id` of a request."),
    ]


class BoltLogMetadata(Struct, frozen=True, rename="camel"):
    """``total`` counts all of the account's, ``filtered`` those that fit."""

    total: int
    filtered: int
    time_range: Annotated[str, Meta(description="Two times with a slash between; `..` is open.")]


class BoltLogs(Struct, frozen=True):
    """Changes, newest first."""

    logs: list[BoltLogEntry]
    metadata: BoltLogMetadata


class BoltErrorEntry(Struct, frozen=True, rename="camel"):
    """Something that failed."""

    id: str
    timestamp: Time
    context: Annotated[
        dict[str, Any],
        Meta(description="`taskId`, `severity`, `code`, `message`, and what is known."),
    ]
    stack: Annotated[str, Meta(description="Where, line by line; empty for tasks.")]
    resolution: Annotated[
        str, Meta(description="What somebody did about it; empty while nobody has said.")
    ]


class BoltErrorLog(Struct, frozen=True):
    """Failures, newest first; ``total`` counts all that fit."""

    errors: list[BoltErrorEntry]
    total: int


def add_bolt_record_routes(
    app: FastAPI, log: AuditLog, failures: FailureLog, gate: Gate, schemas: Schemas
) -> None:
    """Add the routes."""

    @app.get(
        "/api/audit/logs",
        tags=[NAME],
        summary="List who changed what of yours",
        response_class=Response,
        responses={
            200: schemas.bare(BoltLogs, "Newest first."),
            **bolt_errors(schemas, 401, 403, 422, 429, 503),
        },
    )
    async def list_bolt_logs(
        caller: Annotated[Caller, Depends(gate.for_everybody)],
        start: Annotated[Moment, Query(alias="startTime")] = None,
        end: Annotated[Moment, Query(alias="endTime")] = None,
        type: Annotated[AuditType | None, Query()] = None,
        level: Annotated[AuditLevel | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=AUDIT_MAX)] = AUDIT_MAX,
        offset: _Offset = 0,
    ) -> Response:
        """`startTime` is inclusive, `endTime` exclusive."""
        which = AuditFilter(caller.account.id, unix_ms(start), unix_ms(end), type, level)
        page = await log.list(which, limit=limit, offset=offset)
        entries = [
            BoltLogEntry(
                iso(row.at_ms), row.type, row.level, row.message, {"id": row.seq, **row.details}
            )
            for row in page.rows
        ]
        metadata = BoltLogMetadata(page.total, page.filtered, time_range(which))
        return json_response(BoltLogs(entries, metadata))

    @app.get(
        "/api/errors/log",
        tags=[NAME],
        summary="List what failed of yours",
        response_class=Response,
        responses={
            200: schemas.bare(BoltErrorLog, "Newest first."),
            **bolt_errors(schemas, 401, 403, 422, 429, 503),
        },
    )
    async def list_bolt_errors(
        caller: Annotated[Caller, Depends(gate.for_everybody)],
        task_id: Annotated[str | None, Query(alias="taskId", max_length=64)] = None,
        severity: Annotated[Severity | None, Query()] = None,
        timeframe: Timeframe = None,
        limit: Annotated[int, Query(ge=1, le=FAILURES_MAX)] = FAILURES_MAX,
        offset: _Offset = 0,
    ) -> Response:
        """`timeframe` is a number with `m`, `h` or `d`: how far back."""
        which = FailureFilter(caller.account.id, task_id, severity, since_ms(timeframe))
        found, total = await failures.list(which, limit=limit, offset=offset)
        return json_response(BoltErrorLog([_entry(each) for each in found], total))


def _entry(failure: Failure) -> BoltErrorEntry:
    return BoltErrorEntry(
        id=failure.id,
        timestamp=iso(failure.at_ms),
        context={
            **failure.context,
            "taskId": failure.task_id,
            "severity": failure.severity,
            "code": failure.code,
            "message": failure.message,
        },
        stack=failure.stack,
        resolution=failure.resolution or "",
    )
