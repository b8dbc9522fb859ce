"""How often one place in the code is heard: whoever is connected can make us say things."""

import logging
import time
from collections.abc import Callable

# What a hundred leases do in the same moment is heard whole; what never ends costs some kilobytes a second.
BURST_LINES = 200
LINES_PER_S = 10


class LogRate(logging.Filter):
    """Lets each place in the code say `BURST_LINES` at once and `LINES_PER_S` for ever.

    The next line of a place that was left out says how many were, as ``left_out``. It remembers one entry for each
    place, and a program has only so many.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now_s = now_s
        self._places: dict[tuple[str, int], _Place] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        place = self._places.setdefault((record.pathname, record.lineno), _Place(self._now_s()))
        left_out = place.takes(self._now_s())
        if left_out is None:
            return False
        if left_out:
            record.left_out = left_out
        return True


class _Place:
    def __init__(self, now_s: float) -> None:
        self._lines = float(BURST_LINES)
        self._at_s = now_s
        self._left_out = 0

    def takes(self, now_s: float) -> int | None:
        """How many were left out before this one, which is written; None: it is left out."""
        self._lines = min(BURST_LINES, self._lines + (now_s - self._at_s) * LINES_PER_S)
        self._at_s = now_s
        if self._lines < 1:
            self._left_out += 1
            return None
        self._lines -= 1
        left_out, self._left_out = self._left_out, 0
        return left_out
