"""Every error answer: ``{success: false, error: {code, message, type, details}}``.

Refusals of services, values that do not parse, unknown paths and methods, and our own bugs all
leave through here, so that a client needs one way to read errors.
"""

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from neurogrid_marketplace.canonical import Json

from ..services.errors import (
    InvalidRequest,
    NodeUnavailable,
    PayloadTooLarge,
    RateLimited,
    Refused,
    Unavailable,
)
from ..store.database import DatabaseClosed, Overloaded
from .body import MalformedJson
from .envelope import json_response
from .explanations import explanation_view

_log = logging.getLogger(__name__)

# code -> (HTTP status, type). Documents 002 and 003 name the first group, the rest is ours.
CODES: dict[str, tuple[int, str]] = {
    "INVALID_REQUEST": (422, "ValidationError"),
    "UNAUTHORIZED": (401, "AuthenticationError"),
    "FORBIDDEN": (403, "AuthorizationError"),
    "NOT_FOUND": (404, "NotFoundError"),
    "RATE_LIMITED": (429, "RateLimitError"),
    "INSUFFICIENT_CREDITS": (402, "PaymentError"),
    "NODE_UNAVAILABLE": (409, "AvailabilityError"),
    "KEY_EXPIRED": (401, "AuthenticationError"),
    "METHOD_NOT_ALLOWED": (405, "ValidationError"),
    "CONFLICT": (409, "ConflictError"),
    "IDEMPOTENCY_MISMATCH": (409, "ConflictError"),
    "NOT_SETTLED": (409, "ConflictError"),
    "DEPENDENCY_UNMET": (409, "ConflictError"),
    "PAYLOAD_TOO_LARGE": (413, "ValidationError"),
    "RANGE_NOT_SATISFIABLE": (416, "ValidationError"),
    "UNAVAILABLE": (503, "AvailabilityError"),
    "INTERNAL": (500, "InternalError"),
}
_RETRY_AFTER_UNAVAILABLE_S = 1


def error_response(
    code: str,
    message: str,
    details: dict[str, Json] | None = None,
    *,
    status: int | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """An error answer.

    Args:
        status: another HTTP status than the code's own.
    """
    error = error_body(code, message, details)
    return json_response({"success": False, "error": error}, status or CODES[code][0], headers)


def error_body(code: str, message: str, details: dict[str, Json] | None = None) -> dict[str, Json]:
    """The ``error`` part alone, as ``/ws`` sends it too."""
    return {"code": code, "message": message, "type": CODES[code][1], "details": details or {}}


def refusal(error: Refused) -> Response:
    """The answer to what a service refuses."""
    details = dict(error.details)
    headers: dict[str, str] = {}
    status = CODES[error.code][0]
    match error:
        case PayloadTooLarge():
            # The rest of the body is not wanted; clients read the answer before they notice.
            headers["Connection"] = "close"
        case MalformedJson():
            status = HTTPStatus.BAD_REQUEST
        case NodeUnavailable(explanation=explanation):
            details["explanation"] = explanation_view(explanation)
        case RateLimited(retry_after_s=seconds):
            headers["Retry-After"] = str(seconds)
        case Unavailable():
            headers["Retry-After"] = str(_RETRY_AFTER_UNAVAILABLE_S)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return error_response(error.code, error.message, details, status=status, headers=headers)


def answer(error: Refused | Overloaded | DatabaseClosed) -> Response:
    """The answer to what services and the database raise on purpose."""
    if isinstance(error, Refused):
        return refusal(error)
    _log.warning("refused a request: %s", error)
    return refusal(Unavailable("the coordinator has too much to do; try again in a moment"))


def internal_error(request_id: str) -> Response:
    """The answer where we have a bug; the log tells the rest under the request's id."""
    return error_response(
        "INTERNAL",
        "the coordinator failed; nothing is wrong with the request. Try again, and report the "
        "request id if it repeats",
        {"request_id": request_id},
    )


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` in this form."""
    for kind in (Refused, Overloaded, DatabaseClosed):
        app.add_exception_handler(kind, _on_purpose)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)


def _on_purpose(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused | Overloaded | DatabaseClosed), "registered for these"
    return answer(error)


def _on_validation(_: Request, error: Exception) -> Response:
    """A path or query parameter that does not fit."""
    assert isinstance(error, RequestValidationError), "registered for this class"
    first = error.errors()[0]
    name = str(first["loc"][-1])
    return refusal(InvalidRequest(f"{name}: {first['msg']}", field=name))


def _on_http(request: Request, error: Exception) -> Response:
    """What the router itself refuses."""
    assert isinstance(error, HTTPException), "registered for this class"
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.NOT_FOUND:
        return error_response("NOT_FOUND", f"there is nothing at {request.url.path}")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return error_response(
            "METHOD_NOT_ALLOWED",
            f"{request.method} is not possible at {request.url.path}",
            headers=headers,
        )
    return error_response(
        "INVALID_REQUEST", str(error.detail), status=error.status_code, headers=headers
    )
