"""Batches: many tasks that are sent together, of which a few at a time are in the market.

They come by `batch_intake`.
"""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json

from ..batches.batch_rules import ENDED, BatchState, ItemState
from ..store import batch_items, batches, tasks
from ..store.accounts import Account
from ..store.batch_items import ItemRow
from ..store.batches import BatchRow
from ..store.database import Database
from ..store.feed import Feed
from ..store.tasks import TaskRow
from .batch_tasks import merged
from .errors import BatchNotFound, Conflict

LIST_MAX = 100
ITEMS_MAX = 1000


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
    """What clients do with batches that are there.

    Args:
        feed: wakes who releases their items (`batch_runner`), too.
    """

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed

    async def get(self, account: Account, batch_id: str) -> Batch:
        """One batch of this account, by its id or its owner's own id for it.

        Raises:
            BatchNotFound: there is none, or it is somebody else's.
        """
        return await self._database.read(lambda conn: shown(conn, _owned(conn, account, batch_id)))

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
            return BatchPage(tuple(shown(conn, row) for row in rows), total)

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
            return shown(conn, row), _with_tasks(conn, items)

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
            return shown(conn, row)

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
            return shown(conn, row)

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
            return shown(conn, batches.start(conn, row, now_ms))

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
                return True, shown(conn, row)
            if row.state is BatchState.RUNNING:
                row = _cancel(conn, row, now_ms)
            return False, shown(conn, row)

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


def shown(conn: Connection, row: BatchRow) -> Batch:
    """A batch as clients see it."""
    running = batch_items.count_running(conn, row.id) if row.counts.released else 0
    return Batch(row, running)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
