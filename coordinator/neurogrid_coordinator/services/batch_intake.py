"""How batches come: all of a batch's tasks are looked at and stored, or none."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json

from ..batches.batch_rules import BatchState, Counts
from ..store import batch_items, batches
from ..store.accounts import Account
from ..store.batch_items import NewItem
from ..store.batches import BatchRow
from ..store.database import Database
from ..store.feed import Feed
from ..store.ids import new_id
from .batch_tasks import BatchTasks, Source
from .batches import Batch, shown
from .errors import Conflict, IdempotencyMismatch, InvalidRequest

# Items of one account that have not ended, and batches: what its owner can pile up here.
OPEN_ITEMS_MAX = 200_000
OPEN_BATCHES_MAX = 1000
CLIENT_ID_CHARS_MAX = 200
_MICRO_USDC_MAX = 2**53 - 1


@dataclass(frozen=True, slots=True)
class BatchWanted:
    """A batch, as asked for.

    Attributes:
        client_id: its owner's own id for it; None for none.
        defaults: fields of every task that does not have them itself.
        retries: how often an item is tried again after a task of its failed.
        max_cost_micro_usdc: what all of it may cost; None: no limit but the account's.
        execute: start it at once.
        request_sha256: of the whole request.
    """

    defaults: Mapping[str, Json]
    max_concurrency: int
    request_sha256: str
    client_id: str | None = None
    name: str = ""
    description: str = ""
    retries: int = 0
    max_cost_micro_usdc: int | None = None
    execute: bool = True
    idempotency_key: str | None = None


class BatchIntake:
    """Takes batches in.

    Args:
        feed: wakes who releases their items (`batch_runner`).
    """

    def __init__(self, *, database: Database, feed: Feed, tasks: BatchTasks) -> None:
        self._database = database
        self._feed = feed
        self._tasks = tasks

    async def create(
        self, account: Account, wanted: BatchWanted, source: Source
    ) -> tuple[Batch, bool]:
        """Store all of its tasks' requests, or none; the batch, and whether it is new.

        Every request is looked at like a single task's, but for the money and the nodes: those are looked for
        when its turn comes.

        Raises:
            InvalidRequest: a task or a value is wrong, or there are too many.
            Conflict: another batch has this id.
            IdempotencyMismatch: the key was used for another request.
        """
        repeated = await self._database.read(lambda conn: _repeated(conn, account, wanted))
        if repeated is not None:
            return repeated, False
        await self._database.read(lambda conn: _require_room(conn, account, 1))
        batch_id = new_id("batch")
        now_ms = _now_ms()
        row = BatchRow(
            id=batch_id,
            account_id=account.id,
            client_id=wanted.client_id,
            name=wanted.name,
            description=wanted.description,
            idempotency_key=wanted.idempotency_key,
            request_sha256=wanted.request_sha256,
            state=BatchState.LOADING,
            defaults=dict(wanted.defaults),
            max_concurrency=wanted.max_concurrency,
            retries=wanted.retries,
            max_cost_micro_usdc=wanted.max_cost_micro_usdc,
            most_micro_usdc=0,
            spent_micro_usdc=0,
            note="",
            counts=Counts(),
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
            started_at_ms=None,
            ended_at_ms=None,
            deleted_at_ms=None,
        )
        await self._database.write(batches.insert_loading, row)
        whole = False
        try:
            row = await self._load(account, row, source)
            batch, whole = await self._database.write(
                lambda conn: _publish(conn, account, wanted, row)
            )
        finally:
            if not whole:
                # What was loaded in vain, by a repeated request too, is cleared away by the runner.
                await self._database.write(batches.delete, batch_id, _now_ms())
        self._feed.notify()
        return batch, whole

    async def preview(
        self, account: Account, wanted: BatchWanted, source: Source
    ) -> tuple[int, int]:
        """How many tasks such a batch would have, and what all could cost at most, micro-USDC; nothing is stored.

        Raises:
            InvalidRequest: as `create`.
        """
        tasks, most = 0, 0
        async for items, cost in self._items(account, wanted.defaults, wanted.name, source):
            tasks += len(items)
            most += cost
        return tasks, most

    async def _load(self, account: Account, row: BatchRow, source: Source) -> BatchRow:
        """Store the items, some in each transaction; the row with what they come to."""
        count, most = 0, 0
        loaded = self._items(account, row.defaults, row.name or row.id, source)
        async with aclosing(loaded):
            async for items, cost in loaded:
                await self._database.write(batch_items.add, row.id, items)
                count += len(items)
                most += cost
        return replace(row, most_micro_usdc=most, counts=Counts(pending=count))

    async def _items(
        self, account: Account, defaults: Mapping[str, Json], name: str, source: Source
    ) -> AsyncGenerator[tuple[list[NewItem], int]]:
        """Items, some at a time, with what those could cost at most."""
        position, most = 0, 0
        ids: set[str] = set()
        async for rows in source:
            named = []
            for number, task in enumerate(rows, position + 1):
                client_id = task.client_id or str(number)
                _require_own_id(client_id, f"{task.place}id")
                if client_id in ids:
                    field = f"{task.place}id"
                    raise InvalidRequest(f"{field}: {client_id!r} is the id of two tasks", field)
                ids.add(client_id)
                named.append(replace(task, client_id=client_id))
            items = []
            cost = 0
            drafts = self._tasks.drafts(account, defaults, name, named)
            async with aclosing(drafts):
                async for task, draft in drafts:
                    cost += draft.wanted.held_micro_usdc(draft.demand)
                    items.append(
                        NewItem(position, task.client_id, dict(task.request), draft.task_id)
                    )
                    position += 1
            most += cost
            if most > _MICRO_USDC_MAX:
                raise InvalidRequest("tasks: together they are beyond all means", "tasks")
            yield items, cost
        if not position:
            raise InvalidRequest("tasks: a batch has at least one", "tasks")


def _repeated(conn: Connection, account: Account, wanted: BatchWanted) -> Batch | None:
    key = wanted.idempotency_key
    row = batches.by_idempotency_key(conn, account.id, key) if key is not None else None
    if row is not None:
        if row.request_sha256 != wanted.request_sha256:
            raise IdempotencyMismatch(
                f"the idempotency key {key!r} was used for batch {row.id}, which was another request"
            )
        return shown(conn, row)
    if wanted.client_id is not None and batches.get(conn, wanted.client_id, account.id):
        raise Conflict(
            f"there is a batch {wanted.client_id} already; delete it, or choose another id",
            {"field": "id"},
        )
    return None


def _publish(
    conn: Connection, account: Account, wanted: BatchWanted, row: BatchRow
) -> tuple[Batch, bool]:
    # Looked for once more: it may have been sent twice at the same moment.
    repeated = _repeated(conn, account, wanted)
    if repeated is not None:
        return repeated, False
    _require_room(conn, account, row.counts.pending)
    now_ms = _now_ms()
    row = batches.publish(conn, row, now_ms)
    if wanted.execute:
        row = batches.start(conn, row, now_ms)
    return shown(conn, row), True


def _require_room(conn: Connection, account: Account, more: int) -> None:
    there, items = batches.open_items(conn, account.id)
    if there >= OPEN_BATCHES_MAX or items + more > OPEN_ITEMS_MAX:
        raise InvalidRequest(
            f"tasks: an account may have {OPEN_BATCHES_MAX} batches with {OPEN_ITEMS_MAX} tasks that have "
            f"not ended, and has {there} with {items}",
            "tasks",
        )


def _require_own_id(client_id: str, field: str) -> None:
    if not 0 < len(client_id) <= CLIENT_ID_CHARS_MAX or not client_id.isprintable():
        raise InvalidRequest(
            f"{field}: must be 1 to {CLIENT_ID_CHARS_MAX} printable characters", field
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
