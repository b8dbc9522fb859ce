"""A container's output, as text, in bounded memory, resumable at a point in time.

The engine prefixes each record with the time it was written. That time is what a follower keeps:
after a restart of the node it asks for what came later, and no line is reported twice or lost
(unless the job printed more than the engine keeps, `container_profile.py`).
"""

import codecs
import re
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import outcome
import trio

from neurogrid_node.container_stream import BlockingStream

# What one container may have waiting between the engine and a slow reader. The engine keeps the
# rest in its file, so a job is never blocked by a slow reader.
BUFFER_BYTES: Final = 256 * 1024

_HEADER: Final = struct.Struct(">4xI")
# The engine splits lines at 16 KiB; a tenfold is still no danger.
_RECORD_BYTES_MAX: Final = 256 * 1024
_TIMESTAMP: Final = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z ?")


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Consecutive output, standard output and error in the order the engine received them.

    Attributes:
        until_ns: Unix time of the last record in it; resume with ``since_ns`` = this.
        is_truncated: the limit of the follower was reached; this is the last chunk.
    """

    text: str
    until_ns: int
    is_truncated: bool = False


def split_records(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The records of both outputs, in the order the engine sends them.

    Args:
        pieces: the engine's answer, cut anywhere.

    Source: Engine API, "Attach to a container", stream format: 8 bytes in front of each record,
    the last four its length. (Our containers have no terminal, which would have no such frames.)
    """
    data = bytearray()
    for piece in pieces:
        data += piece
        at = 0
        while len(data) - at >= _HEADER.size:
            (length,) = _HEADER.unpack_from(data, at)
            if length > _RECORD_BYTES_MAX:
                raise ValueError(f"a log record of {length} bytes")
            end = at + _HEADER.size + length
            if len(data) < end:
                break
            yield bytes(data[at + _HEADER.size : end])
            at = end
        del data[:at]


# As many records as two files of the engine hold at lines of 160 bytes; about 20 MB when it is full.
_RECENT_MAX: Final = 100_000


class LogPasses:
    """A container's records, each with its time, until it has ended and all of them were read.

    One request is not enough: the engine (20.10) ends its answer when it rotates the file, and at
    times before the last record of a job is in it. So the file is read once more, from where the
    last pass stopped, until a pass began after the container's end.

    Args:
        open_pass: opens the records from about a time on; a few older ones do not matter.
        has_ended: asks the engine; blocks.
        since_ns: records up to and including this time are left out.
    """

    def __init__(
        self,
        open_pass: Callable[[int], BlockingStream[bytes]],
        has_ended: Callable[[], bool],
        since_ns: int,
    ) -> None:
        self._open_pass = open_pass
        self._has_ended = has_ended
        self._since_ns = since_ns
        # Records as (time, hash), to tell those that the engine repeats within one pass: seen when
        # it rotated the file while it was read, on a busy machine.
        self._recent: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._lock = threading.Lock()
        self._current: BlockingStream[bytes] | None = None
        self._is_closed = False

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        is_last = False
        while not is_last:
            is_last = self._has_ended()
            stream = self._open_pass(self._since_ns)
            with self._lock:
                self._current = stream
                if self._is_closed:
                    stream.close()
            before_ns = self._since_ns
            for record in stream:
                at_ns, text = parse_record(record)
                if (at_ns > before_ns and self._is_new(at_ns, text)) or at_ns == 0:
                    self._since_ns = max(self._since_ns, at_ns)
                    yield at_ns, text
            is_last = is_last or self._is_closed

    def _is_new(self, at_ns: int, text: bytes) -> bool:
        key = (at_ns, hash(text))
        if key in self._recent:
            return False
        self._recent[key] = None
        if len(self._recent) > _RECENT_MAX:
            self._recent.popitem(last=False)
        return True

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._current is not None:
                self._current.close()


def parse_record(record: bytes) -> tuple[int, bytes]:
    """Split ``2026-11-22T08:27:49.915675719Z text`` into Unix nanoseconds and the text.

    A record without a time (no engine sends one) counts as time 0.
    """
    match = _TIMESTAMP.match(record)
    if match is None:
        return 0, record
    return parse_time_ns(match.group().rstrip().decode()), record[match.end() :]


def parse_time_ns(text: str) -> int:
    """Unix nanoseconds of the engine's RFC 3339 time; 0 for its zero time (year 1) or nonsense."""
    match = _TIMESTAMP.match(text.encode())
    if match is None or text.startswith("0001-"):
        return 0
    seconds = datetime.fromisoformat(match.group(1).decode()).replace(tzinfo=UTC).timestamp()
    fraction = (match.group(2) or b"").ljust(9, b"0")
    return int(seconds) * 1_000_000_000 + int(fraction)


class LogBuffer:
    """One thread puts records, one trio task takes everything there is as one chunk.

    So a job that prints 200,000 short lines costs some hundred wake-ups, not 200,000.

    Args:
        since_ns: time of the last record before the first one here.
        max_bytes: after so much text the rest is cut off.
    """

    def __init__(self, *, since_ns: int, max_bytes: int) -> None:
        self._remaining_bytes = max_bytes
        self._changed = threading.Condition()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._until_ns = since_ns
        self._truncated = False
        self._truncation_told = False
        self._ended = False
        self._error: BaseException | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._trio = trio.lowlevel.current_trio_token()
        self._ready = trio.Event()

    def put(self, record: tuple[int, bytes]) -> bool:
        """From the reading thread: waits while the buffer is full. False: no more is wanted."""
        at_ns, text = record
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._pending_bytes < BUFFER_BYTES)
            if self._ended:
                return False
            if len(text) > self._remaining_bytes:
                text = text[: self._remaining_bytes]
                self._truncated = True
            self._remaining_bytes -= len(text)
            if not self._pending:
                self._wake()
            self._pending.append(text)
            self._pending_bytes += len(text)
            self._until_ns = max(self._until_ns, at_ns)
            return not self._truncated

    def end(self, how: outcome.Outcome[None] | None = None) -> None:
        """No more records will come, or none is wanted. From any thread; releases `put`.

        Args:
            how: an error in it is raised by `take`, after everything that came before it.
        """
        with self._changed:
            if not self._ended and isinstance(how, outcome.Error):
                self._error = how.error
            self._ended = True
            self._changed.notify_all()
            self._wake()

    def _wake(self) -> None:
        try:
            self._trio.run_sync_soon(self._set_ready, idempotent=True)
        except trio.RunFinishedError:  # the loop has gone, and with it whoever would read
            return

    def _set_ready(self) -> None:
        self._ready.set()

    async def take(self) -> LogChunk | None:
        """Everything there is now, waiting for the first of it; None at the end."""
        while True:
            await self._ready.wait()
            # Replaced before looking: a record that arrives after the look wakes the next call.
            self._ready = trio.Event()
            with self._changed:
                data = b"".join(self._pending)
                self._pending.clear()
                self._pending_bytes = 0
                ended = self._ended
                self._changed.notify_all()
                until_ns, truncated = self._until_ns, self._truncated
            text = self._decoder.decode(data, final=ended)
            if ended:
                self._ready.set()
            if text or (truncated and not self._truncation_told):
                self._truncation_told = truncated
                return LogChunk(text, until_ns, truncated)
            if ended and self._error is not None:
                raise self._error
            if ended:
                return None

    def __aiter__(self) -> "LogBuffer":
        return self

    async def __anext__(self) -> LogChunk:
        """As `take`. A cancelled wait loses nothing."""
        chunk = await self.take()
        if chunk is None:
            raise StopAsyncIteration
        return chunk
