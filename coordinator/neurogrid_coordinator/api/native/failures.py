"""``/errors``: what failed, for an account and for the operator; and what was done about it."""

import re
import time
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from msgspec import Meta, Struct
from starlette.responses import Response

from ...services.errors import InvalidRequest
from ...services.failures import LIST_MAX, FailureLog
from ...store.failures import Failure, FailureFilter, Severity
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, iso_or_none, success
from ..openapi import Schemas, errors
from ..paths import API
from .schemas import Time

_TIMEFRAME = re.compile(r"([1-9][0-9]{0,3})([mhd])\Z", re.ASCII)
Timeframe = Annotated[
    str | None,
    Query(max_length=8, json_schema_extra={"pattern": "^[1-9][0-9]{0,3}[mhd]$"}),
]
_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_EXAMPLE = {"resolution": "The image was rebuilt with the missing library."}
_ERRORS = ("INVALID_REQUEST", "UNAUTHORIZED", "KEY_EXPIRED", "FORBIDDEN", "RATE_LIMITED")


class FailureView(Struct, frozen=True):
    """Something that failed. ``stack`` says where, as far as is known."""

    id: str
    timestamp: Time
    severity: Severity
    code: str
    message: str
    account_id: str | None
    task_id: str | None
    context: dict[str, Any]
    stack: str
    resolution: str | None
    resolved_at: Time | None


class FailureListView(Struct, frozen=True):
    """Failures, newest first."""

    errors: list[FailureView]
    total: int
    limit: int
    offset: int


class ResolutionRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What was found out, or done; null takes that back."""

    resolution: Annotated[str, Meta(min_length=1, max_length=2000)] | None


def add_failure_routes(app: FastAPI, log: FailureLog, gate: Gate, schemas: Schemas) -> None:
    """Add the routes."""
    listed: dict[int | str, dict[str, Any]] = {
        200: schemas.answer(FailureListView, "Newest first."),
        **errors(*_ERRORS),
    }
    changed: dict[int | str, dict[str, Any]] = {
        200: schemas.answer(FailureView, "With its resolution."),
        **errors(*_ERRORS, "NOT_FOUND", "PAYLOAD_TOO_LARGE"),
    }
    shown: dict[int | str, dict[str, Any]] = {
        200: schemas.answer(FailureView, "As it is now."),
        **errors(*_ERRORS[1:], "NOT_FOUND"),
    }
    body = schemas.body(ResolutionRequest, _EXAMPLE)

    @app.get(
        f"{API}/errors",
        tags=["Audit"],
        summary="List what failed of yours",
        response_class=Response,
        responses=listed,
    )
    async def list_errors(
        caller: Annotated[Caller, Depends(gate.for_everybody)],
        task_id: Annotated[str | None, Query(max_length=64)] = None,
        severity: Annotated[Severity | None, Query()] = None,
        timeframe: Timeframe = None,
        resolved: Annotated[bool | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 100,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Tasks that failed (`medium`) or found no node (`low`), also of tasks that are deleted. `timeframe`
        is a number with `m`, `h` or `d`: how far back. The newest 10,000 are kept."""
        which = FailureFilter(caller.account.id, task_id, severity, since_ms(timeframe), resolved)
        found, total = await log.list(which, limit=limit, offset=offset)
        return success(FailureListView([_view(each) for each in found], total, limit, offset))

    @app.get(
        f"{API}/errors/{{error_id}}",
        tags=["Audit"],
        summary="Show an error",
        response_class=Response,
        responses=shown,
    )
    async def get_error(
        error_id: str, caller: Annotated[Caller, Depends(gate.for_everybody)]
    ) -> Response:
        """Of your own account."""
        return success(_view(await log.get(error_id, caller.account.id)))

    @app.patch(
        f"{API}/errors/{{error_id}}",
        tags=["Audit"],
        summary="Say what was done about an error",
        response_class=Response,
        responses=changed,
        openapi_extra=body,
    )
    async def resolve_error(
        request: Request, error_id: str, caller: Annotated[Caller, Depends(gate.for_everybody)]
    ) -> Response:
        """Of your own account. Repeating changes the words."""
        wanted = await read_json(request, ResolutionRequest)
        return success(_view(await log.resolve(error_id, wanted.resolution, caller.account.id)))

    @app.get(
        f"{API}/operator/errors",
        tags=["Operator"],
        summary="List what failed",
        response_class=Response,
        responses=listed,
    )
    async def list_all_errors(
        _: Annotated[Caller, Depends(gate.for_operators)],
        account_id: Annotated[str | None, Query(max_length=64)] = None,
        task_id: Annotated[str | None, Query(max_length=64)] = None,
        severity: Annotated[Severity | None, Query()] = None,
        timeframe: Timeframe = None,
        resolved: Annotated[bool | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 100,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Of all accounts, and requests that failed by a bug of the coordinator's (`high`), which have no
        account."""
        which = FailureFilter(account_id, task_id, severity, since_ms(timeframe), resolved)
        found, total = await log.list(which, limit=limit, offset=offset)
        return success(FailureListView([_view(each) for each in found], total, limit, offset))

    @app.get(
        f"{API}/operator/errors/{{error_id}}",
        tags=["Operator"],
        summary="Show any error",
        response_class=Response,
        responses=shown,
    )
    async def get_any_error(
        error_id: str, _: Annotated[Caller, Depends(gate.for_operators)]
    ) -> Response:
        """Of any account, or of none."""
        return success(_view(await log.get(error_id, None)))

    @app.patch(
        f"{API}/operator/errors/{{error_id}}",
        tags=["Operator"],
        summary="Say what was done about any error",
        response_class=Response,
        responses=changed,
        openapi_extra=body,
    )
    async def resolve_any_error(
        request: Request, error_id: str, _: Annotated[Caller, Depends(gate.for_operators)]
    ) -> Response:
        """Of any account. Repeating changes the words."""
        wanted = await read_json(request, ResolutionRequest)
        return success(_view(await log.resolve(error_id, wanted.resolution, None)))


def since_ms(timeframe: str | None) -> int | None:
    """Unix milliseconds so long before now; None for None.

    Raises:
        InvalidRequest: it is no number with m, h or d.
    """
    if timeframe is None:
        return None
    found = _TIMEFRAME.match(timeframe)
    if not found:
        raise InvalidRequest('timeframe: a number with m, h or d, like "24h"', "timeframe")
    return time.time_ns() // 1_000_000 - int(found[1]) * _MS[found[2]]


def _view(failure: Failure) -> FailureView:
    return FailureView(
        id=failure.id,
        timestamp=iso(failure.at_ms),
        severity=failure.severity,
        code=failure.code,
        message=failure.message,
        account_id=failure.account_id,
        task_id=failure.task_id,
        context=dict(failure.context),
        stack=failure.stack,
        resolution=failure.resolution,
        resolved_at=iso_or_none(failure.resolved_at_ms),
    )
