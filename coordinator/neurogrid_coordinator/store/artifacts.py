"""Which account has which artifact. The bytes are on the disk (`neurogrid_coordinator.files.artifacts`)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sqlalchemy import Connection, delete, insert, inspect, select, union, update
from sqlalchemy import func as sql

from . import checkpoints
from .tables import artifacts, checkpoint_blobs, kept_answers


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of an account, by content. ``lease_id``: the lease that uploaded it, if one did."""

    sha256: str
    account_id: str
    size_bytes: int
    lease_id: str | None
    created_at_ms: int


def blobs_needed(conn: Connection) -> Iterator[str]:
    """The SHA-256 of every blob that something here needs, in order; also of an older schema."""
    there = inspect(conn)
    found = union(
        *(
            select(table.c.sha256)
            for table in (artifacts, checkpoint_blobs, kept_answers)
            if there.has_table(table.name)
        )
    )
    for (sha256,) in conn.execute(found.order_by("sha256")).yield_per(1_000):
        yield sha256


def add(
    conn: Connection,
    sha256: str,
    account_id: str,
    size_bytes: int,
    lease_id: str | None,
    now_ms: int,
) -> Artifact:
    """Give the account a file whose bytes are stored.

    The first entry stays; but what a client uploads itself is no longer the output of a lease,
    which goes when those are not kept any more.
    """
    present = get(conn, sha256, account_id)
    if present is not None:
        if lease_id is None and present.lease_id is not None:
            conn.execute(
                update(artifacts)
                .where(artifacts.c.sha256 == sha256, artifacts.c.account_id == account_id)
                .values(lease_id=None)
            )
            return replace(present, lease_id=None)
        return present
    row = Artifact(sha256, account_id, size_bytes, lease_id, now_ms)
    conn.execute(
        insert(artifacts).values(
            sha256=sha256,
            account_id=account_id,
            size_bytes=size_bytes,
            lease_id=lease_id,
            created_at_ms=now_ms,
        )
    )
    return row


def get(conn: Connection, sha256: str, account_id: str) -> Artifact | None:
    """The file, if this account has it."""
    row = conn.execute(
        select(artifacts).where(artifacts.c.sha256 == sha256, artifacts.c.account_id == account_id)
    ).first()
    return Artifact(*row) if row else None


def remove(conn: Connection, row: Artifact) -> None:
    """Take a file from its account. The bytes go with `checkpoints.unneeded`, unless somebody else has them."""
    conn.execute(
        delete(artifacts).where(
            artifacts.c.sha256 == row.sha256, artifacts.c.account_id == row.account_id
        )
    )
    checkpoints.let_go(conn, [row.sha256])


def sizes(conn: Connection, account_id: str, sha256s: Iterable[str]) -> dict[str, int]:
    """Size in bytes of those of these files that the account has."""
    rows = conn.execute(
        select(artifacts.c.sha256, artifacts.c.size_bytes).where(
            artifacts.c.account_id == account_id, artifacts.c.sha256.in_(list(sha256s))
        )
    )
    return {row.sha256: row.size_bytes for row in rows}


def total_bytes(conn: Connection, account_id: str) -> int:
    """What the account's files take, for its quota."""
    query = select(sql.sum(artifacts.c.size_bytes)).where(artifacts.c.account_id == account_id)
    return int(conn.scalar(query) or 0)


def lease_bytes(conn: Connection, account_id: str, lease_id: str) -> int:
    """What a lease of this account has uploaded."""
    query = select(sql.sum(artifacts.c.size_bytes)).where(
        artifacts.c.account_id == account_id, artifacts.c.lease_id == lease_id
    )
    return int(conn.scalar(query) or 0)
