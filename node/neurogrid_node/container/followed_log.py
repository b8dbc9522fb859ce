"""A log that is not ended by whoever answers, or not in time: it ends when its reader is told of the job's end.

A swarm's manager hands on what the task's machine reads, and an answer that follows goes on for ever (swarmkit,
logbroker: "follow mode always blocks"); a cluster's API server does so while the machine is away. So the
answer is closed once the end is known, and a last exact pass reads what it had not told yet.
"""

import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

import trio

from neurogrid_node.container.errors import EngineError
from neurogrid_node.container.log_cursor import LogCursor
from neurogrid_node.container.logs import LogBuffer, LogPasses
from neurogrid_node.container.stream import BlockingStream, reader_thread

_log = logging.getLogger(__name__)


class OpenRecords(Protocol):
    """Opens one pass over the log; blocks."""

    def __call__(self, since_ns: int, *, follows: bool) -> BlockingStream[tuple[int, bytes]]:
        """The records from a time on; and on, as they are written, if it ``follows``."""


class FollowedLog:
    """The log of one job. `open` is called once, in a thread; `finish` from any other."""

    def __init__(self, open_records: OpenRecords) -> None:
        self._open_records = open_records
        self._lock = threading.Lock()
        self._has_ended = False
        self._following: BlockingStream[tuple[int, bytes]] | None = None

    def open(self, cursor: LogCursor) -> LogPasses:
        """Its records, each with the cursor behind it, until it has ended and all were read."""
        return LogPasses(self._open_pass, lambda: self._has_ended, cursor)

    def finish(self) -> None:
        """The job has ended, or nobody reads any more."""
        with self._lock:
            self._has_ended = True
            following = self._following
        if following is not None:
            following.close()

    def _open_pass(self, since_ns: int, follows: bool) -> BlockingStream[tuple[int, bytes]]:
        stream = self._open_records(since_ns, follows=follows and not self._has_ended)
        with self._lock:
            self._following = stream if follows else None
            is_late = follows and self._has_ended
        if is_late:
            stream.close()
        return stream


@asynccontextmanager
async def follow(
    open_records: OpenRecords,
    wait: Callable[[], Awaitable[object]],
    nursery: trio.Nursery,
    *,
    cursor: LogCursor,
    max_bytes: int,
    limiter: trio.CapacityLimiter,
) -> AsyncIterator[LogBuffer]:
    """A job's output so far and as it comes, until it ends.

    Args:
        wait: returns when the job has ended.
        nursery: of the engine's. Not one of the reader's: it has the reader's errors bare.
        limiter: bounds the threads that read.
    """
    log = FollowedLog(open_records)
    buffer = LogBuffer(cursor=cursor, max_bytes=max_bytes)
    until_ended = trio.CancelScope()

    async def finish() -> None:
        with until_ended:
            try:
                await wait()
            except EngineError as error:
                _log.debug("the end of a log's job: %s", error)
            except Exception:  # noqa: BLE001 - the task's boundary: one log ends no daemon
                _log.exception("the end of a log's job")
        log.finish()

    nursery.start_soon(finish)
    async with reader_thread(partial(log.open, cursor), buffer.put, buffer.end, limiter=limiter):
        try:
            yield buffer
        finally:
            until_ended.cancel()
            buffer.end()
            log.finish()
