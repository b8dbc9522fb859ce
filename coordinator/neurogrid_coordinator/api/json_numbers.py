"""Whole numbers in JSON, however they are written: 5, 5.0 and 5e0 are one number (RFC 8259, 6; JSON Schema, 6.1.1). Pure.

Many clients have one type of numbers and write 5.0. 5.5 is no whole number, and "5" is a text.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

# A number, perhaps whole, that is not written so. Some of what it finds is within a text, which costs time and no more.
_MAY_BE_WHOLE = re.compile(rb"[0-9](?:\.0+|(?:\.[0-9]*)?[eE][+-]?[0-9]+)\s*[,}\]]")
# The greatest of which every whole number below is a float, too (RFC 7493, 2.2).
_EXACT_MAX = 2**53


def decoded(text: bytes, decode: Callable[[bytes], T]) -> T:
    """JSON as a type, which ``decode``, of msgspec's, makes of it.

    Also what is of any type has whole numbers then, so that the same request is the same, however it is written.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is none of that type, or no JSON.
    """
    if _MAY_BE_WHOLE.search(text) is not None:
        text = msgspec.json.encode(_whole(msgspec.json.decode(text)))
    return decode(text)


def _whole(value: Any) -> Any:
    """The same value, with whole numbers written without a point."""
    if isinstance(value, float):
        is_whole = value.is_integer() and abs(value) <= _EXACT_MAX
        return int(value) if is_whole else value
    if isinstance(value, dict):
        return {name: _whole(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_whole(part) for part in value]
    return value
