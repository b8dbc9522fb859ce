"""The log of one job in a file of our own: exactly what the coordinator gets, resumable.

The engine's log is the source; our file is a copy whose length and engine time are journaled
together. After a crash the file is cut back to the journaled length and continued from that time,
so that no line is lost and none comes twice.
"""

import codecs
import hashlib
import os
from pathlib import Path

import trio

from .journal import Journal, LogPosition
from .progress import Progress, latest

# The most log text kept and sent for one job; configs/node.toml names it too.
LOG_BYTES_MAX = 16 * 1024 * 1024
_CUT_NOTE = "\n[neurogrid: the log was cut here, at 16 MiB]\n"


class JobLog:
    """One job's log file."""

    def __init__(
        self, lease_id: str, path: Path, journal: Journal, journal_slot: trio.CapacityLimiter
    ) -> None:
        self.progress = Progress()
        self.size_bytes = 0
        self.until_ns = 0
        self._lease_id = lease_id
        self._path = path
        self._journal = journal
        self._slot = journal_slot
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

        def restore() -> LogPosition:
            position = self._journal.log_position(self._lease_id)
            self._path.touch(mode=0o600)
            os.truncate(self._path, position.log_bytes)
            return position

        position = await trio.to_thread.run_sync(restore, limiter=self._slot)
        self.size_bytes, self.until_ns = position.log_bytes, position.until_ns

    @property
    def full(self) -> bool:
        """Whether it holds all it may."""
        return self.size_bytes >= LOG_BYTES_MAX

    async def append(self, text: str, until_ns: int) -> None:
        """Add a piece; durable when this returns."""
        data = text.encode()
        room = LOG_BYTES_MAX - self.size_bytes
        if room <= 0:
            return
        if len(data) > room:
            # Cut between characters, and say so in the log itself.
            data = data[:room].decode(errors="ignore").encode() + _CUT_NOTE.encode()
        self.progress = latest(text, self.progress)
        position = LogPosition(self.size_bytes + len(data), until_ns)

        def write() -> None:
            with self._path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self._journal.save_log_position(self._lease_id, position)

        await trio.to_thread.run_sync(write, limiter=self._slot)
        self.size_bytes, self.until_ns = position.log_bytes, position.until_ns
        self._grown.set()
        self._grown = trio.Event()

    async def grown(self, beyond_bytes: int) -> None:
        """Wait until there is more than ``beyond_bytes``."""
        while self.size_bytes <= beyond_bytes:
            await self._grown.wait()

    async def read(self, offset: int, max_bytes: int) -> str:
        """Text from ``offset``, cut between characters."""

        def load() -> str:
            with self._path.open("rb") as file:
                file.seek(offset)
                data = file.read(min(max_bytes, self.size_bytes - offset))
            return codecs.getincrementaldecoder("utf-8")(errors="ignore").decode(data)

        return await trio.to_thread.run_sync(load)

    async def sha256(self) -> str:
        """Of the whole text."""

        def digest() -> str:
            with self._path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()

        return await trio.to_thread.run_sync(digest)
