"""Batches: many tasks that are sent together, of which a few at a time are in the market."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json

from ..batch_rules import ENDED, BatchState, Counts, ItemState
from ..store import batch_items, batches, tasks
from ..store.accounts import Account
from ..store.batch_items import ItemRow, NewItem
from ..store.batches import BatchRow
from ..store.database import Database
from ..store.feed import Feed
from ..store.ids import new_id
from ..store.tasks import TaskRow
from .batch_tasks import BatchTasks, Source, merged
from .errors import BatchNotFound, Conflict, IdempotencyMismatch, InvalidRequest

LIST_MAX = 100
ITEMS_MAX = 1000
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


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch; ``running``: how many of its released tasks run."""

    row: BatchRow
    running: int


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Some batches; ``total`` counts all that match."""

    batches: tuple[Batch, ...]
    total: int


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Some items of a batch; ``total`` counts all that match."""

    batch: BatchRow
    items: tuple[ItemRow, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Promised:
    """A task that there will be, once its batch's turn has come to it."""

    task_id: str
    item: ItemRow
    batch: BatchRow

    @property
    def request(self) -> dict[str, Json]:
        """All that is asked for."""
        return merged(self.batch.defaults, self.item.request)


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of an item; ``task``: its newest."""

    item: ItemRow
    task: TaskRow | None


class Batches:
    """What clients do with batches.

    Args:
        feed: wakes who releases their items (`batch_runner`), too.
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

    async def get(self, account: Account, batch_id: str) -> Batch:
        """One batch of this account, by its id or its owner's own id for it.

        Raises:
            BatchNotFound: there is none, or it is somebody else's.
        """
        return await self._database.read(lambda conn: _shown(conn, _owned(conn, account, batch_id)))

    async def list(
        self,
        account: Account,
        *,
        states: frozenset[BatchState] | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> BatchPage:
        """The account's batches in these states (None: all), newest first."""

        def read(conn: Connection) -> BatchPage:
            rows, total = batches.list_rows(
                conn, account.id, states, limit=min(limit, LIST_MAX), offset=offset
            )
            return BatchPage(tuple(_shown(conn, row) for row in rows), total)

        return await self._database.read(read)

    async def items(
        self,
        account: Account,
        batch_id: str,
        *,
        states: frozenset[ItemState] | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> ItemPage:
        """Items of a batch in these states (None: all), in their order.

        Raises:
            BatchNotFound: see `get`.
        """

        def read(conn: Connection) -> ItemPage:
            row = _owned(conn, account, batch_id)
            items = batch_items.page(
                conn, row.id, states, limit=min(limit, ITEMS_MAX), offset=offset
            )
            wanted = frozenset(ItemState) if states is None else states
            total = sum(getattr(row.counts, state.value) for state in wanted)
            return ItemPage(row, tuple(items), total)

        return await self._database.read(read)

    async def results(
        self, account: Account, batch_id: str
    ) -> AsyncGenerator[Sequence[ItemResult]]:
        """What became of every item, in order, some at a time.

        Raises:
            BatchNotFound: see `get` (when the first are asked for).
        """
        batch = await self.get(account, batch_id)
        position = -1
        while True:

            def read(conn: Connection, after: int = position) -> list[ItemResult]:
                return _with_tasks(
                    conn, batch_items.page(conn, batch.row.id, limit=100, after=after)
                )

            piece = await self._database.read(read)
            if not piece:
                return
            yield piece
            position = piece[-1].item.position

    async def results_page(
        self, account: Account, batch_id: str, *, limit: int, offset: int
    ) -> tuple[Batch, Sequence[ItemResult]]:
        """A batch, and what became of some of its items, in order.

        Raises:
            BatchNotFound: see `get`.
        """

        def read(conn: Connection) -> tuple[Batch, Sequence[ItemResult]]:
            row = _owned(conn, account, batch_id)
            items = batch_items.page(conn, row.id, limit=min(limit, LIST_MAX), offset=offset)
            return _shown(conn, row), _with_tasks(conn, items)

        return await self._database.read(read)

    async def task_ids(self, account: Account, batch_id: str) -> Sequence[str]:
        """The ids of the tasks that a batch's items are or will be, each item's first, in order.

        Raises:
            BatchNotFound: see `get`.
        """
        return await self._database.read(
            lambda conn: batch_items.first_task_ids(conn, _owned(conn, account, batch_id).id)
        )

    async def promised(self, account: Account, task_ids: Sequence[str]) -> Sequence[Promised]:
        """Those of these ids for which there is no task yet, but an item of a batch of the account's."""

        def read(conn: Connection) -> list[Promised]:
            found = []
            for task_id in task_ids:
                item = batch_items.of_first_task(conn, account.id, task_id)
                batch = batches.get(conn, item.batch_id, account.id) if item else None
                if item is not None and batch is not None and item.task_id is None:
                    found.append(Promised(task_id, item, batch))
            return found

        return await self._database.read(read)

    async def execute(self, account: Account, batch_id: str) -> Batch:
        """Start a batch that was not started; one that runs is left alone.

        Raises:
            BatchNotFound: see `get`.
            Conflict: it has ended, or is being cancelled.
        """
        now_ms = _now_ms()

        def write(conn: Connection) -> Batch:
            row = _locked(conn, account, batch_id, now_ms)
            if row.state is BatchState.PENDING:
                row = batches.start(conn, row, now_ms)
            elif row.state is not BatchState.RUNNING:
                raise Conflict(
                    f"the batch is {row.state.value}; `retry` tries again what has failed",
                    {"status": row.state.value},
                )
            return _shown(conn, row)

        return await self._change(write)

    async def cancel(self, account: Account, batch_id: str) -> Batch:
        """Let nothing more of it begin, and cancel what runs; one that has ended is left alone.

        Raises:
            BatchNotFound: see `get`.
        """
        now_ms = _now_ms()

        def write(conn: Connection) -> Batch:
            row = _locked(conn, account, batch_id, now_ms)
            if row.state not in ENDED:
                row = _cancel(conn, row, now_ms)
            return _shown(conn, row)

        return await self._change(write)

    async def retry(
        self,
        account: Account,
        batch_id: str,
        *,
        cancelled: bool = False,
        max_cost_micro_usdc: int | None = None,
    ) -> Batch:
        """Try again what has failed, and what was cancelled if that is wanted too.

        Args:
            max_cost_micro_usdc: another budget for all of the batch; None leaves it.

        Raises:
            BatchNotFound: see `get`.
            Conflict: it has not ended, or nothing of it failed.
        """
        now_ms = _now_ms()

        def write(conn: Connection) -> Batch:
            row = _locked(conn, account, batch_id, now_ms)
            if row.state not in ENDED:
                raise Conflict(
                    f"the batch is {row.state.value}; try again when it has ended",
                    {"status": row.state.value},
                )
            again = [ItemState.FAILED, *([ItemState.CANCELLED] if cancelled else [])]
            if not any(getattr(row.counts, state.value) for state in again):
                raise Conflict("nothing of the batch has failed", {"status": row.state.value})
            if max_cost_micro_usdc is not None:
                batches.set_max_cost(conn, row.id, max_cost_micro_usdc)
            for state in again:
                batch_items.move_all(conn, row.id, state, ItemState.PENDING, now_ms)
            return _shown(conn, batches.start(conn, row, now_ms))

        return await self._change(write)

    async def end(self, account: Account, batch_id: str) -> tuple[bool, Batch]:
        """Cancel a batch that has not ended; delete one that has. Whether it was deleted.

        Its tasks follow as soon as they are settled.

        Raises:
            BatchNotFound: see `get`.
        """
        now_ms = _now_ms()

        def write(conn: Connection) -> tuple[bool, Batch]:
            row = _locked(conn, account, batch_id, now_ms)
            if row.state in ENDED or row.state is BatchState.PENDING:
                batches.delete(conn, row.id, now_ms)
                return True, _shown(conn, row)
            if row.state is BatchState.RUNNING:
                row = _cancel(conn, row, now_ms)
            return False, _shown(conn, row)

        deleted, batch = await self._database.write(write)
        self._feed.notify()
        return deleted, batch

    async def _change(self, write: Callable[[Connection], Batch]) -> Batch:
        batch = await self._database.write(write)
        self._feed.notify()
        return batch


def _cancel(conn: Connection, row: BatchRow, now_ms: int) -> BatchRow:
    batches.cancel(conn, row.id)
    batch_items.move_all(conn, row.id, ItemState.PENDING, ItemState.CANCELLED, now_ms)
    return batches.end_if_done(conn, row.id, now_ms)


def _repeated(conn: Connection, account: Account, wanted: BatchWanted) -> Batch | None:
    key = wanted.idempotency_key
    row = batches.by_idempotency_key(conn, account.id, key) if key is not None else None
    if row is not None:
        if row.request_sha256 != wanted.request_sha256:
            raise IdempotencyMismatch(
                f"the idempotency key {key!r} was used for batch {row.id}, which was another request"
            )
        return _shown(conn, row)
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
    return _shown(conn, row), True


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


def _owned(conn: Connection, account: Account, batch_id: str) -> BatchRow:
    row = batches.get(conn, batch_id, account.id)
    if row is None:
        raise BatchNotFound(batch_id)
    return row


def _locked(conn: Connection, account: Account, batch_id: str, now_ms: int) -> BatchRow:
    row = batches.lock(conn, _owned(conn, account, batch_id).id, now_ms)
    if row is None or row.deleted_at_ms is not None:
        raise BatchNotFound(batch_id)
    return row


def _with_tasks(conn: Connection, items: Sequence[ItemRow]) -> list[ItemResult]:
    return [
        ItemResult(item, tasks.get(conn, item.task_id) if item.task_id else None) for item in items
    ]


def _shown(conn: Connection, row: BatchRow) -> Batch:
    running = batch_items.count_running(conn, row.id) if row.counts.released else 0
    return Batch(row, running)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
