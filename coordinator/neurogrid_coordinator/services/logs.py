"""What a task printed: its end, a piece, or all of it as it comes.

A log belongs to a lease. A task that was given to another node has a new lease and a new log; what
is read is the latest lease's unless the caller names one.
"""

import asyncio
import codecs
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from sqlalchemy import Connection

from neurogrid_marketplace.task import TERMINAL

from ..store import leases, logs
from ..store.accounts import Account
from ..store.database import Database
from ..store.leases import LeaseRow
from ..store.tasks import TaskRow
from .errors import Expired, NotFound
from .task_details import owned

# More lines than a person scrolls through; programs read by offset.
LINES_MAX = 10_000
# How often a followed log is looked at: new pieces raise no event, and a person reads no faster.
_FOLLOW_PAUSE_S = 0.25
# A log whose task has ended is nearly always complete; a node that died mid-way sends no more.
_LAST_PIECE_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Some text of a log; offsets count its UTF-8 bytes.

    Attributes:
        lease_id: whose log; None before there is one.
        total_bytes: stored now.
        complete: nothing will come after ``next_offset``.
        ended: the task has ended.
    """

    lease_id: str | None
    text: str
    offset: int
    next_offset: int
    total_bytes: int
    complete: bool
    ended: bool


class Logs:
    """The logs of tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tail(
        self, account: Account, task_id: str, lines: int, lease_id: str | None = None
    ) -> LogPiece:
        """The last ``lines`` lines that are stored now, within one read.

        Raises:
            NotFound: no such task of this account, or no such lease of the task.
            Expired: it is no longer kept.
        """

        def read(conn: Connection) -> LogPiece:
            row = owned(conn, account, task_id)
            lease = _lease(conn, row, lease_id)
            stored = logs.stored_bytes(lease.log_bytes) if lease else 0
            start = max(0, stored - logs.READ_BYTES_MAX)
            piece = _piece(conn, row, lease, start, logs.READ_BYTES_MAX)
            wanted = piece.text.splitlines(keepends=True)[-lines:] if lines else []
            text = "".join(wanted)
            size = len(text.encode())
            return LogPiece(
                piece.lease_id,
                text,
                piece.next_offset - size,
                piece.next_offset,
                piece.total_bytes,
                piece.complete,
                piece.ended,
            )

        return await self._database.read(read)

    async def read(
        self,
        account: Account,
        task_id: str,
        *,
        offset: int,
        max_bytes: int = logs.READ_BYTES_MAX,
        lease_id: str | None = None,
    ) -> LogPiece:
        """A piece of the log from ``offset`` on; from what is its end now, if that is beyond it.

        Raises:
            NotFound: no such task of this account, or no such lease of the task.
            Expired: it is no longer kept.
        """

        def read(conn: Connection) -> LogPiece:
            row = owned(conn, account, task_id)
            return _piece(conn, row, _lease(conn, row, lease_id), offset, max_bytes)

        return await self._database.read(read)

    async def follow(
        self, account: Account, task_id: str, start: LogPiece
    ) -> AsyncGenerator[LogPiece]:
        """Pieces after ``start`` as they come, until the task has ended and all of it was sent.

        When the task is given to another node, its new log follows from its beginning.
        """
        lease_id, offset, patience_s = start.lease_id, start.next_offset, _LAST_PIECE_PATIENCE_S
        while True:
            # A lease's log is read to its end before the next lease's is begun.
            piece = await self.read(account, task_id, offset=offset, lease_id=lease_id)
            # Before there was a lease, the first one's log is what was waited for.
            lease_id = piece.lease_id
            if piece.text:
                yield piece
                offset = piece.next_offset
                continue
            newest = await self.read(account, task_id, offset=0, max_bytes=1)
            if newest.lease_id != lease_id:
                lease_id, offset = newest.lease_id, 0
                continue
            if piece.ended and (piece.complete or patience_s <= 0):
                return
            if piece.ended:
                patience_s -= _FOLLOW_PAUSE_S
            await asyncio.sleep(_FOLLOW_PAUSE_S)


def _lease(conn: Connection, row: TaskRow, lease_id: str | None) -> LeaseRow | None:
    """The lease whose log is meant: the named one, else the latest."""
    if lease_id is None:
        found = leases.of_task(conn, row.id)
        return found[-1] if found else None
    lease = leases.get(conn, lease_id)
    if lease is None or lease.task_id != row.id:
        raise NotFound(f"this task has no lease {lease_id[:80]}")
    return lease


def _piece(
    conn: Connection, row: TaskRow, lease: LeaseRow | None, offset: int, max_bytes: int
) -> LogPiece:
    ended = row.phase in TERMINAL
    if lease is None:
        return LogPiece(None, "", 0, 0, 0, complete=ended, ended=ended)
    stored = logs.stored_bytes(lease.log_bytes)
    offset = min(offset, stored)
    part = logs.read(conn, lease.id, offset, min(max_bytes, logs.READ_BYTES_MAX))
    if offset < stored and max_bytes and not part.data:
        raise Expired("this log is no longer kept: the task ended too long ago")
    expected = row.state.result.logs_bytes if row.state.result is not None else 0
    all_here = ended and lease.log_bytes >= expected
    at_end = part.next_offset >= stored
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(part.data, final=all_here and at_end)
    # Bytes of a character that is not whole yet are left for the next piece.
    held_back = len(decoder.getstate()[0])
    return LogPiece(
        lease_id=lease.id,
        text=text,
        offset=offset,
        next_offset=part.next_offset - held_back,
        total_bytes=stored,
        complete=all_here and at_end,
        ended=ended,
    )
