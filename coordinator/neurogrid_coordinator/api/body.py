"""Request bodies: bounded while they arrive, then one typed value."""

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from starlette.requests import Request

from ..services.errors import InvalidRequest, PayloadTooLarge

T = TypeVar("T")

# The largest JSON body that any route takes. A job's text is bounded at 160 KiB; this leaves room
# for JSON's escapes.
JSON_BYTES_MAX = 1024 * 1024

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
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit_bytes:
        raise PayloadTooLarge(limit_bytes)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit_bytes:
            raise PayloadTooLarge(limit_bytes)
    return bytes(body)


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
