"""The write-ahead log of a SQLite file, forced to the disk by us: SQLite would do it in the midst of a commit.

Each commit is appended to that file, so what is forced after a commit holds it and all before it. SQLite goes on forcing what
only it can: the log before its pages are copied into the database's file, that file after, and the head of a log that begins anew.
"""

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable

from .away import DiskFailed

_log = logging.getLogger(__name__)


class WriteAheadLog:
    """The log of an open connection's file. Its methods are called by one thread at a time.

    Attributes:
        ahead: done when what is being committed, or is, has come to the disk; None: it has all. Set before that can be
            read.
        failed: why nothing is acknowledged any more; None: all is well.

    Args:
        sync: forces a file to the disk, by its descriptor.
    """

    def __init__(self, raw: sqlite3.Connection, sync: Callable[[int], None]) -> None:
        # Whoever wrote to it last may have died because the disk failed. Its pages are in the kernel's memory and pass for
        # written, so nothing may be appended to them: they are copied, which the disk takes or refuses anew. Not where
        # another process has the file open: then nothing was read anew.
        raw.execute("pragma wal_checkpoint(truncate)").fetchall()
        (_, _, path) = raw.execute("pragma database_list").fetchone()
        # For as long as the connection is open, the file is this one. It has no locks that closing it could drop.
        self._descriptor = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
        self._sync = sync
        self.ahead: asyncio.Future[None] | None = None
        self.failed: DiskFailed | None = None

    def sync(self) -> None:
        """Return when all that was committed before is on the disk.

        Raises:
            DiskFailed: nobody knows what is, from now on: the kernel tells of a failed write once, and forgets the page.
        """
        if self.failed is None:
            try:
                self._sync(self._descriptor)
            except OSError as error:
                _log.critical("the database's log can't be forced to the disk: %s", error)
                self.failed = DiskFailed(f"the disk of the database failed: {error}")
        if self.failed is not None:
            raise self.failed
        self.ahead = None

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)
