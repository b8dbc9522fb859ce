"""Request bodies: bounded while they arrive, then one typed value."""

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TypeVar

import msgspec
from starlette.requests import Request

from ..server.whole_exchanges import whole_exchange
from ..services.errors import InvalidRequest, PayloadTooLarge
from .choices import choices
from .headers import header
from .json_numbers import decoded

T = TypeVar("T")

# The largest JSON body that any route takes. A job's text is bounded at 160 KiB; this leaves room
# for JSON's escapes.
JSON_BYTES_MAX = 1024 * 1024

# The longest silence in the middle of a body.
SILENCE_S = 60.0
# What a long body has to come at, on average since it began and beyond the first silence: who sends a byte a minute
# would hold a connection and a file for years. A telephone's line is faster.
BYTES_PER_S_MIN = 1024

_KEPT_STATE = "kept_body"
# For whoever has to know a request again: where a whole body is left, or the hash of one that was not kept.
_READ_STATE = "read_body"
BODY_SHA256_STATE = "body_sha256"

_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$| - at `key` in `\$\.?(?P<map>[^`]*)`$")
_NAMED = re.compile(r"^Object (?:missing required|contains unknown) field `(?P<field>[^`]*)`")
_NO_WORD = "Invalid enum value"
_REGEX = re.compile(r"^Expected `str` matching regex '.*'$", re.DOTALL)


class MalformedJson(InvalidRequest):
    """The body is not JSON at all (400, where a wrong value is 422)."""


async def keep_body(request: Request, limit_bytes: int) -> bytes:
    """The whole body, which `read_body` then has, too: it arrives only once.

    Raises:
        PayloadTooLarge: see `read_body`.
    """
    body = await read_body(request, limit_bytes)
    request.scope.setdefault("state", {})[_KEPT_STATE] = body
    return body


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The whole body.

    Raises:
        PayloadTooLarge: as soon as it is known; the rest is not read.
    """
    kept = request.scope.get("state", {}).get(_KEPT_STATE)
    if isinstance(kept, bytes):
        if len(kept) > limit_bytes:
            raise PayloadTooLarge(limit_bytes)
        return kept
    exchange = whole_exchange(request.scope)
    whole = exchange.arrived() if exchange is not None else None
    if whole is None:
        whole = await _received(request, limit_bytes)
    elif len(whole) > limit_bytes:
        raise PayloadTooLarge(limit_bytes)
    request.scope.setdefault("state", {})[_READ_STATE] = whole
    return whole


async def _received(request: Request, limit_bytes: int) -> bytes:
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


def sha256_of_body(request: Request) -> str:
    """The hash of the body that was read; "": there was none, or it was not read."""
    state = request.scope.get("state", {})
    if BODY_SHA256_STATE not in state:
        body = state.get(_READ_STATE)
        state[BODY_SHA256_STATE] = hashlib.sha256(body).hexdigest() if body else ""
    return str(state[BODY_SHA256_STATE])


async def arriving(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes.

    Raises:
        InvalidRequest: nothing has come for ``SILENCE_S``, or it comes far too slowly: a stuck client holds
            nothing up.
    """
    kept = request.scope.get("state", {}).get(_KEPT_STATE)
    if isinstance(kept, bytes):
        # The wallet's signature was checked, which is of all of it.
        yield kept
        return
    pieces = request.stream()
    began_s, received = time.monotonic(), 0
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise InvalidRequest(f"the body stopped arriving for {SILENCE_S:g} s") from None
        if piece is None:
            return
        received += len(piece)
        if time.monotonic() - began_s > SILENCE_S + received / BYTES_PER_S_MIN:
            raise InvalidRequest(
                f"the body comes more slowly than {BYTES_PER_S_MIN} bytes per second"
            )
        yield piece


def announced_bytes(request: Request) -> int | None:
    """How long the body will be, where the client says so."""
    announced = header(request, b"content-length") or ""
    return int(announced) if announced.isdecimal() and len(announced) <= 18 else None


async def read_json(
    request: Request,
    kind: type[T],
    rules: Mapping[str, str] | None = None,
    *,
    limit_bytes: int = JSON_BYTES_MAX,
) -> T:
    """The body as a ``kind``.

    Args:
        rules: field path (``[]`` for any index) -> what it must look like, in words, where the type
            alone is a pattern that nobody wants to read.
        limit_bytes: of the body.

    Raises:
        MalformedJson, InvalidRequest, PayloadTooLarge: the message names the field.
    """
    body = await read_object(request, limit_bytes)
    return from_json(body, lambda data: msgspec.json.decode(data, type=kind), kind, rules)


async def read_object(request: Request, limit_bytes: int = JSON_BYTES_MAX) -> bytes:
    """The body, which there is.

    Raises:
        MalformedJson, PayloadTooLarge: it is empty, or too long.
        InvalidRequest: it is compressed.
    """
    encoding = (header(request, b"content-encoding") or "identity").strip().lower()
    if encoding != "identity":
        # A few bytes may be gigabytes of zeros.
        raise InvalidRequest(
            f"Content-Encoding: send the body as it is, without {encoding[:40]}", "Content-Encoding"
        )
    body = await read_body(request, limit_bytes)
    if not body:
        raise MalformedJson("the request has no body; send a JSON object")
    return body


def from_json(
    body: bytes,
    decode: Callable[[bytes], T],
    kind: type[T],
    rules: Mapping[str, str] | None = None,
    place: str = "",
) -> T:
    """JSON as a ``kind``, which ``decode``, of msgspec's, makes of it.

    Args:
        place: what the paths of its fields begin with.

    Raises:
        MalformedJson, InvalidRequest: the message names the field.
    """
    try:
        return decoded(body, decode)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), kind, rules or {}, place) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedJson(f"the body is not valid JSON: {error}") from error
    except RecursionError as error:
        raise MalformedJson("the body is nested too deeply") from error


def _invalid(text: str, kind: type, rules: Mapping[str, str], place: str) -> InvalidRequest:
    """msgspec's words as ours, with the field's path apart."""
    found = _PATH.search(text)
    path = (found["path"] or found["map"] or "") if found else ""
    words = text[: found.start()] if found else text
    named = _NAMED.match(words)
    if named:
        path = f"{path}.{named['field']}" if path else named["field"]
        missing = words.startswith("Object missing")
        words = "is missing" if missing else "is not a field of this request"
    elif _REGEX.match(words):
        rule = rules.get(re.sub(r"\[[^\]]*\]", "[]", path))
        words = f"must be {rule}" if rule else "has a character or a form that is not allowed"
    else:
        there = choices(kind, path) if words.startswith(_NO_WORD) else []
        words = words[:1].lower() + words[1:]
        if there:
            words = f"{words}; there are {', '.join(there)}"
    if place:
        path = f"{place}{path}" if path else place.rstrip(".: ")
    return InvalidRequest(f"{path or 'the body'}: {words}", field=path)
