"""From tokens to the text that may be said: whole characters, and nothing that may yet turn out to be a stop sequence."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class Writing:
    """A text that grows, and ends before the first of its stop sequences.

    Attributes:
        stopped: it has come to one.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = False

    def add(self, data: bytes, *, last: bool = False) -> str:
        """What can be said now that these bytes are there, too.

        Args:
            last: nothing comes after them.
        """
        if self.stopped:
            return ""
        text = self._held + self._decoder.decode(data, last)
        found = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = 0 if last else self._begun(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def _begun(self, text: str) -> int:
        """How many characters at the end are the beginning of a stop sequence."""
        most = max((len(stop) for stop in self._stops), default=1) - 1
        for length in range(min(most, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
