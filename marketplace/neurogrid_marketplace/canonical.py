"""The one byte form of a message that is hashed and signed.

It is RFC 8785 (JSON Canonicalization Scheme) restricted to what messages are made of: objects with
ASCII keys, arrays, strings, integers, booleans and null. Floats are refused, so that two languages
never disagree on how one is written.
"""

import hashlib
from collections.abc import Collection, Iterable

import msgspec

from .errors import InvalidValue

Json = None | bool | int | str | list["Json"] | dict[str, "Json"]

# Nesting deeper than any message of ours; stops a hostile body from exhausting the stack.
MAX_DEPTH = 16

# RFC 8785's bytes for what `_check` lets through (tests/marketplace/test_canonical.py compares them with
# json.dumps), at a thirtieth of its time: every message is encoded at least once by either side.
_encode = msgspec.json.Encoder(order="sorted").encode
# What most values are: with these, and only these, nothing more has to be looked at.
_LEAVES = frozenset({str, int, bool, type(None)})


def canonical_bytes(value: object) -> bytes:
    """Encode ``value`` canonically.

    Raises:
        InvalidValue: a float, a non-ASCII key, another type, or nesting beyond ``MAX_DEPTH``.
    """
    _check(value, MAX_DEPTH)
    try:
        return _encode(value)
    except UnicodeEncodeError as error:  # a lone surrogate is not Unicode text
        raise InvalidValue("a string holds a lone surrogate") from error


def sha256_hex(value: object) -> str:
    """SHA-256 of the canonical form, lower-case hex: how messages refer to one another."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def _check(value: object, depth: int) -> None:
    if value.__class__ in _LEAVES:
        return
    if isinstance(value, dict):
        if not _are_ascii(value):
            for key in value:
                if not isinstance(key, str) or not key.isascii():
                    raise InvalidValue(f"object key {key!r} is not an ASCII string")
        items: Collection[object] = value.values()
    elif isinstance(value, list | tuple):
        items = value
    elif isinstance(value, bool | int | str):
        return  # an enumeration's
    else:
        raise InvalidValue(f"{type(value).__name__} has no canonical form")
    if items and depth == 0:
        raise InvalidValue(f"nested deeper than {MAX_DEPTH}")
    for item in items:
        if item.__class__ not in _LEAVES:
            _check(item, depth - 1)


def _are_ascii(keys: Iterable[object]) -> bool:
    """Whether they are ASCII strings, all looked at in one step."""
    try:
        return "".join(keys).isascii()  # type: ignore[arg-type]  # the question is whether they are strings
    except TypeError:
        return False
