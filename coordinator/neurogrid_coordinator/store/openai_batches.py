"""Rows of batches as OpenAI's clients see them; what is run is a native batch whose owner's id is theirs."""

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, insert, select, update

from .tables import openai_batches


@dataclass(frozen=True, slots=True)
class OpenAiBatchRow:
    """See `tables.openai`."""

    id: str
    account_id: str
    endpoint: str
    input_file_id: str
    input_sha256: str
    metadata_json: str
    created_at_ms: int
    expires_at_ms: int
    cancelling_at_ms: int | None = None
    finished_at_ms: int | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None


def add(conn: Connection, row: OpenAiBatchRow) -> None:
    """Store it."""
    conn.execute(insert(openai_batches).values(asdict(row)))


def remove(conn: Connection, batch_id: str) -> None:
    """Forget one that came to nothing."""
    conn.execute(delete(openai_batches).where(openai_batches.c.id == batch_id))


def get(conn: Connection, account_id: str, batch_id: str) -> OpenAiBatchRow | None:
    """A batch of this account."""
    row = conn.execute(
        select(openai_batches).where(
            openai_batches.c.account_id == account_id, openai_batches.c.id == batch_id
        )
    ).first()
    return OpenAiBatchRow(*row) if row else None


def page(
    conn: Connection, account_id: str, *, after: str | None, limit: int
) -> list[OpenAiBatchRow]:
    """Batches of the account, newest first, from the one after ``after`` on."""
    found = select(openai_batches).where(openai_batches.c.account_id == account_id)
    if after is not None:
        found = found.where(openai_batches.c.id < after)
    rows = conn.execute(found.order_by(openai_batches.c.id.desc()).limit(limit))
    return [OpenAiBatchRow(*row) for row in rows]


def cancelling(conn: Connection, batch_id: str, now_ms: int) -> None:
    """Its owner wants no more of it; the first time counts."""
    conn.execute(
        update(openai_batches)
        .where(openai_batches.c.id == batch_id, openai_batches.c.cancelling_at_ms.is_(None))
        .values(cancelling_at_ms=now_ms)
    )


def finish(
    conn: Connection,
    batch_id: str,
    *,
    output_file_id: str | None,
    error_file_id: str | None,
    now_ms: int,
) -> bool:
    """Its answers are in these files; whether nobody was earlier."""
    done = conn.execute(
        update(openai_batches)
        .where(openai_batches.c.id == batch_id, openai_batches.c.finished_at_ms.is_(None))
        .values(finished_at_ms=now_ms, output_file_id=output_file_id, error_file_id=error_file_id)
    )
    return bool(done.rowcount)
