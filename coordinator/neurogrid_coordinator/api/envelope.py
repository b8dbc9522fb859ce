"""The native answer: ``{success, data, message?, timestamp}``, encoded by msgspec.

Handlers return these responses as they are: FastAPI's own serialisation would cost more than the
rest of a request (shared design, runtime.md A).
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from starlette.responses import Response

_encode = msgspec.json.Encoder().encode


def iso(unix_ms: int) -> str:
    """``2024-01-15T10:30:00.250Z``."""
    text = datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


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
    return Response(_encode(body), status, headers=headers, media_type="application/json")
