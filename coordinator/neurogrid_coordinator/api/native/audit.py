"""``/audit/logs``: who changed what, for an account and for the operator."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query
from msgspec import Meta, Struct
from starlette.responses import Response

from ...services.audit import LIST_MAX, AuditLog, AuditPage
from ...store.audit import AuditFilter, AuditLevel, AuditRow, AuditType
from ..auth import Caller, Gate
from ..envelope import iso, success
from ..openapi import Schemas, errors
from ..paths import API
from .schemas import Time

Moment = Annotated[datetime | None, Query()]


class AuditRowView(Struct, frozen=True):
    """A change. ``hash`` covers all of it and ``previous``, the hash of the change before."""

    id: int
    timestamp: Time
    type: AuditType
    level: AuditLevel
    message: str
    account_id: str | None
    details: Annotated[
        dict[str, Any], Meta(description="`key_id`, `address`, `request_id` of a request.")
    ]
    previous: str
    hash: str


class AuditMetadata(Struct, frozen=True):
    """``total`` counts all, ``filtered`` those that fit."""

    total: int
    filtered: int
    time_range: Annotated[str, Meta(description="Two times with a slash between; `..` is open.")]


class AuditLogView(Struct, frozen=True):
    """Changes, newest first."""

    logs: list[AuditRowView]
    metadata: AuditMetadata
    limit: int
    offset: int


def add_audit_routes(app: FastAPI, log: AuditLog, gate: Gate, schemas: Schemas) -> None:
    """Add the routes."""
    responses: dict[int | str, dict[str, Any]] = {
        200: schemas.answer(AuditLogView, "Newest first."),
        **errors("INVALID_REQUEST", "UNAUTHORIZED", "KEY_EXPIRED", "FORBIDDEN", "RATE_LIMITED"),
    }

    @app.get(
        f"{API}/audit/logs",
        tags=["Audit"],
        summary="List who changed what of yours",
        response_class=Response,
        responses=responses,
    )
    async def list_audit_logs(
        caller: Annotated[Caller, Depends(gate.for_everybody)],
        start_time: Moment = None,
        end_time: Moment = None,
        type: Annotated[AuditType | None, Query()] = None,
        level: Annotated[AuditLevel | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 100,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Every change that one of your account's keys made: `type` says whether it was about tasks, and
        changes of keys, money and settings have the level `warning`."""
        which = AuditFilter(caller.account.id, unix_ms(start_time), unix_ms(end_time), type, level)
        return await _shown(log.list, which, limit, offset)

    @app.get(
        f"{API}/operator/audit/logs",
        tags=["Operator"],
        summary="List who changed what",
        response_class=Response,
        responses=responses,
    )
    async def list_all_audit_logs(
        _: Annotated[Caller, Depends(gate.for_operators)],
        account_id: Annotated[str | None, Query(max_length=64)] = None,
        start_time: Moment = None,
        end_time: Moment = None,
        type: Annotated[AuditType | None, Query()] = None,
        level: Annotated[AuditLevel | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 100,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Of all accounts; the operator's own commands have the type `system` and no account."""
        which = AuditFilter(account_id, unix_ms(start_time), unix_ms(end_time), type, level)
        return await _shown(log.list, which, limit, offset)


async def _shown(
    read: Callable[..., Awaitable[AuditPage]], which: AuditFilter, limit: int, offset: int
) -> Response:
    page = await read(which, limit=limit, offset=offset)
    return success(
        AuditLogView(
            [_view(row) for row in page.rows],
            AuditMetadata(page.total, page.filtered, time_range(which)),
            limit,
            offset,
        )
    )


def _view(row: AuditRow) -> AuditRowView:
    return AuditRowView(
        id=row.seq,
        timestamp=iso(row.at_ms),
        type=row.type,
        level=row.level,
        message=row.message,
        account_id=row.account_id,
        details=dict(row.details),
        previous=row.previous,
        hash=row.hash,
    )


def time_range(which: AuditFilter) -> str:
    """The filter's two times with a slash between; ``..`` where it is open."""
    ends = (which.since_ms, which.until_ms)
    return "/".join(".." if at_ms is None else iso(at_ms) for at_ms in ends)


def unix_ms(moment: datetime | None) -> int | None:
    """A time without a zone is UTC's."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
