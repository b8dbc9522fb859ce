"""Logs of leases: bounded, append-only, read by byte offset."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from neurogrid_marketplace.messages import MAX_LOG_BYTES

from . import leases
from .tables import log_chunks

# What one lease may leave here; the rest is counted and dropped. Job logs of peers are a few MiB;
# this bounds what a chatty program can make the coordinator store.
LOG_BYTES_MAX = MAX_LOG_BYTES
_CUT_NOTE = f"\n[neurogrid: the log is cut off here, at {LOG_BYTES_MAX} bytes]\n".encode()
READ_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LogPart:
    """A piece of a log.

    Attributes:
        offset: bytes of the log before ``data``.
        next_offset: where to read on.
    """

    offset: int
    data: bytes
    next_offset: int


def append(
    conn: Connection, lease_id: str, stored: int, offset: int, data: bytes, now_ms: int
) -> int:
    """Take a piece; how many bytes of the log are taken now.

    What is there already is trimmed off, a gap is refused (nothing changes), and what lies beyond
    ``LOG_BYTES_MAX`` is taken but not kept.

    Args:
        stored: how many bytes were taken before this one (`leases.LeaseRow.log_bytes`).
    """
    if offset > stored or offset + len(data) <= stored:
        return stored
    fresh = data[stored - offset :]
    taken = stored + len(fresh)
    if stored <= LOG_BYTES_MAX:
        kept = fresh[: LOG_BYTES_MAX - stored]
        if taken > LOG_BYTES_MAX:
            kept += _CUT_NOTE
        conn.execute(
            insert(log_chunks).values(
                lease_id=lease_id, offset=stored, size_bytes=len(kept), data=kept
            )
        )
    leases.save_log_bytes(conn, lease_id, taken, now_ms)
    return taken


def stored_bytes(taken: int) -> int:
    """How long the kept log is, of which ``taken`` bytes were taken."""
    return taken if taken <= LOG_BYTES_MAX else LOG_BYTES_MAX + len(_CUT_NOTE)


def read(conn: Connection, lease_id: str, offset: int, max_bytes: int = READ_BYTES_MAX) -> LogPart:
    """The log from ``offset`` on, up to ``max_bytes``; pieces may split a UTF-8 character."""
    rows = conn.execute(
        select(log_chunks.c.offset, log_chunks.c.data)
        .where(
            log_chunks.c.lease_id == lease_id,
            log_chunks.c.offset + log_chunks.c.size_bytes > offset,
        )
        .order_by(log_chunks.c.offset)
    ).yield_per(16)
    found = bytearray()
    for row in rows:
        found += row.data[max(0, offset - row.offset) :]
        if len(found) >= max_bytes:
            del found[max_bytes:]
            break
    rows.close()
    return LogPart(offset, bytes(found), offset + len(found))
