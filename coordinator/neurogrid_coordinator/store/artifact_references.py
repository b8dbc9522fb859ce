"""What still needs a file of an account: so long its owner cannot delete it."""

from sqlalchemy import ColumnElement, Connection, select

from . import retention
from .tables import batch_items, batches, openai_batches, openai_files, schedule_runs, schedules


def referrer(conn: Connection, account_id: str, sha256: str) -> str | None:
    """One that needs the file, in words; None: nobody does.

    An ended task does not: its receipt has the hashes of what it was given, and who has it run again uploads that again.
    """
    if sha256 in retention.needed(conn, account_id)[1]:
        return "a task that has not ended has it as an input"
    if found := conn.scalar(
        select(openai_files.c.id).where(
            openai_files.c.account_id == account_id, openai_files.c.sha256 == sha256
        )
    ):
        return f"{found} of /v1/files is made of it: delete that"
    if found := conn.scalar(
        select(openai_batches.c.id).where(
            openai_batches.c.account_id == account_id,
            openai_batches.c.input_sha256 == sha256,
            openai_batches.c.finished_at_ms.is_(None),
        )
    ):
        return f"{found} of /v1/batches reads its lines there"
    if found := _batch(conn, account_id, sha256):
        return f"{found} has not ended, and names it"
    return _schedule(conn, account_id, sha256)


def _batch(conn: Connection, account_id: str, sha256: str) -> str | None:
    open_batches = select(batches.c.id).where(
        batches.c.account_id == account_id, batches.c.ended_at_ms.is_(None)
    )
    found: str | None = conn.scalar(
        open_batches.where(_names(batches.c.defaults_json, sha256)).limit(1)
    ) or conn.scalar(
        select(batch_items.c.batch_id)
        .where(batch_items.c.batch_id.in_(open_batches), _names(batch_items.c.request_json, sha256))
        .limit(1)
    )
    return found


def _schedule(conn: Connection, account_id: str, sha256: str) -> str | None:
    kept = (schedules.c.account_id == account_id, schedules.c.deleted_at_ms.is_(None))
    found = conn.scalar(
        select(schedules.c.id).where(*kept, _names(schedules.c.template_json, sha256)).limit(1)
    )
    if found is not None:
        return f"{found} names it for its runs"
    found = conn.scalar(
        select(schedule_runs.c.id)
        .join(schedules, schedules.c.id == schedule_runs.c.schedule_id)
        .where(*kept, schedule_runs.c.output_sha256 == sha256)
        .limit(1)
    )
    return None if found is None else f"it is the output of {found}"


def _names(column: ColumnElement[str], sha256: str) -> ColumnElement[bool]:
    """Whether a text of JSON has the hash somewhere: 64 hex digits stand for nothing else."""
    return column.contains(sha256)
