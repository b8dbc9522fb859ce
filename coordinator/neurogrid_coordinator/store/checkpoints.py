"""What is kept of jobs' work while they run: by task, apart from the account's other files.

A blob is on the disk before it has a row here, and a checkpoint has its files here in the transaction
that keeps it. What no kept checkpoint needs any more goes with that transaction, too; its bytes follow
(`unneeded`), unless somebody else has them.
"""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy import func as sql

from neurogrid_marketplace.job import OutputFile

from .tables import (
    artifacts,
    checkpoint_blobs,
    checkpoint_files,
    kept_answers,
    leases,
    unneeded_blobs,
)
from .upserts import insert_or

# The manifest itself, among the files of its checkpoint: no file has this path.
MANIFEST = ""
# How many blobs one transaction looks at.
UNNEEDED_MAX = 256

_BLOB = select(checkpoint_blobs.c.size_bytes).where(
    checkpoint_blobs.c.task_id == bindparam("the_task"),
    checkpoint_blobs.c.sha256 == bindparam("the_hash"),
)


def add_blob(
    conn: Connection, task_id: str, account_id: str, sha256: str, size_bytes: int, now_ms: int
) -> None:
    """A file whose bytes are stored may be part of this task's checkpoints; the first entry stays."""
    if blob_bytes(conn, task_id, sha256) is None:
        conn.execute(
            insert(checkpoint_blobs).values(
                task_id=task_id,
                sha256=sha256,
                account_id=account_id,
                size_bytes=size_bytes,
                created_at_ms=now_ms,
            )
        )


def blob_bytes(conn: Connection, task_id: str, sha256: str) -> int | None:
    """The size of one, if the task has it."""
    return conn.scalar(_BLOB, {"the_task": task_id, "the_hash": sha256})


def task_usage(conn: Connection, task_id: str) -> tuple[int, int]:
    """How many blobs a task has, and their bytes together."""
    count, size = conn.execute(
        select(sql.count(), sql.sum(checkpoint_blobs.c.size_bytes)).where(
            checkpoint_blobs.c.task_id == task_id
        )
    ).one()
    return count, int(size or 0)


def account_bytes(conn: Connection, account_id: str) -> int:
    """What all of an account's take, for its quota."""
    query = select(sql.sum(checkpoint_blobs.c.size_bytes))
    return int(conn.scalar(query.where(checkpoint_blobs.c.account_id == account_id)) or 0)


def add(
    conn: Connection, task_id: str, sequence: int, manifest: OutputFile, files: Sequence[OutputFile]
) -> None:
    """Store what a checkpoint consists of; ``manifest``'s own path is not looked at."""
    rows = [(MANIFEST, manifest), *((file.path, file) for file in files)]
    conn.execute(
        insert(checkpoint_files),
        [
            {
                "task_id": task_id,
                "sequence": sequence,
                "path": path,
                "sha256": file.sha256,
                "size_bytes": file.size_bytes,
            }
            for path, file in rows
        ],
    )


def files(conn: Connection, task_id: str, sequence: int) -> list[OutputFile]:
    """The files of a kept checkpoint, sorted by path."""
    rows = conn.execute(
        select(checkpoint_files)
        .where(
            checkpoint_files.c.task_id == task_id,
            checkpoint_files.c.sequence == sequence,
            checkpoint_files.c.path != MANIFEST,
        )
        .order_by(checkpoint_files.c.path)
    )
    return [OutputFile(row.path, row.sha256, row.size_bytes) for row in rows]


def retain(conn: Connection, task_id: str, sequences: Collection[int]) -> None:
    """Drop all of a task's checkpoints but these, and every blob that none of these needs."""
    conn.execute(
        delete(checkpoint_files).where(
            checkpoint_files.c.task_id == task_id,
            checkpoint_files.c.sequence.not_in(list(sequences)),
        )
    )
    needed = select(checkpoint_files.c.sha256).where(checkpoint_files.c.task_id == task_id)
    dropped = conn.execute(
        delete(checkpoint_blobs)
        .where(checkpoint_blobs.c.task_id == task_id, checkpoint_blobs.c.sha256.not_in(needed))
        .returning(checkpoint_blobs.c.sha256)
    ).all()
    let_go(conn, [row.sha256 for row in dropped])


def let_go(conn: Connection, sha256s: Iterable[str]) -> None:
    """Somebody no longer has these blobs: they are deleted from the disk unless others do."""
    for sha256 in sha256s:
        unneeded = insert_or(conn, unneeded_blobs).values(sha256=sha256)
        conn.execute(unneeded.on_conflict_do_nothing())


def copy(conn: Connection, source: str, sequence: int, target: str, now_ms: int) -> None:
    """Give another task of the same account a checkpoint, under the same number."""
    its_files = select(checkpoint_files).where(
        checkpoint_files.c.task_id == source, checkpoint_files.c.sequence == sequence
    )
    for row in conn.execute(its_files).all():
        conn.execute(insert(checkpoint_files).values(**{**row._mapping, "task_id": target}))
    hashes = select(checkpoint_files.c.sha256).where(checkpoint_files.c.task_id == target)
    blobs = select(checkpoint_blobs).where(
        checkpoint_blobs.c.task_id == source, checkpoint_blobs.c.sha256.in_(hashes)
    )
    for row in conn.execute(blobs).all():
        add_blob(conn, target, row.account_id, row.sha256, row.size_bytes, now_ms)


def save_stored(conn: Connection, lease_id: str, sequence: int) -> None:
    """Note the number of a lease's newest checkpoint that is kept: its node is told."""
    conn.execute(update(leases).where(leases.c.id == lease_id).values(checkpoint=sequence))


def unneeded(conn: Connection) -> list[str]:
    """Some of the blobs that were let go of since they were looked at last."""
    rows = conn.execute(select(unneeded_blobs.c.sha256).limit(UNNEEDED_MAX))
    return [row.sha256 for row in rows]


def is_needed(conn: Connection, sha256: str) -> bool:
    """Whether anybody has a file with this content."""
    return any(
        conn.execute(select(table.c.sha256).where(table.c.sha256 == sha256).limit(1)).first()
        for table in (artifacts, checkpoint_blobs, kept_answers)
    )


def forget_unneeded(conn: Connection, sha256: str) -> None:
    """It was looked at."""
    conn.execute(delete(unneeded_blobs).where(unneeded_blobs.c.sha256 == sha256))
