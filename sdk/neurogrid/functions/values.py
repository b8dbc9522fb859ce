"""Arguments and results of remote functions, as JSON with tags: nobody's pickle is ever opened.

A list is ``[...]``; whatever JSON has no form for is ``{"$": kind, ...}``, also each dict, so that no key is mistaken for a tag.
This file goes along to the job, and so imports the standard library alone; NumPy where it is.
"""

import base64
import dataclasses
import datetime
import decimal
import json
import math
from importlib import import_module
from typing import Any

# Of one argument list or result, encoded.
SIZE_MAX_BYTES = 64 * 1024 * 1024
_DEPTH_MAX = 100
# Booleans, integers, floats and complex numbers; no array of objects.
_ARRAY_KINDS = "biufc"


class NoForm(TypeError):
    """A value has no form in JSON here; the message names its type, and what has one."""


class NotEncoded(ValueError):
    """A text is not what `encode` writes."""


def encode(value: Any) -> bytes:
    """A value as JSON.

    Dataclasses and named tuples come back as dicts and tuples.

    Raises:
        NoForm: it, or something in it, is of another type, is too deep, or all of it is too large.
    """
    text = json.dumps(_plain(value, 0), separators=(",", ":"), allow_nan=False).encode()
    if len(text) > SIZE_MAX_BYTES:
        raise NoForm(f"{len(text)} bytes of JSON are more than {SIZE_MAX_BYTES}: pass it as a file")
    return text


def decode(text: bytes) -> Any:
    """What `encode` made this of.

    Raises:
        NotEncoded: it is nothing that `encode` writes, or too large.
    """
    if len(text) > SIZE_MAX_BYTES:
        raise NotEncoded(f"more than {SIZE_MAX_BYTES} bytes")
    try:
        return _value(json.loads(text), 0)
    except NotEncoded:
        raise
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
        OverflowError,
        ArithmeticError,
    ) as error:
        raise NotEncoded(f"not a value: {type(error).__name__}") from error


def _plain(value: Any, depth: int) -> Any:
    if depth > _DEPTH_MAX:
        raise NoForm(f"nested more than {_DEPTH_MAX} deep, or in itself")
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        # JSON of other makers, and Python's own reading, stop at long numbers.
        return value if abs(value) < 2**63 else {"$": "int", "v": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"$": "float", "v": repr(value)}
    if kind is list:
        return [_plain(item, depth + 1) for item in value]
    if kind in (set, frozenset):
        return {"$": kind.__name__, "v": [_plain(item, depth + 1) for item in value]}
    if isinstance(value, tuple):
        return {"$": "tuple", "v": [_plain(item, depth + 1) for item in value]}
    if kind is dict:
        pairs = [[_plain(key, depth + 1), _plain(item, depth + 1)] for key, item in value.items()]
        return {"$": "dict", "v": pairs}
    if kind in (bytes, bytearray):
        return {"$": kind.__name__, "v": base64.b64encode(value).decode()}
    if kind is complex:
        return {"$": "complex", "v": [repr(value.real), repr(value.imag)]}
    if kind is decimal.Decimal:
        return {"$": "Decimal", "v": str(value)}
    if kind in (datetime.datetime, datetime.date, datetime.time):
        return {"$": kind.__name__, "v": value.isoformat()}
    if kind is datetime.timedelta:
        return {"$": "timedelta", "v": [value.days, value.seconds, value.microseconds]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _plain(fields, depth + 1)
    return _array(value)


def _array(value: Any) -> Any:
    dtype: Any = getattr(value, "dtype", None)
    if getattr(dtype, "kind", "") in tuple(_ARRAY_KINDS) and hasattr(value, "tobytes"):
        data = base64.b64encode(value.tobytes()).decode()
        return {"$": "ndarray", "dtype": dtype.str, "shape": list(value.shape), "v": data}
    raise NoForm(
        f"{type(value).__module__}.{type(value).__qualname__} can't be sent: numbers, texts, bytes, lists, tuples, sets, "
        "dicts, dates, Decimals, dataclasses and NumPy's arrays of numbers can"
    )


def _value(plain: Any, depth: int) -> Any:
    if depth > _DEPTH_MAX + 2:
        raise NotEncoded("nested too deep")
    if isinstance(plain, list):
        return [_value(item, depth + 1) for item in plain]
    if not isinstance(plain, dict):
        return plain
    kind, inner = plain["$"], plain["v"]
    if kind == "dict":
        return {_value(key, depth + 1): _value(item, depth + 1) for key, item in inner}
    if kind in ("tuple", "set", "frozenset"):
        made = {"tuple": tuple, "set": set, "frozenset": frozenset}[kind]
        return made(_value(item, depth + 1) for item in inner)
    if kind == "ndarray":
        return _array_of(plain)
    if kind not in _SCALARS:
        raise NotEncoded(f"no such kind of value: {kind!r:.40}")
    return _SCALARS[kind](inner)


def _array_of(plain: Any) -> Any:
    try:
        numpy: Any = import_module("numpy")
    except ImportError as error:
        raise NotEncoded("an array of NumPy, which is not installed here") from error
    dtype = numpy.dtype(str(plain["dtype"]))
    if dtype.kind not in _ARRAY_KINDS:
        raise NotEncoded("an array of something else than numbers")
    data = base64.b64decode(plain["v"], validate=True)
    return numpy.frombuffer(data, dtype).reshape([int(size) for size in plain["shape"]]).copy()


_SCALARS: dict[str, Any] = {
    "int": lambda text: int(text, 16),
    "float": float,
    "bytes": lambda text: base64.b64decode(text, validate=True),
    "bytearray": lambda text: bytearray(base64.b64decode(text, validate=True)),
    "complex": lambda parts: complex(float(parts[0]), float(parts[1])),
    "Decimal": decimal.Decimal,
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "timedelta": lambda parts: datetime.timedelta(*parts),
}
