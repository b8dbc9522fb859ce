"""The kinds of values that attributes have: units, bounds, how each is written and compared.

A number is an integer in its kind's base unit; a unit has to be written wherever there is more than
one to choose from, so that nobody's 24 GB become 24 bytes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .conditions import MAX_VALUE_CHARS, Operator
from .demand import MAX_TIMEOUT_S
from .errors import InvalidValue

Value = int | str | tuple[str, ...]
"""What an attribute of a node or task is: a number, a text, or for `WORDS` a set of words."""

_EXACT_MAX = 2**53 - 1
_NUMBER = re.compile(r"([0-9]{1,16})(?:\.([0-9]{1,9}))?([A-Za-z]*)", re.ASCII)
_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*", re.ASCII)

_EITHER = frozenset({Operator.EQUAL, Operator.NOT_EQUAL, Operator.IN, Operator.NOT_IN})
_ORDERED = _EITHER | {Operator.AT_LEAST, Operator.AT_MOST, Operator.MORE, Operator.LESS}
_NAMED = _EITHER | {Operator.CONTAINS, Operator.OMITS}
_SET = frozenset({Operator.HAS, Operator.LACKS})


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind of value.

    Attributes:
        name: for people, as in "an amount of memory".
        operators: that make sense.
        examples: one value as it is written.
        units: unit -> how many base units it is; empty for what is no number. A number without a
            unit counts in the only one there is.
        most: the largest number.
        decimals_min: digits after the point that are always written.
        words: the only values; empty for any.
    """

    name: str
    operators: frozenset[Operator]
    example: str
    units: Mapping[str, int] = field(default_factory=dict)
    most: int = _EXACT_MAX
    decimals_min: int = 0
    words: tuple[str, ...] = ()

    @property
    def is_number(self) -> bool:
        """Whether its values are integers in a base unit."""
        return bool(self.units)

    @property
    def is_ordered(self) -> bool:
        """Whether there is a more and a less."""
        return Operator.AT_LEAST in self.operators

    @property
    def base_unit(self) -> str:
        """What its integers count; empty for what is no number."""
        if not self.units:
            return ""
        unit, size = min(self.units.items(), key=lambda item: item[1])
        if size == 1:
            return {"B": "bytes", "s": "seconds"}.get(unit, "whole numbers")
        part = {1000: "thousandths", 1_000_000: "millionths"}[size]
        return f"{part} of a {unit}" if unit else part

    @property
    def sorted_operators(self) -> tuple[Operator, ...]:
        """Its operators in the order of the language."""
        return tuple(operator for operator in Operator if operator in self.operators)

    def units_sentence(self) -> str:
        """Which units there are, for help and errors."""
        return ", ".join(unit for unit in self.units if unit)


TEXT = Kind("a text", _NAMED, '"RTX 4090"')
WORD = Kind("a word", _NAMED, "eu-west")
WORDS = Kind("a set of words", _SET, "runsc")
VERSION = Kind("a version", _ORDERED, "8.9")
FLAG = Kind("yes or no", frozenset({Operator.EQUAL}), "yes", words=("yes", "no"))
BYTES = Kind(
    "an amount of bytes",
    _ORDERED,
    "24GB",
    units={
        "B": 1,
        "KB": 10**3,
        "KiB": 2**10,
        "MB": 10**6,
        "MiB": 2**20,
        "GB": 10**9,
        "GiB": 2**30,
        "TB": 10**12,
        "TiB": 2**40,
    },
)
DURATION = Kind(
    "a duration",
    _ORDERED,
    "2h",
    units={"s": 1, "m": 60, "h": 3600, "d": 86_400},
    most=MAX_TIMEOUT_S,
)
CORES = Kind("a number of cores", _ORDERED, "2.5", units={"": 1000}, most=10**7)
FRACTION = Kind("a part of one", _ORDERED, "0.8", units={"": 1000}, most=1000)
COUNT = Kind("a number", _ORDERED, "2", units={"": 1}, most=10**9)
USDC = Kind("an amount of USDC", _ORDERED, "0.90USDC", units={"USDC": 1_000_000}, decimals_min=2)


def read_value(kind: Kind, text: str) -> int | str:
    """A value as a person writes it.

    Raises:
        InvalidValue: it is none of this kind; says what one looks like.
    """
    if kind.is_number:
        return _read_number(kind, text)
    check_value(kind, text)
    return text


def write_value(kind: Kind, value: int | str) -> str:
    """A value as `read_value` takes it, exactly; of several units the one that is shortest."""
    if isinstance(value, str):
        return value
    # The smallest unit writes every value: it is the base unit itself, or a power of ten of it.
    smallest = min(kind.units.values())
    written = [
        f"{_decimal(value, size, kind.decimals_min)}{unit}"
        for unit, size in kind.units.items()
        if size == smallest or (size <= value and value * 1000 % size == 0)
    ]
    return min(reversed(written), key=len)


def show_value(kind: Kind, value: Value) -> str:
    """A value for people: of bytes three digits in a unit of thousands, else exactly."""
    if isinstance(value, tuple):
        return ", ".join(value) or "empty"
    if kind is not BYTES or not isinstance(value, int):
        return write_value(kind, value)
    unit, size = max(
        (item for item in kind.units.items() if "i" not in item[0] and item[1] <= max(value, 1)),
        key=lambda item: item[1],
    )
    return f"{value / size:.3g}{unit}" if value < 999 * size else f"{value // size}{unit}"


def check_value(kind: Kind, value: int | str) -> None:
    """See that a value in base units is one of this kind.

    Raises:
        InvalidValue: it is not.
    """
    if kind.is_number:
        if isinstance(value, str):
            raise InvalidValue(f"{value[:40]!r} is no integer in {kind.base_unit}")
        if not 0 <= value <= kind.most:
            raise InvalidValue(
                f"{write_value(kind, value)} is beyond {write_value(kind, kind.most)}"
            )
        return
    if not isinstance(value, str):
        raise InvalidValue(f"{value} is not {kind.name}, such as {kind.example}")
    if not 0 < len(value) <= MAX_VALUE_CHARS or not value.isprintable():
        raise InvalidValue(f"{kind.name} has 1 to {MAX_VALUE_CHARS} characters that can be printed")
    if kind.words and value not in kind.words:
        raise InvalidValue(f"{value[:40]!r} is not one of {', '.join(kind.words)}")
    if kind is VERSION and not _VERSION.fullmatch(value):
        raise InvalidValue(f"{value[:40]!r} is no version, such as {kind.example}")
    if kind in (WORD, WORDS) and not _WORD.fullmatch(value):
        raise InvalidValue(f"{value[:40]!r} is no word: letters, digits and . _ : / @ + -")


def order_key(kind: Kind, value: int | str) -> int | tuple[int, ...]:
    """What `<` compares; "8.10" is more than "8.9", and "8" as much as "8.0"."""
    if isinstance(value, int):
        return value
    assert kind is VERSION, "only numbers and versions have an order"
    parts = [int(part) for part in value.split(".")]
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


def _read_number(kind: Kind, text: str) -> int:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise InvalidValue(f"{text[:40]!r} is not {kind.name}, such as {kind.example}")
    whole, fraction, unit = match[1], match[2] or "", match[3]
    if not unit and len(kind.units) == 1:
        (size,) = kind.units.values()
    elif unit in kind.units:
        size = kind.units[unit]
    elif not kind.units_sentence():
        raise InvalidValue(f"{text[:40]!r}: {kind.name} has no unit; write {kind.example}")
    else:
        problem = f"{unit[:40]!r} is no unit of it" if unit else "a unit is missing"
        raise InvalidValue(f"{text[:40]!r}: {problem}; units are {kind.units_sentence()}")
    scaled: int = int(whole + fraction) * size
    value, rest = divmod(scaled, int("1".ljust(len(fraction) + 1, "0")))
    if rest:
        raise InvalidValue(f"{text[:40]!r} is finer than {kind.base_unit} can say")
    check_value(kind, value)
    return value


def _decimal(value: int, size: int, decimals_min: int) -> str:
    """``value / size`` where it has a short decimal."""
    whole, rest = divmod(value, size)
    digits = ""
    while rest:
        digit, rest = divmod(rest * 10, size)
        digits += str(digit)
    digits = digits.ljust(decimals_min, "0")
    return f"{whole}.{digits}" if digits else str(whole)
