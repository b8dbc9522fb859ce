"""The native answer: ``{success, data, message?, timestamp}``, encoded by msgspec.

Handlers return these responses as they are: FastAPI's own serialisation would cost more than the
rest of a request (shared design, runtime.md A).
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
from starlette.responses import Response
from starlette.types import Message

from ..server.whole_exchanges import whole_answer

_encode = msgspec.json.Encoder().encode
# An answer names a few moments, and many answers the same.
_SECONDS_KEPT = 1024


class JsonAnswer(Response):
    """Bytes that are JSON, with the headers that starlette's own would work out."""

    body: bytes

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str] | None) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        # The length first, which `whole` leaves to the connection.
        self.raw_headers = [
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"application/json"),
        ]
        if headers:
            self.raw_headers += [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in headers.items()
            ]

    def whole(self) -> Message:
        """All of it as one message, for a connection that takes one."""
        return whole_answer(self.status_code, self.raw_headers[1:], self.body)


def iso(unix_ms: int) -> str:
    """``2024-01-15T10:30:00.250Z``."""
    unix_s, part_ms = divmod(unix_ms, 1000)
    return f"{_to_the_second(unix_s)}.{part_ms:03d}Z"


@lru_cache(_SECONDS_KEPT)
def _to_the_second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat().removesuffix("+00:00")


def iso_or_none(unix_ms: int | None) -> str | None:
    """As `iso`, and None for None."""
    return None if unix_ms is None else iso(unix_ms)


def seconds_or_none(milliseconds: int | None) -> float | None:
    """Seconds, and None for None."""
    return None if milliseconds is None else milliseconds / 1000


def success(
    data: object,
    *,
    status: int = 200,
    message: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer to a request that was carried out; ``data`` is anything msgspec can encode."""
    body: dict[str, object] = {"success": True, "data": data}
    if message:
        body["message"] = message
    body["timestamp"] = iso(time.time_ns() // 1_000_000)
    return json_response(body, status, headers)


def json_response(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Any JSON, encoded by msgspec."""
    return JsonAnswer(_encode(body), status, headers)
