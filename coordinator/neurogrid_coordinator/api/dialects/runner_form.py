"""How document 001 answers: its errors, its pages, and the words of its status codes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Query
from msgspec import Struct
from starlette.responses import Response

from ..envelope import iso, json_response, success
from ..errors import Problem
from ..openapi import Schemas

PREFIX = "/runner/api/v1"
NAME = "Task runner"
LIMIT_MAX = 100
_LIMIT = 10
_PAGE_MAX = 10**7
# As the document prints it.
_DONE = "Operation completed successfully"

# Native code -> the document's, with its status. What the document has no word for keeps its own.
_CODES: dict[str, tuple[str, int]] = {
    "INVALID_REQUEST": ("VALIDATION_ERROR", 400),
    "INVALID_CRON_EXPRESSION": ("INVALID_CRON_EXPRESSION", 400),
    "MODEL_UNAVAILABLE": ("MODEL_NOT_SUPPORTED", 400),
    "RATE_LIMITED": ("QUOTA_EXCEEDED", 429),
    "QUOTA_EXCEEDED": ("QUOTA_EXCEEDED", 429),
    "INSUFFICIENT_CREDITS": ("QUOTA_EXCEEDED", 429),
    "NODE_UNAVAILABLE": ("SERVICE_UNAVAILABLE", 503),
    "UNAVAILABLE": ("SERVICE_UNAVAILABLE", 503),
}
_MEANING = {
    400: "`VALIDATION_ERROR`, `INVALID_CRON_EXPRESSION` or `MODEL_NOT_SUPPORTED`.",
    401: "No key, or a wrong one.",
    403: "The key lacks the scope, or the account the role.",
    404: "`TASK_NOT_FOUND`, `BATCH_NOT_FOUND` or `SCHEDULED_TASK_NOT_FOUND`.",
    409: "It does not fit the present state: `CONFLICT`, or `IDEMPOTENCY_MISMATCH`.",
    413: "The body is too long.",
    429: "`QUOTA_EXCEEDED`: too many requests, or more than the account lets itself spend or has.",
    503: "`SERVICE_UNAVAILABLE`: no node can do it, or the coordinator is too busy.",
}

# Fields of native requests that a dialect's request becomes, in the document's words.
_FIELDS = {
    "input_file": "inputFile",
    "batch.input_file": "inputFile",
    "output_file": "outputFile",
}

Order = Annotated[Literal["asc", "desc"], Query(description="Of `sort`.")]


class RunnerErrorBody(Struct, frozen=True):
    """What went wrong; ``details.code`` is the native code where it is another."""

    code: str
    message: str
    details: dict[str, Any]


class RunnerError(Struct, frozen=True):
    """Every error of document 001."""

    success: Literal[False]
    error: RunnerErrorBody
    timestamp: str


class RunnerPagination(Struct, frozen=True, rename="camel"):
    """Which part of a list this is."""

    page: int
    limit: int
    total: int
    total_pages: int


@dataclass(frozen=True, slots=True)
class Paging:
    """Which part of a list is asked for."""

    page: int
    limit: int

    @property
    def offset(self) -> int:
        """How many come before."""
        return (self.page - 1) * self.limit

    def of(self, total: int) -> RunnerPagination:
        """This page of a list with so many."""
        return RunnerPagination(self.page, self.limit, total, -(-total // self.limit))


async def paging_of(
    page: Annotated[int, Query(ge=1, le=_PAGE_MAX)] = 1,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Of one page.")] = _LIMIT,
) -> Paging:
    """A dependency of lists; asynchronous, because FastAPI gives others a thread."""
    return Paging(page, limit)


async def paging_if_asked(
    page: Annotated[int | None, Query(ge=1, le=_PAGE_MAX)] = None,
    limit: Annotated[int | None, Query(ge=1, le=LIMIT_MAX, description="Of one page.")] = None,
) -> Paging | None:
    """The same of what the document prints whole, without pages: None where none is asked for."""
    if page is None and limit is None:
        return None
    return Paging(page or 1, limit or _LIMIT)


def done(data: object, message: str = _DONE, *, status: int = 200) -> Response:
    """An answer; the document says that each has a message."""
    return success(data, status=status, message=message)


def error_form(error: Problem) -> Response:
    """An error as the document has it."""
    code, status = _CODES.get(error.code, (error.code, error.status))
    details, message = dict(error.details), error.message
    field = _FIELDS.get(str(details.get("field")))
    if field is not None:
        message = message.replace(str(details["field"]), field, 1)
        details["field"] = field
    if code != error.code:
        details["code"] = error.code
    body = {
        "success": False,
        "error": {"code": code, "message": message, "details": details},
        "timestamp": iso(time.time_ns() // 1_000_000),
    }
    return json_response(body, status, error.headers)


def refusals(schemas: Schemas) -> Callable[..., dict[int | str, dict[str, Any]]]:
    """Documents a route's error answers, by their statuses; 401, 403, 429 and 503 come with every one."""

    def of(*statuses: int) -> dict[int | str, dict[str, Any]]:
        every: Sequence[int] = sorted({*statuses, 401, 403, 429, 503})
        return {status: schemas.bare(RunnerError, _MEANING[status]) for status in every}

    return of
