"""Rows of files as OpenAI's clients name them."""

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, func, insert, select

from . import checkpoints, retention
from .tables import artifacts, openai_files

BATCH = "batch"
BATCH_OUTPUT = "batch_output"


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file: an artifact's bytes under a name.

    Attributes:
        purpose: `BATCH` of what a client sends, `BATCH_OUTPUT` of what we write.
    """

    id: str
    account_id: str
    sha256: str
    size_bytes: int
    filename: str
    purpose: str
    created_at_ms: int


def add(conn: Connection, row: FileRow) -> None:
    """Store it."""
    conn.execute(insert(openai_files).values(asdict(row)))


def get(conn: Connection, account_id: str, file_id: str) -> FileRow | None:
    """A file of this account."""
    row = conn.execute(
        select(openai_files).where(
            openai_files.c.account_id == account_id, openai_files.c.id == file_id
        )
    ).first()
    return FileRow(*row) if row else None


def count(conn: Connection, account_id: str) -> int:
    """How many files the account has."""
    return (
        conn.scalar(
            select(func.count())
            .select_from(openai_files)
            .where(openai_files.c.account_id == account_id)
        )
        or 0
    )


def page(
    conn: Connection,
    account_id: str,
    *,
    purpose: str | None,
    after: str | None,
    newest_first: bool,
    limit: int,
) -> list[FileRow]:
    """Files of the account, from the one after ``after`` on."""
    id_column = openai_files.c.id
    found = select(openai_files).where(openai_files.c.account_id == account_id)
    if purpose is not None:
        found = found.where(openai_files.c.purpose == purpose)
    if after is not None:
        found = found.where(id_column < after if newest_first else id_column > after)
    order = id_column.desc() if newest_first else id_column.asc()
    return [FileRow(*row) for row in conn.execute(found.order_by(order).limit(limit))]


def remove(conn: Connection, row: FileRow) -> None:
    """Forget a file. The bytes of what we wrote go with its last name, unless a task that has not ended needs them."""
    conn.execute(delete(openai_files).where(openai_files.c.id == row.id))
    same = (openai_files.c.account_id == row.account_id, openai_files.c.sha256 == row.sha256)
    if row.purpose != BATCH_OUTPUT or conn.execute(select(openai_files).where(*same)).first():
        return
    if row.sha256 in retention.needed(conn, row.account_id)[1]:
        return
    conn.execute(
        delete(artifacts).where(
            artifacts.c.account_id == row.account_id,
            artifacts.c.sha256 == row.sha256,
            artifacts.c.lease_id.is_(None),
        )
    )
    checkpoints.let_go(conn, [row.sha256])
