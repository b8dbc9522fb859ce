"""A container's log as an engine keeps it, told in passes with all the liberties that 20.10 takes."""

import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from hypothesis import strategies as st

from neurogrid_node.container.log_cursor import STDERR, STDOUT, LogCursor, LogRecord
from neurogrid_node.container.logs import LogPasses, split_records

# Passes until the job ends, whatever was drawn.
_PASSES_MAX = 8


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">B3xI", stream, len(data)) + data


def told(record: LogRecord) -> bytes:
    """The record as the engine sends it."""
    seconds, rest_ns = divmod(record.time_ns, 1_000_000_000)
    time = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns:09}Z "
    return frame(record.stream, time.encode() + record.text)


class Pass:
    """What one request of the engine answers."""

    def __init__(self, *frames: bytes) -> None:
        self.frames = frames
        self.is_closed = False

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return split_records(self.frames)

    def close(self) -> None:
        self.is_closed = True


@st.composite
def logs(draw: st.DrawFn, *, clock_steps_ms: Sequence[int] = (0, 1000, 60_000)) -> list[LogRecord]:
    """Lines of both streams in pieces, written in any order; each has the time of its first piece.

    Args:
        clock_steps_ms: how much later one piece is written than the one before it.
    """
    steps = st.sampled_from(clock_steps_ms)
    pieces = st.tuples(
        steps, st.sampled_from((STDOUT, STDERR)), st.sampled_from("xy"), st.booleans()
    )
    now_ns = 1_000_000_000_000
    unfinished: dict[int, int] = {}
    records = []
    for step_ms, stream, text, ends_line in draw(st.lists(pieces, max_size=12)):
        # No two pieces are written in the same nanosecond, also not if the clock is set back.
        now_ns += step_ms * 1_000_000 + 1
        time_ns = unfinished.setdefault(stream, now_ns)
        if ends_line:
            del unfinished[stream]
            text += "\n"
        records.append(LogRecord(stream, time_ns, text.encode()))
    return records


class Engine:
    """Writes a log while it is read.

    Args:
        data: decides how much is written before each pass and during it, when the file is rotated,
            and when the job ends.
    """

    def __init__(self, log: list[LogRecord], data: st.DataObject) -> None:
        self._log = log
        self._data = data
        self._written = 0
        self._passes = 0
        self._has_ended = False

    def passes(self, cursor: LogCursor) -> LogPasses:
        return LogPasses(self._open_pass, self._ended, cursor)

    def _ended(self) -> bool:
        if self._passes >= _PASSES_MAX or self._data.draw(st.booleans()):
            self._has_ended = True
            self._written = len(self._log)
        return self._has_ended

    def _open_pass(self, since_ns: int, follows: bool) -> Pass:
        self._passes += 1
        start = self._grown()
        records = self._log[:start]
        if follows:
            records += self._followed(start)
        return Pass(*(told(record) for record in records if record.time_ns >= since_ns))

    def _followed(self, start: int) -> list[LogRecord]:
        """What is written from now on, with what a rotation makes the engine repeat."""
        rotated_at = self._grown()
        looked_at = self._grown()
        return self._log[start:looked_at] + self._log[rotated_at : self._grown()]

    def _grown(self) -> int:
        self._written = self._data.draw(
            st.integers(min_value=self._written, max_value=len(self._log))
        )
        return self._written
