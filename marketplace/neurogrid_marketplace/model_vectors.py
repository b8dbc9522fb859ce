"""Vectors of a model's answer, as far as two answers can be compared: some of them, drawn beforehand. Pure."""

import base64
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .answer_counting import usage_of

_NUMBERS_MAX: Final = 4096
_NUMBER_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Vectors:
    """Some vectors of an answer.

    Attributes:
        vectors: in the order of the places that were drawn.
        input_tokens: what its server says it has read, of all texts.
    """

    vectors: tuple[tuple[float, ...], ...]
    input_tokens: int = 0


class VectorReader:
    """Takes a whole answer, and holds the vectors at some places.

    Attributes:
        is_whole: whether they all came, and are some.
    """

    def __init__(self, places: tuple[int, ...]) -> None:
        self.is_whole = False
        self._places = places
        self._reply = Vectors(())

    def feed(self, value: Mapping[str, Any]) -> None:
        """The answer."""
        data = value.get("data")
        found = [_vector(data, place) for place in self._places]
        usage = usage_of(value)
        self.is_whole = bool(found) and all(found)
        self._reply = Vectors(tuple(found), usage.input_tokens + usage.cached_input_tokens)

    def reply(self) -> Vectors:
        """What has come."""
        return self._reply


def distance(one: Vectors, other: Vectors) -> float:
    """How far apart two answers' vectors are: the most of all places, as a share of the longer one's length; 1 where they cannot be compared."""
    return max(_distances(one, other), default=1.0)


def farthest(one: Vectors, other: Vectors) -> int:
    """In which of the places that were drawn they are farthest apart."""
    found = _distances(one, other)
    return found.index(max(found)) if found else 0


def _distances(one: Vectors, other: Vectors) -> list[float]:
    if len(one.vectors) != len(other.vectors):
        return []
    return [_apart(*pair) for pair in zip(one.vectors, other.vectors, strict=True)]


def _apart(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    if len(one) != len(other):
        return 1.0
    longer = max(math.hypot(*one), math.hypot(*other))
    apart = math.dist(one, other) / longer if longer else 0.0
    # What is no number is near nothing.
    return apart if math.isfinite(apart) else 1.0


def _vector(data: object, place: int) -> tuple[float, ...]:
    """Of the item at a place, numbers or base64 of 32-bit ones; none where it is none that is compared."""
    item = data[place] if isinstance(data, list) and place < len(data) else None
    said = item.get("embedding") if isinstance(item, dict) else None
    if isinstance(said, str):
        try:
            packed = base64.b64decode(said, validate=True)
        except ValueError:
            return ()
        count = len(packed) // _NUMBER_BYTES
        if len(packed) % _NUMBER_BYTES or count > _NUMBERS_MAX:
            return ()
        return struct.unpack(f"<{count}f", packed)
    if not isinstance(said, list) or len(said) > _NUMBERS_MAX:
        return ()
    if not all(isinstance(each, int | float) for each in said):
        return ()
    try:
        return tuple(float(each) for each in said)
    except OverflowError:
        return ()
