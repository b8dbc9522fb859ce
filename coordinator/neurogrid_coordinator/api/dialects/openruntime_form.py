"""How document 004 answers: its errors, and what its status codes mean."""

import time
from typing import Any

from starlette.responses import Response

from ..envelope import iso, json_response
from ..errors import Problem
from ..openapi import Schemas
from .openruntime_schemas import ErrorEnvelope

NAME = "OpenRuntime"
# Where the document has a status for it; all other codes keep their own.
_STATUS = {"NODE_UNAVAILABLE": 503, "INSUFFICIENT_CREDITS": 503, "MODEL_UNAVAILABLE": 503}

_MEANING = {
    400: "The body is no JSON.",
    401: "No key, or a wrong one, and the operator lets nobody in without.",
    403: "The key lacks the scope.",
    409: "The idempotency key was used for another request.",
    413: "The body is too long.",
    422: "A value breaks a rule; `error` says which.",
    429: "Too many requests: the document allows a production deployment to say so.",
    500: "The task failed, or the coordinator did; `data.code` says which.",
    503: "No node can do it, the account's money does not suffice, or the coordinator is too busy; see `data.code`.",
}


def error_form(error: Problem) -> Response:
    """An error as the document has it; ``data`` has the native code and details."""
    body = {
        "status": "error",
        "data": {"code": error.code, "details": dict(error.details)},
        "error": error.message,
        "timestamp": now_text(),
    }
    return json_response(body, _STATUS.get(error.code, error.status), error.headers)


def refusals(schemas: Schemas, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documents a route's error answers, by their statuses."""
    return {status: schemas.bare(ErrorEnvelope, _MEANING[status]) for status in statuses}


def now_text() -> str:
    """The time, as answers say it."""
    return iso(time.time_ns() // 1_000_000)
