"""What is no longer kept of what ended long ago: found a page at a time, deleted a page at a time.

Tasks, leases and receipts stay: they say who was paid for what. All is found by what is still there to delete, so
nothing remembers how far it was, and a crash only repeats a look. Finding reads a snapshot, however long it takes; a deletion is a
small transaction, which looks again where somebody may need the thing meanwhile.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, exists, or_, select, tuple_

from neurogrid_marketplace.job import Job
from neurogrid_marketplace.settlement import SettlementPhase
from neurogrid_marketplace.task import TERMINAL, Lease, Task

from . import checkpoints
from . import webhooks as webhook_rows
from .tables import (
    artifacts,
    evidence,
    failures,
    kept_answers,
    leases,
    log_chunks,
    receipts,
    task_events,
    tasks,
    usage_samples,
    webhook_deliveries,
)

# Of each kind in one transaction: others wait for it.
BATCH_MAX = 200

# When it ended, and its key: in this order they are found.
Place = tuple[Any, ...]

_ENDED = [phase.value for phase in TERMINAL]
_read_job = msgspec.json.Decoder(Job).decode
_read_lease = msgspec.json.Decoder(Lease).decode
_read_task = msgspec.json.Decoder(Task).decode


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing that may be deleted.

    Attributes:
        find: the next `BATCH_MAX` that ended before a time, behind a place.
        delete: those of them that may go still; how many things that were.
    """

    find: Callable[[Connection, int, Place | None], list[Place]]
    delete: Callable[[Connection, Sequence[Place]], int]


def _find_logs(conn: Connection, before_ms: int, after: Place | None) -> list[Place]:
    """By lease. How long they were stays known."""
    order = (tasks.c.ended_at_ms, leases.c.id)
    has_log = exists().where(log_chunks.c.lease_id == leases.c.id)
    query = (
        select(*order)
        .join(tasks, tasks.c.id == leases.c.task_id)
        .where(*_ended(before_ms), *_behind(order, after), has_log)
    )
    return _places(conn, query.order_by(*order).limit(BATCH_MAX))


def _delete_logs(conn: Connection, places: Sequence[Place]) -> int:
    conn.execute(delete(log_chunks).where(log_chunks.c.lease_id.in_(_keys(places))))
    return len(places)


def _find_events(conn: Connection, before_ms: int, after: Place | None) -> list[Place]:
    """By task: how it went, and what it used."""
    order = (tasks.c.ended_at_ms, tasks.c.id)
    runs = select(leases.c.id).where(leases.c.task_id == tasks.c.id)
    has_event = exists().where(task_events.c.task_id == tasks.c.id)
    has_usage = exists().where(usage_samples.c.lease_id.in_(runs.correlate(tasks)))
    query = select(*order).where(
        *_ended(before_ms), *_behind(order, after), or_(has_event, has_usage)
    )
    return _places(conn, query.order_by(*order).limit(BATCH_MAX))


def _delete_events(conn: Connection, places: Sequence[Place]) -> int:
    ids = _keys(places)
    their_runs = select(leases.c.id).where(leases.c.task_id.in_(ids))
    conn.execute(delete(usage_samples).where(usage_samples.c.lease_id.in_(their_runs)))
    conn.execute(delete(task_events).where(task_events.c.task_id.in_(ids)))
    return len(places)


def _find_evidence(conn: Connection, before_ms: int, after: Place | None) -> list[Place]:
    """By task: what was signed about its leases, if nobody can be paid by it any more, and receipts have all that counts.

    A lease that had an escrow and has no receipt keeps its evidence for ever: there is nothing else of it.
    """
    order = (tasks.c.ended_at_ms, tasks.c.id)
    has_receipt = exists().where(receipts.c.lease_id == leases.c.id)
    is_needed = exists().where(
        leases.c.task_id == tasks.c.id,
        or_(
            leases.c.settlement_phase != SettlementPhase.CLOSED.value,
            (leases.c.escrow != "") & ~has_receipt,
        ),
    )
    has_evidence = exists().where(
        leases.c.task_id == tasks.c.id, evidence.c.subject_id == leases.c.id
    )
    query = select(*order).where(
        *_ended(before_ms), *_behind(order, after), has_evidence, ~is_needed
    )
    return _places(conn, query.order_by(*order).limit(BATCH_MAX))


def _delete_evidence(conn: Connection, places: Sequence[Place]) -> int:
    rows = conn.execute(
        select(leases.c.id, leases.c.lease_json).where(leases.c.task_id.in_(_keys(places)))
    )
    subjects: set[str] = set()
    for row in rows:
        # Its own, and its auction's.
        subjects.update((row.id, _read_lease(row.lease_json).demand_id))
    every = sorted(subjects)
    # As many as every database takes as parameters of one statement.
    for start in range(0, len(every), 500):
        conn.execute(delete(evidence).where(evidence.c.subject_id.in_(every[start : start + 500])))
    return len(places)


def _find_outputs(conn: Connection, before_ms: int, after: Place | None) -> list[Place]:
    """By file and account. What a task that has not ended needs stays, as its input or because it waits for
    the task that wrote it."""
    order = (tasks.c.ended_at_ms, artifacts.c.sha256, artifacts.c.account_id)
    query = (
        select(*order, tasks.c.id, tasks.c.belongs_to)
        .join(leases, leases.c.id == artifacts.c.lease_id)
        .join(tasks, tasks.c.id == leases.c.task_id)
        .where(*_ended(before_ms), *_behind(order, after))
    )
    needed_ids, needed_sha256s = needed(conn)
    found = conn.execute(query.order_by(*order)).yield_per(BATCH_MAX)
    places = (
        (row.ended_at_ms, row.sha256, row.account_id, row.id, row.belongs_to)
        for row in found
        if row.sha256 not in needed_sha256s and needed_ids.isdisjoint((row.id, row.belongs_to))
    )
    batch = list(islice(places, BATCH_MAX))
    found.close()
    return batch


def _delete_outputs(conn: Connection, places: Sequence[Place]) -> int:
    """The bytes go with `checkpoints.unneeded`, unless somebody else has them."""
    # A task may have been submitted since they were found.
    needed_ids, needed_sha256s = needed(conn)
    gone = []
    for _, sha256, account_id, task_id, belongs_to in places:
        if sha256 in needed_sha256s or not needed_ids.isdisjoint((task_id, belongs_to)):
            continue
        deleted = conn.execute(
            delete(artifacts).where(
                artifacts.c.sha256 == sha256,
                artifacts.c.account_id == account_id,
                # Its client may have uploaded it as its own.
                artifacts.c.lease_id.is_not(None),
            )
        )
        if deleted.rowcount:
            gone.append(sha256)
    checkpoints.let_go(conn, gone)
    return len(gone)


def _find_failures(conn: Connection, before_ms: int, after: Place | None) -> list[Place]:
    order = (failures.c.at_ms, failures.c.id)
    query = select(*order).where(failures.c.at_ms < before_ms, *_behind(order, after))
    return _places(conn, query.order_by(*order).limit(BATCH_MAX))


def _delete_failures(conn: Connection, places: Sequence[Place]) -> int:
    conn.execute(delete(failures).where(failures.c.id.in_(_keys(places))))
    return len(places)


def _find_deliveries(conn: Connection, before_ms: int, after: Place | None) -> list[Place]:
    """Of webhooks, with their attempts; those that have ended."""
    order = (webhook_deliveries.c.ended_at_ms, webhook_deliveries.c.id)
    query = select(*order).where(
        webhook_deliveries.c.ended_at_ms < before_ms, *_behind(order, after)
    )
    return _places(conn, query.order_by(*order).limit(BATCH_MAX))


def _delete_deliveries(conn: Connection, places: Sequence[Place]) -> int:
    webhook_rows.delete_deliveries(conn, _keys(places))
    return len(places)


def _find_answers(conn: Connection, before_ms: int, after: Place | None) -> list[Place]:
    """Of replicas, to requests with an idempotency key."""
    keys = (kept_answers.c.account_id, kept_answers.c.idempotency_key)
    order = (kept_answers.c.created_at_ms, *keys)
    query = select(*order).where(kept_answers.c.created_at_ms < before_ms, *_behind(order, after))
    return _places(conn, query.order_by(*order).limit(BATCH_MAX))


def _delete_answers(conn: Connection, places: Sequence[Place]) -> int:
    """Those whose key has named nothing newer since."""
    gone: list[str] = []
    for created_at_ms, account_id, key in places:
        deleted = delete(kept_answers).where(
            kept_answers.c.account_id == account_id,
            kept_answers.c.idempotency_key == key,
            kept_answers.c.created_at_ms == created_at_ms,
        )
        gone += conn.execute(deleted.returning(kept_answers.c.sha256)).scalars().all()
    checkpoints.let_go(conn, gone)
    return len(gone)


KINDS = {
    "logs": Kind(_find_logs, _delete_logs),
    "outputs": Kind(_find_outputs, _delete_outputs),
    "events": Kind(_find_events, _delete_events),
    "evidence": Kind(_find_evidence, _delete_evidence),
    "failures": Kind(_find_failures, _delete_failures),
    "deliveries": Kind(_find_deliveries, _delete_deliveries),
    "answers": Kind(_find_answers, _delete_answers),
}


def _ended(before_ms: int) -> tuple[ColumnElement[bool], ...]:
    return tasks.c.phase.in_(_ENDED), tasks.c.ended_at_ms < before_ms


def _behind(
    order: tuple[ColumnElement[Any], ...], after: Place | None
) -> tuple[ColumnElement[bool], ...]:
    if after is None:
        return ()
    # The first column alone lets the index find the beginning.
    return order[0] >= after[0], tuple_(*order) > tuple_(*after[: len(order)])


def _places(conn: Connection, query: Any) -> list[Place]:
    return [tuple(row) for row in conn.execute(query)]


def _keys(places: Sequence[Place]) -> list[str]:
    return [place[1] for place in places]


def needed(conn: Connection, account_id: str | None = None) -> tuple[set[str], set[str]]:
    """Tasks whose outputs, and files that, tasks need which have not ended; None: of all accounts."""
    ids: set[str] = set()
    sha256s: set[str] = set()
    unfinished = select(tasks.c.job_json, tasks.c.state_json).where(tasks.c.phase.not_in(_ENDED))
    if account_id is not None:
        unfinished = unfinished.where(tasks.c.account_id == account_id)
    for row in conn.execute(unfinished).yield_per(256):
        sha256s.update(item.sha256 for item in _read_job(row.job_json).inputs)
        ids.update(_read_task(row.state_json).needs.task_ids)
    return ids, sha256s
