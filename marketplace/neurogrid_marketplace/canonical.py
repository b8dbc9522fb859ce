"""The one byte form of a message that is hashed and signed.

It is RFC 8785 (JSON Canonicalization Scheme) restricted to what messages are made of: objects with
ASCII keys, arrays, strings, integers, booleans and null. Floats are refused, so that two languages
never disagree on how one is written.
"""

import hashlib
import json

from .errors import InvalidValue

Json = None | bool | int | str | list["Json"] | dict[str, "Json"]

# Nesting deeper than any message of ours; stops a hostile body from exhausting the stack.
MAX_DEPTH = 16


def canonical_bytes(value: object) -> bytes:
    """Encode ``value`` canonically.

    Raises:
        InvalidValue: a float, a non-ASCII key, another type, or nesting beyond ``MAX_DEPTH``.
    """
    _check(value, MAX_DEPTH)
    try:
        return json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        ).encode()
    except UnicodeEncodeError as error:  # a lone surrogate is not Unicode text
        raise InvalidValue("a string holds a lone surrogate") from error


def sha256_hex(value: object) -> str:
    """SHA-256 of the canonical form, lower-case hex: how messages refer to one another."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def _check(value: object, depth: int) -> None:
    if depth < 0:
        raise InvalidValue(f"nested deeper than {MAX_DEPTH}")
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise InvalidValue(f"object key {key!r} is not an ASCII string")
            _check(item, depth - 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, depth - 1)
    else:
        raise InvalidValue(f"{type(value).__name__} has no canonical form")
