"""Reading what a client sends, with a bound for each thing that it could send without end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from models.serving.errors import Refused, wrong

# A body that is not here by then is not coming.
BODY_S = 60.0
JSON_BYTES_MAX = 4 * 1024 * 1024
_T = TypeVar("_T")


def too_large(bytes_max: int) -> Refused:
    """A body that is longer than any that is read."""
    return Refused(
        413, f"The body is too large. At most {bytes_max} bytes are read.", code="request_too_large"
    )


def check_announced(request: Request, bytes_max: int) -> None:
    """Refuse a body that says itself that it is too large, before a byte of it is read."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > bytes_max:
        raise too_large(bytes_max)


async def body_of(request: Request, bytes_max: int = JSON_BYTES_MAX) -> bytes:
    """The whole body.

    Raises:
        Refused: it is too large, or too slow.
    """
    check_announced(request, bytes_max)

    async def read() -> bytes:
        whole = bytearray()
        async for piece in request.stream():
            whole += piece
            if len(whole) > bytes_max:
                raise too_large(bytes_max)
        return bytes(whole)

    return await within(BODY_S, read())


async def within(limit_s: float, reading: Awaitable[_T]) -> _T:
    """What is read of a body, if it comes in time.

    Raises:
        Refused: it does not.
    """
    try:
        async with asyncio.timeout(limit_s):
            return await reading
    except TimeoutError:
        raise Refused(408, f"The body did not come within {limit_s:g} s.") from None


async def json_of(request: Request, form: type[_T]) -> _T:
    """The body as what its JSON should be.

    Raises:
        Refused: it is not; the message says where.
    """
    return read_json(await body_of(request), form)


def read_json(data: bytes, form: type[_T]) -> _T:
    """JSON as what it should be; see `json_of`."""
    try:
        return msgspec.json.decode(data, type=form)
    except msgspec.ValidationError as error:
        words, _, path = str(error).partition(" - at `$")
        field = path.rstrip("`").lstrip(".")
        if words.startswith("Object contains unknown field `"):
            name = words.split("`")[1]
            field = f"{field}.{name}".lstrip(".")
            raise wrong(field, "this server knows no such field, so leave it out") from error
        raise wrong(field or "body", f"{words[:1].lower()}{words[1:]}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, f"The body is no JSON: {error}") from error


def encoded(value: Any) -> bytes:
    """A value as JSON."""
    return msgspec.json.encode(value)
