"""A place in a container's output, and which records of the engine lie behind it. Pure.

A record has a stream, a time and a text. The engine cuts lines into pieces of 16 KiB, and gives
every piece the time of its line's first, however long the line takes (moby,
daemon/logger/copier.go). So one stream's times never go back, unless the host's clock does, but
those of two streams cannot be compared: a place is a time and a number of records in each.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

# The stream's number in front of each record; any other number is standard output's.
STDOUT: Final = 1
STDERR: Final = 2

# Each pass begins a little before the cursor. A clock that was set back by less loses nothing, and
# a stream's first record may be a moment older than what the other one has written before it.
_SLACK_NS: Final = 5_000_000_000
# As many records as one file of the engine can hold, 8 MiB of 70 bytes each: about 20 MB.
_RECENT_MAX: Final = 120_000


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A line with its newline, or a piece of a long one."""

    stream: int
    time_ns: int
    text: bytes


@dataclass(frozen=True, slots=True)
class StreamCursor:
    """Up to where one stream was read.

    Attributes:
        time_ns: Unix time of the newest record.
        count: records with exactly this time; 0 if there was none at all.
    """

    time_ns: int = 0
    count: int = 0

    def __post_init__(self) -> None:
        if self.time_ns < 0 or self.count < 0:
            raise ValueError(f"not a place in a log: {self}")


_UNREAD: Final = StreamCursor()


@dataclass(frozen=True, slots=True)
class LogCursor:
    """Up to where a container's output was read."""

    stdout: StreamCursor = _UNREAD
    stderr: StreamCursor = _UNREAD

    @property
    def since_ns(self) -> int:
        """No record behind this place is older."""
        times = [stream.time_ns for stream in (self.stdout, self.stderr) if stream.count]
        return max(0, min(times, default=0) - _SLACK_NS)


LOG_START: Final = LogCursor()


class Novelty(Enum):
    """What a record is to its reader."""

    NEW = auto()
    REPEATED = auto()
    # Only an exact pass can tell.
    DOUBTFUL = auto()


class LogSieve:
    """Tells new records from repeated ones, through any number of passes over the log.

    An exact pass reads what there is, once and in order, from ``cursor.since_ns`` or earlier. One
    that follows the log starts like that, but later the engine may tell again what it told since it
    rotated the file (20.10, daemon/logger/loggerutils/follow.go: it takes the new file, which is
    smaller, for the old one cut off, and reads it from the start). Equal pieces of an unfinished
    line are then as they would be if the job had gone on.

    A log whose records behind the cursor are no longer there goes on with the oldest that is. In
    one line of more than the engine keeps, pieces are lost.

    Attributes:
        cursor: behind the newest record that was new.
    """

    def __init__(self, cursor: LogCursor) -> None:
        self._stdout = _StreamSieve(cursor.stdout)
        self._stderr = _StreamSieve(cursor.stderr)
        self._recent: OrderedDict[int, None] = OrderedDict()
        self._is_exact = True

    @property
    def cursor(self) -> LogCursor:
        return LogCursor(self._stdout.cursor, self._stderr.cursor)

    def begin_pass(self, *, is_exact: bool) -> None:
        self._is_exact = is_exact
        self._stdout.begin_pass()
        self._stderr.begin_pass()

    def sift(self, record: LogRecord) -> Novelty:
        """Look at the pass's next record; one that is new moves the cursor.

        After a doubtful one an exact pass must follow.
        """
        was_seen = self._was_seen(record)
        stream = self._stderr if record.stream == STDERR else self._stdout
        return stream.sift(record, was_seen=was_seen, is_exact=self._is_exact)

    def _was_seen(self, record: LogRecord) -> bool:
        """Whether it is among the last records; it is from now on."""
        key = hash((record.stream, record.time_ns, record.text))
        if key in self._recent:
            self._recent.move_to_end(key)
            return True
        self._recent[key] = None
        if len(self._recent) > _RECENT_MAX:
            self._recent.popitem(last=False)
        return False


class _StreamSieve:
    """What `LogSieve` knows of one stream."""

    def __init__(self, cursor: StreamCursor) -> None:
        self.cursor = cursor
        self._is_mid_line = False
        self.begin_pass()

    def begin_pass(self) -> None:
        self._has_arrived = False
        # Records of the cursor's time in this pass.
        self._passed = 0

    def sift(self, record: LogRecord, *, was_seen: bool, is_exact: bool) -> Novelty:
        """
        Args:
            was_seen: a record like this one has come before, in this pass or in another.
        """
        is_same_time = record.time_ns == self.cursor.time_ns
        if is_same_time:
            self._passed += 1
            if self._passed <= self.cursor.count:
                self._has_arrived = True
                self._is_mid_line = not record.text.endswith(b"\n")
                return Novelty.REPEATED
            if was_seen and self._is_mid_line:
                # The line's next piece, equal to one before it, or that one again.
                if not is_exact:
                    return Novelty.DOUBTFUL
                was_seen = False
        # An older record behind the cursor's was written after the clock had been set back.
        self._has_arrived = self._has_arrived or record.time_ns >= self.cursor.time_ns
        if was_seen or not self._has_arrived:
            return Novelty.REPEATED
        if not is_same_time:
            self._passed = 1
        count = self.cursor.count + 1 if is_same_time else 1
        self.cursor = StreamCursor(record.time_ns, count)
        self._is_mid_line = not record.text.endswith(b"\n")
        return Novelty.NEW
