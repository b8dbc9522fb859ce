"""What answers of a coordinator mean, and how long to wait after one that failed: shared by both clients."""

import random
from http import HTTPStatus
from typing import Any, Generic, TypeVar

import httpx
import msgspec

from .errors import ApiError, api_error

T = TypeVar("T")

# 0.25, 0.5, 1, 2, 4 ... seconds, each times 0.5 to 1, so that clients that fail together do not
# come back together.
_BACKOFF_FIRST_S = 0.25
_BACKOFF_MAX_S = 8.0
# The server's fault, and passing: a restart, a gateway without its upstream, an overload.
PASSING_STATUS = frozenset({502, 503, 504})
# What an answer to HEAD, which has no body, means.
_HEAD_CODES = {401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND"}
# An error body is a few hundred bytes; this much is read of one that is not ours.
_ERROR_BODY_MAX = 1024 * 1024

_REASONS = {each.value: each.phrase for each in HTTPStatus}


class Envelope(msgspec.Struct, Generic[T]):
    """An answer that is no error."""

    data: T


class _ErrorBody(msgspec.Struct):
    # None in OpenAI's form, where there is none.
    code: str | None = ""
    message: str = ""
    details: dict[str, Any] = {}


class _ErrorEnvelope(msgspec.Struct):
    error: _ErrorBody


def backoff_s(failures: int) -> float:
    """How long to wait after so many failures in a row before."""
    longest_s: float = min(_BACKOFF_FIRST_S * 2**failures, _BACKOFF_MAX_S)
    return longest_s * random.uniform(0.5, 1.0)


def describe(error: Exception) -> str:
    """Who could not be reached, and why."""
    request = getattr(error, "_request", None)
    where = (
        f"{request.url.scheme}://{request.url.netloc.decode()}" if request else "the coordinator"
    )
    return f"{where} can't be reached: {str(error) or type(error).__name__}"


def raise_for_error(response: httpx.Response, task_id: str | None) -> None:
    """Raise the error that an answer, which was read, says.

    Raises:
        ApiError: it says one.
    """
    if not response.is_error:
        return
    code = _HEAD_CODES.get(response.status_code, "") if response.request.method == "HEAD" else ""
    raise refused(
        response.status_code,
        response.content,
        task_id,
        code=code,
        retry_after=_seconds(response.headers.get("Retry-After")),
    )


def refused(
    status: int,
    body: bytes,
    task_id: str | None,
    *,
    code: str = "",
    retry_after: float | None = None,
) -> ApiError:
    """The error that an answer says.

    Args:
        code: what it means, should its body not say.
    """
    reason = _REASONS.get(status, "")
    try:
        error = msgspec.json.decode(body[:_ERROR_BODY_MAX], type=_ErrorEnvelope).error
    except msgspec.DecodeError:
        # Without a body (HEAD), or not one of ours: a proxy, or another service at this address.
        error = _ErrorBody(code, f"HTTP {status} {reason}".strip())
    return api_error(
        status=status,
        code=error.code or "",
        message=error.message or reason,
        details=error.details,
        retry_after=retry_after,
        task_id=task_id,
    )


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:  # an HTTP date: our coordinator never sends one
        return None


def user_agent() -> str:
    """What this client calls itself."""
    from importlib.metadata import version

    return f"neurogrid-python/{version('neurogrid')}"
