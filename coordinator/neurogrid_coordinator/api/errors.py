"""Every error answer: ``{success: false, error: {code, message, type, details}}``, or as a dialect has it.

Refusals of services, values that do not parse, unknown paths and methods, and our own bugs all
leave through here, so that a client needs one way to read errors.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from neurogrid_marketplace.canonical import Json

from ..files.artifacts import StoreUnavailable
from ..services.artifacts import unreachable
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
from .head import GET, HEAD
from .last_word import LastWord

_log = logging.getLogger(__name__)

# code -> (HTTP status, type). Documents 002 and 003 name the first group, the rest is ours.
CODES: dict[str, tuple[int, str]] = {
    "INVALID_REQUEST": (422, "ValidationError"),
    "UNAUTHORIZED": (401, "AuthenticationError"),
    "FORBIDDEN": (403, "AuthorizationError"),
    "NOT_FOUND": (404, "NotFoundError"),
    "RATE_LIMITED": (429, "RateLimitError"),
    "INSUFFICIENT_CREDITS": (402, "PaymentError"),
    "QUOTA_EXCEEDED": (402, "QuotaError"),
    "NODE_UNAVAILABLE": (409, "AvailabilityError"),
    "KEY_EXPIRED": (401, "AuthenticationError"),
    "TASK_NOT_FOUND": (404, "NotFoundError"),
    "BATCH_NOT_FOUND": (404, "NotFoundError"),
    "SCHEDULED_TASK_NOT_FOUND": (404, "NotFoundError"),
    "MODEL_UNAVAILABLE": (404, "NotFoundError"),
    "INVALID_CRON_EXPRESSION": (422, "ValidationError"),
    "SIGNATURE_REQUIRED": (401, "AuthenticationError"),
    "SIGNATURE_INVALID": (401, "AuthenticationError"),
    "SIGNATURE_EXPIRED": (401, "AuthenticationError"),
    "SIGNATURE_REPLAYED": (401, "AuthenticationError"),
    "METHOD_NOT_ALLOWED": (405, "ValidationError"),
    "CONFLICT": (409, "ConflictError"),
    "IDEMPOTENCY_MISMATCH": (409, "ConflictError"),
    "EXPIRED": (410, "NotFoundError"),
    "NOT_SETTLED": (409, "ConflictError"),
    "DEPENDENCY_UNMET": (409, "ConflictError"),
    "PAYLOAD_TOO_LARGE": (413, "ValidationError"),
    "RANGE_NOT_SATISFIABLE": (416, "ValidationError"),
    "UPGRADE_REQUIRED": (426, "ValidationError"),
    "UNAVAILABLE": (503, "AvailabilityError"),
    "STORE_UNAVAILABLE": (503, "AvailabilityError"),
    # Where an answer waits for a task's result: of a dialect.
    "TASK_FAILED": (500, "TaskError"),
    "INTERNAL": (500, "InternalError"),
}
_RETRY_AFTER_UNAVAILABLE_S = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """An error before it has a form.

    Attributes:
        code: one of `CODES`.
        status: the HTTP status of the native answer.
    """

    code: str
    message: str
    details: Mapping[str, Json]
    status: int
    headers: Mapping[str, str]


# Gives problems the form that a document shows.
Form = Callable[[Problem], Response]


class Forms:
    """Which form the errors at a path have: that of the document which the path is from.

    What no dialect claims is native. A path is claimed with everything that the router, the services and
    our own bugs answer there, so that a dialect's client needs one way to read errors.
    """

    def __init__(self) -> None:
        self._of_path: dict[str, Form] = {}
        self._below: list[tuple[str, Form]] = []

    def claim(self, form: Form, *paths: str) -> None:
        """Give the errors at these paths this form; a path with a slash at its end stands for all below it."""
        for path in paths:
            if path.endswith("/") and path != "/":
                self._below.append((path, form))
            else:
                self._of_path[path] = form

    def of(self, path: str) -> Form:
        """The form of a path's errors."""
        form = self._of_path.get(path)
        if form is None:
            form = next((form for start, form in self._below if path.startswith(start)), native)
        return form


def native(problem: Problem) -> Response:
    """``{success: false, error: {code, message, type, details}}``."""
    error = error_body(problem.code, problem.message, dict(problem.details))
    return json_response({"success": False, "error": error}, problem.status, problem.headers)


def problem(
    code: str,
    message: str,
    details: Mapping[str, Json] | None = None,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Problem:
    """An error.

    Args:
        status: another HTTP status than the code's own.
    """
    return Problem(code, message, details or {}, status or CODES[code][0], headers or {})


def error_response(
    code: str,
    message: str,
    details: dict[str, Json] | None = None,
    *,
    status: int | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """A native error answer; see `problem`."""
    return native(problem(code, message, details, status=status, headers=headers))


def error_body(code: str, message: str, details: dict[str, Json] | None = None) -> dict[str, Json]:
    """The ``error`` part alone, as ``/ws`` sends it too."""
    return {"code": code, "message": message, "type": CODES[code][1], "details": details or {}}


def refused(error: Refused) -> Problem:
    """What a service refuses."""
    details = dict(error.details)
    headers: dict[str, str] = {}
    status = CODES[error.code][0]
    match error:
        case MalformedJson():
            status = HTTPStatus.BAD_REQUEST
        case NodeUnavailable(explanation=explanation):
            details["explanation"] = explanation_view(explanation)
        case RateLimited(retry_after_s=seconds):
            headers["Retry-After"] = str(seconds)
            # Document 000's name for the same.
            headers["X-RateLimit-Retry-After"] = str(seconds)
        case Unavailable():
            headers["Retry-After"] = str(details.get("retry_after", _RETRY_AFTER_UNAVAILABLE_S))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(error.code, error.message, details, status=status, headers=headers)


def answer(
    error: Refused | Overloaded | DatabaseClosed | StoreUnavailable, form: Form = native
) -> Response:
    """The answer to what services, the database and the store of artifacts raise on purpose."""
    if isinstance(error, StoreUnavailable):
        error = unreachable(error)
    if isinstance(error, PayloadTooLarge):
        made = form(refused(error))
        return LastWord(made.body, made.status_code, dict(made.headers))
    if isinstance(error, Refused):
        return form(refused(error))
    _log.warning("refused a request: %s", error)
    too_much = Unavailable("the coordinator has too much to do; try again in a moment")
    return form(refused(too_much))


def internal_error(request_id: str, form: Form = native) -> Response:
    """The answer where we have a bug; the log tells the rest under the request's id."""
    return form(
        problem(
            "INTERNAL",
            "the coordinator failed; nothing is wrong with the request. Try again, and report the "
            "request id if it repeats",
            {"request_id": request_id},
        )
    )


def install(app: FastAPI, forms: Forms) -> None:
    """Answer every error of ``app`` in the form of its path."""

    def on_purpose(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused | Overloaded | DatabaseClosed | StoreUnavailable), (
            "registered for these"
        )
        return answer(error, forms.of(request.url.path))

    def on_validation(request: Request, error: Exception) -> Response:
        """A path or query parameter that does not fit."""
        assert isinstance(error, RequestValidationError), "registered for this class"
        first = error.errors()[0]
        name = str(first["loc"][-1])
        invalid = InvalidRequest(f"{name}: {first['msg']}", field=name)
        return answer(invalid, forms.of(request.url.path))

    def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException), "registered for this class"
        return forms.of(request.url.path)(_of_router(request, error))

    for kind in (Refused, Overloaded, DatabaseClosed, StoreUnavailable):
        app.add_exception_handler(kind, on_purpose)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)


def _of_router(request: Request, error: HTTPException) -> Problem:
    """What the router itself refuses."""
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.NOT_FOUND:
        return problem("NOT_FOUND", f"there is nothing at {request.url.path}")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        there = headers.get("Allow", "").split(", ")
        if GET in there and HEAD not in there:
            headers["Allow"] = ", ".join([*there, HEAD])
        return problem(
            "METHOD_NOT_ALLOWED",
            f"{request.method} is not possible at {request.url.path}",
            headers=headers,
        )
    return problem("INVALID_REQUEST", str(error.detail), status=error.status_code, headers=headers)
