"""The ``Idempotency-Key`` header of what creates something."""

from typing import Any

from starlette.requests import Request

from ..services.errors import InvalidRequest
from ..store import repeats
from .headers import header

_NAME = "Idempotency-Key"
_HEADER = b"idempotency-key"
_CHARS_MAX = 255
# As OpenAPI documents it.
IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": _NAME,
    "in": "header",
    "description": "Any text of yours. Sending the same request again with the same key returns what "
    "the first one made instead of a second one.",
    "schema": {"type": "string", "minLength": 1, "maxLength": _CHARS_MAX},
}


def idempotency_key(request: Request, *, keeps_it: bool = True) -> str | None:
    """The key that came with a request.

    Args:
        keeps_it: the route keeps the key with what it makes, so its answer is not kept (`repeating`).

    Raises:
        InvalidRequest: it is empty or too long.
    """
    if keeps_it:
        repeats.expect(None)
    key = header(request, _HEADER)
    if key is not None and not 0 < len(key) <= _CHARS_MAX:
        raise InvalidRequest(f"{_NAME}: has 1 to {_CHARS_MAX} characters", _NAME)
    return key
