"""A container's output, as text, in bounded memory, resumable at any record.

Each piece of text comes with the cursor behind it. That is what a follower keeps: after a restart
of the node it goes on there, and nothing is reported twice or lost (unless the job printed more
than the engine keeps, `profile.py`).
"""

import re
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import outcome
import trio

from neurogrid_node.container.errors import EngineUnavailable
from neurogrid_node.container.log_cursor import LogCursor, LogRecord, LogSieve, Novelty
from neurogrid_node.container.stream import BlockingStream

# What one container may have waiting between the engine and a slow reader. The engine keeps the
# rest in its file, so a job is never blocked by a slow reader.
BUFFER_BYTES: Final = 256 * 1024

_HEADER: Final = struct.Struct(">B3xI")
# The engine splits lines at 16 KiB; a tenfold is still no danger.
_RECORD_BYTES_MAX: Final = 256 * 1024
_TIMESTAMP: Final = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z ?")
# The stream in which the engine says, in words, that it cannot go on reading its file.
_ENGINE_ERROR: Final = 3


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Consecutive output, standard output and error in the order the engine received them.

    Attributes:
        cursor: behind the last record that is whole in it; resume there.
        is_truncated: the limit of the follower was reached; this is the last chunk.
    """

    text: str
    cursor: LogCursor
    is_truncated: bool = False


def split_records(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The records of both outputs, each with its stream, in the order the engine sends them.

    Args:
        pieces: the engine's answer, cut anywhere.

    Source: Engine API, "Attach to a container", stream format: 8 bytes in front of each record,
    the first the stream, the last four the length. (Our containers have no terminal, which would
    have no such frames.)
    """
    data = bytearray()
    for piece in pieces:
        data += piece
        at = 0
        while len(data) - at >= _HEADER.size:
            stream, length = _HEADER.unpack_from(data, at)
            if length > _RECORD_BYTES_MAX:
                raise ValueError(f"a log record of {length} bytes")
            end = at + _HEADER.size + length
            if len(data) < end:
                break
            yield stream, bytes(data[at + _HEADER.size : end])
            at = end
        del data[:at]


class LogPasses:
    """A container's records, each with the cursor behind it, until it has ended and all were read.

    One request is not enough: an engine that follows its file (20.10) ends its answer when it
    rotates the file, at times before the last record of a job is in it, and repeats records. So a
    pass that follows alternates with an exact one over what there is, until an exact one began
    after the container's end.

    Args:
        open_pass: opens the records from a time on, as `split_records` gives them; and on, as they
            are written, if the second argument says so.
        has_ended: asks the engine; blocks.
        cursor: where to go on.
    """

    def __init__(
        self,
        open_pass: Callable[[int, bool], BlockingStream[tuple[int, bytes]]],
        has_ended: Callable[[], bool],
        cursor: LogCursor,
    ) -> None:
        self._open_pass = open_pass
        self._has_ended = has_ended
        self._sieve = LogSieve(cursor)
        self._lock = threading.Lock()
        self._current: BlockingStream[tuple[int, bytes]] | None = None
        self._is_closed = False

    def __iter__(self) -> Iterator[tuple[LogCursor, bytes]]:
        """
        Raises:
            EngineUnavailable: the engine cannot read its file.
        """
        is_last = False
        while not is_last:
            is_last = self._has_ended()
            yield from self._read_pass(follows=False)
            if not (is_last or self._is_closed):
                yield from self._read_pass(follows=True)
            is_last = is_last or self._is_closed

    def _read_pass(self, *, follows: bool) -> Iterator[tuple[LogCursor, bytes]]:
        self._sieve.begin_pass(is_exact=not follows)
        stream = self._open_pass(self._sieve.cursor.since_ns, follows)
        with self._lock:
            self._current = stream
            if self._is_closed:
                stream.close()
        has_news = False
        with closing(stream):
            for number, data in stream:
                if number == _ENGINE_ERROR:
                    # It may miss the file that is just being rotated; the next pass goes on.
                    if follows and has_news:
                        return
                    words = data.decode(errors="replace").strip()
                    raise EngineUnavailable(f"the engine cannot read the log: {words}")
                record = parse_record(number, data)
                novelty = self._sieve.sift(record)
                if novelty is Novelty.DOUBTFUL:
                    return
                if novelty is Novelty.NEW:
                    has_news = True
                    yield self._sieve.cursor, record.text

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._current is not None:
                self._current.close()


def parse_record(stream: int, data: bytes) -> LogRecord:
    """Split ``2026-11-22T08:27:49.915675719Z text`` into Unix nanoseconds and the text.

    A record without a time (no engine sends one) counts as time 0.
    """
    match = _TIMESTAMP.match(data)
    if match is None:
        return LogRecord(stream, 0, data)
    at_ns = parse_time_ns(match.group().rstrip().decode())
    return LogRecord(stream, at_ns, data[match.end() :])


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
        cursor: where the first record is expected.
        max_bytes: after so much text the rest is cut off.
    """

    def __init__(self, *, cursor: LogCursor, max_bytes: int) -> None:
        self._remaining_bytes = max_bytes
        self._changed = threading.Condition()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._cursor = cursor
        self._truncated = False
        self._truncation_told = False
        self._ended = False
        self._error: BaseException | None = None
        self._trio = trio.lowlevel.current_trio_token()
        self._ready = trio.Event()

    def put(self, record: tuple[LogCursor, bytes]) -> bool:
        """From the reading thread: waits while the buffer is full. False: no more is wanted.

        Args:
            record: a text and the cursor behind it.
        """
        cursor, text = record
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._pending_bytes < BUFFER_BYTES)
            if self._ended:
                return False
            if len(text) > self._remaining_bytes:
                # Between characters.
                text = text[: self._remaining_bytes].decode(errors="ignore").encode()
                self._truncated = True
            else:
                self._cursor = cursor
            self._remaining_bytes -= len(text)
            if not self._pending:
                self._wake()
            self._pending.append(text)
            self._pending_bytes += len(text)
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
                cursor, truncated = self._cursor, self._truncated
            # Each record by itself is valid: what is not, also a character that a piece's end cuts
            # in two, the engine has replaced.
            text = data.decode(errors="replace")
            if ended:
                self._ready.set()
            if text or (truncated and not self._truncation_told):
                self._truncation_told = truncated
                return LogChunk(text, cursor, truncated)
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
