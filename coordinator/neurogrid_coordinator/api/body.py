"""Request bodies: bounded while they arrive, then one typed value."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import TypeVar

import msgspec
from starlette.requests import Request

from ..services.errors import InvalidRequest, PayloadTooLarge

T = TypeVar("T")

# The largest JSON body that any route takes. A job's text is bounded at 160 KiB; this leaves room
# for JSON's escapes.
JSON_BYTES_MAX = 1024 * 1024

# The longest silence in the middle of a body.
SILENCE_S = 60.0

_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$| - at `key` in `\$\.?(?P<map>[^`]*)`$")
_NAMED = re.compile(r"^Object (?:missing required|contains unknown) field `(?P<field>[^`]*)`")
_REGEX = re.compile(r"^Expected `str` matching regex '.*'$", re.DOTALL)


class MalformedJson(InvalidRequest):
    """The body is not JSON at all (400, where a wrong value is 422)."""


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The whole body.

    Raises:
        PayloadTooLarge: as soon as it is known; the rest is not read.
    """
    if (announced_bytes(request) or 0) > limit_bytes:
        raise PayloadTooLarge(limit_bytes)
    body = bytearray()
    try:
        # One deadline for all of it: a JSON body is small.
        async with asyncio.timeout(SILENCE_S):
            async for piece in request.stream():
                body += piece
                if len(body) > limit_bytes:
                    raise PayloadTooLarge(limit_bytes)
    except TimeoutError:
        raise InvalidRequest(f"the body did not arrive within {SILENCE_S:g} s") from None
    return bytes(body)


async def arriving(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes.

    Raises:
        InvalidRequest: nothing has come for ``SILENCE_S``: a stuck client holds nothing up.
    """
    pieces = request.stream()
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise InvalidRequest(f"the body stopped arriving for {SILENCE_S:g} s") from None
        if piece is None:
            return
        yield piece


def announced_bytes(request: Request) -> int | None:
    """How long the body will be, where the client says so."""
    announced = request.headers.get("content-length", "")
    return int(announced) if announced.isdecimal() and len(announced) <= 18 else None


async def read_json(request: Request, kind: type[T], rules: Mapping[str, str] | None = None) -> T:
    """The body as a ``kind``.

    Args:
        rules: field path (``[]`` for any index) -> what it must look like, in words, where the type
            alone is a pattern that nobody wants to read.

    Raises:
        MalformedJson, InvalidRequest, PayloadTooLarge: the message names the field.
    """
    body = await read_body(request, JSON_BYTES_MAX)
    if not body:
        raise MalformedJson("the request has no body; send a JSON object")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), rules or {}) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedJson(f"the body is not valid JSON: {error}") from error
    except RecursionError as error:
        raise MalformedJson("the body is nested too deeply") from error


def _invalid(text: str, rules: Mapping[str, str]) -> InvalidRequest:
    """msgspec's words as ours, with the field's path apart."""
    place = _PATH.search(text)
    path = (place["path"] or place["map"] or "") if place else ""
    words = text[: place.start()] if place else text
    named = _NAMED.match(words)
    if named:
        path = f"{path}.{named['field']}" if path else named["field"]
        missing = words.startswith("Object missing")
        words = "is missing" if missing else "is not a field of this request"
    elif _REGEX.match(words):
        rule = rules.get(re.sub(r"\[[^\]]*\]", "[]", path))
        words = f"must be {rule}" if rule else "has a character or a form that is not allowed"
    else:
        words = words[:1].lower() + words[1:]
    return InvalidRequest(f"{path or 'the body'}: {words}", field=path)
