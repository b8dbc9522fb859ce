"""Pictures of a model's answer, as far as two answers can be compared: one of them, drawn beforehand. Pure."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .png_points import FILE_BYTES_MAX, Points

_BRIGHTEST: Final = 255


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of an answer, as it came; ``points``: of it, once it has been read; None: not yet, or it cannot be."""

    file: bytes
    points: Points | None = None


class PictureReader:
    """Takes a whole answer, and holds the picture at one place.

    Attributes:
        is_whole: whether it came.
    """

    def __init__(self, place: int) -> None:
        self.is_whole = False
        self._place = place
        self._file = b""

    def feed(self, value: Mapping[str, Any]) -> None:
        """The answer."""
        data = value.get("data")
        item = data[self._place] if isinstance(data, list) and self._place < len(data) else None
        text = item.get("b64_json") if isinstance(item, dict) else None
        if not isinstance(text, str) or len(text) > FILE_BYTES_MAX:
            return
        try:
            self._file = base64.b64decode(text, validate=True)
        except ValueError:
            return
        self.is_whole = bool(self._file)

    def reply(self) -> Picture:
        """What has come."""
        return Picture(self._file)


def difference(one: Points, other: Points) -> float:
    """By how much the colours of two pictures differ on average, as a share of the brightest; 1 where their sizes do."""
    if (one.width, one.height) != (other.width, other.height):
        return 1.0
    pairs = zip(one.colours, other.colours, strict=True)
    return sum(abs(ours - theirs) for ours, theirs in pairs) / (_BRIGHTEST * len(one.colours))
