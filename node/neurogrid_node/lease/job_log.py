"""The log of one job in a file of our own: exactly what the coordinator gets, resumable.

The engine's log is the source; our file is a copy whose length and cursor in the engine's log are
journaled together. After a crash the file is cut back to the journaled length and continued from
that cursor, so that nothing is lost and nothing comes twice.
"""

import codecs
import hashlib
import os
from pathlib import Path

import trio

from neurogrid_marketplace.messages import MAX_LOG_BYTES

from ..container.log_cursor import LOG_START, LogCursor
from ..journal import Journal, JournalThread, LogPosition
from .progress import Progress, asks_for_checkpoint, latest

# The most log text kept and sent for one job, but for the note that says so.
LOG_BYTES_MAX = MAX_LOG_BYTES
CUT_NOTE = "\n[neurogrid: the log was cut here, at 16 MiB]\n"


class JobLog:
    """One job's log file. `open` comes first.

    Attributes:
        progress: the latest that the program said.
        asks_for_checkpoint: whether it has asked for one since this was last set to False.
        size_bytes: how long it is.
        cursor: how far the engine's log is in it.
    """

    def __init__(
        self, lease_id: str, path: Path, journal: JournalThread, *, max_bytes: int = LOG_BYTES_MAX
    ) -> None:
        self.progress = Progress()
        self.asks_for_checkpoint = False
        self.size_bytes = 0
        self.cursor = LOG_START
        self._lease_id = lease_id
        self._path = path
        self._journal = journal
        self._max_bytes = max_bytes
        self._grown = trio.Event()
        self._opening = trio.Lock()
        self._is_open = False

    async def open(self) -> None:
        """Find out how far it is, and cut off what was not journaled; once, whoever asks first.

        Follower and sender ask at the same time: one that went on before the position is known
        would begin at the start, and every line would come twice.
        """
        async with self._opening:
            if not self._is_open:
                await self._restore()
                self._is_open = True

    async def _restore(self) -> None:
        def restore(journal: Journal) -> LogPosition:
            position = journal.log_position(self._lease_id)
            self._path.touch(mode=0o600)
            if self._path.stat().st_size < position.log_bytes:
                # Somebody took the file: the engine tells it all again.
                position = LogPosition()
                journal.save_log_position(self._lease_id, position)
            os.truncate(self._path, position.log_bytes)
            return position

        position = await self._journal.call(restore)
        self.size_bytes, self.cursor = position.log_bytes, position.cursor

    @property
    def full(self) -> bool:
        """Whether it was cut: nothing more is taken."""
        return self.size_bytes > self._max_bytes

    async def append(self, text: str, cursor: LogCursor) -> None:
        """Add a piece; durable when this returns.

        Raises:
            OSError: the disk refuses; nothing was added, and it may be tried again.
        """
        if self.full:
            return
        data = text.encode()
        room = self._max_bytes - self.size_bytes
        if len(data) > room:
            # Cut between characters, and say so in the log itself: that makes it full.
            kept = data[:room].decode(errors="ignore").encode()
            data = kept + CUT_NOTE.encode()
        start = self.size_bytes
        position = LogPosition(start + len(data), cursor)

        def write(journal: Journal) -> None:
            # At its place, not at the end: a try that failed halfway may have left something.
            descriptor = os.open(self._path, os.O_WRONLY)
            try:
                os.truncate(descriptor, start)
                _write_at(descriptor, data, start)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            journal.save_log_position(self._lease_id, position)

        await self._journal.call(write)
        self.progress = latest(text, self.progress)
        self.asks_for_checkpoint |= asks_for_checkpoint(text)
        self.size_bytes, self.cursor = position.log_bytes, position.cursor
        self._grown.set()
        self._grown = trio.Event()

    async def grown(self, beyond_bytes: int) -> None:
        """Wait until there is more than ``beyond_bytes``."""
        while self.size_bytes <= beyond_bytes:
            await self._grown.wait()

    async def read(self, offset: int, max_bytes: int) -> str:
        """Text from ``offset``, cut between characters; "" at the end."""
        length = min(max_bytes, self.size_bytes - offset)
        if length <= 0:
            return ""

        def load() -> str:
            with self._path.open("rb") as file:
                file.seek(offset)
                data = file.read(length)
            return codecs.getincrementaldecoder("utf-8")(errors="ignore").decode(data)

        return await trio.to_thread.run_sync(load)

    async def sha256(self) -> str:
        """Of the whole text."""

        def digest() -> str:
            with self._path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()

        return await trio.to_thread.run_sync(digest)


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
