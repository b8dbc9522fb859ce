"""Moves batches: the asyncio shell around `batch_rules`.

Whatever happens to an item is one transaction: that its task is stored, that the task has ended, that it is
tried again. So a kill at any moment loses no item and gives none two tasks, and several coordinators may do
this on one database: who comes second finds the item moved. Items are released a few at a time, batch after
batch, and the market never sees more of a batch than its `max_concurrency`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from neurogrid_marketplace.task import TERMINAL, Phase

from ..money.client_funds import ClientFunds
from ..services import intake
from ..services.balances import Balances
from ..services.batch_tasks import BatchTasks, Wanted
from ..services.errors import (
    Conflict,
    InsufficientCredits,
    MonthExhausted,
    RateLimited,
    Refused,
    Unavailable,
)
from ..services.intake import Draft
from ..services.tasks import Tasks, delete_settled
from ..store import accounts, batch_items, batches, tasks
from ..store.accounts import Account
from ..store.batch_items import ItemRow
from ..store.batches import BatchRow
from ..store.database import Database, Overloaded
from ..store.feed import Feed
from ..store.request_records import SUBMITTED_AT_MS
from ..store.tasks import TaskRow
from .batch_rules import Afford, BatchState, ItemState, affords, after_task, room

_log = logging.getLogger(__name__)

# How often batches are looked at where nothing happens, and how long at least between two looks.
LOOK_S = 1.0
_PAUSE_S = 0.1
# What one look at one batch moves at most: the others' turn comes before its next.
_AT_ONCE = 32
_BATCHES_MAX = 1000
# A batch that lacks money, and a task that was asked to end, are asked again after so long.
_AGAIN_MS = 5000
# Deleted batches: how many are cleared in one look, and how many tasks in one transaction.
_CLEARED_AT_ONCE = 4
_CLEARED_ITEMS = 50
_CLEAR_AGAIN_MS = 30_000
# What is still loading after so long was left by a request that was cut off.
_LOADING_MAX_MS = 3_600_000


class _Waits(Exception):
    """The batch can't go on now; the message is for its owner, "" for what passes by itself."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What there is to do about a batch."""

    row: BatchRow
    account: Account
    ended: list[ItemRow]
    pending: list[ItemRow]
    going: list[str]


class BatchRunner:
    """Every batch that has not ended.

    Args:
        request_cancel: has the orchestrator carry out a cancellation.
    """

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        tasks: Tasks,
        batch_tasks: BatchTasks,
        balances: Balances,
        request_cancel: Callable[[str], Awaitable[Phase]],
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._feed = feed
        self._tasks = tasks
        self._batch_tasks = batch_tasks
        self._balances = balances
        self._request_cancel = request_cancel
        self._now_ms = now_ms
        # When to try again: batches that lack something, tasks that end, batches that can't be cleared.
        self._not_before: dict[str, int] = {}

    async def run(self) -> None:
        """Move batches for ever; cancel it to stop."""
        async with self._feed.subscribe() as changed:
            while True:
                try:
                    await self.look()
                except Overloaded as error:
                    _log.debug("batches wait: %s", error)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await changed.wait()
                await asyncio.sleep(_PAUSE_S)

    async def look(self) -> None:
        """Take every batch a little further."""
        now_ms = self._now_ms()
        self._not_before = {key: at for key, at in self._not_before.items() if at > now_ms}
        if await self._database.read_briefly(batches.are_idle):
            return
        for row in await self._database.read(batches.under_way, _BATCHES_MAX):
            try:
                await self._move(row.id)
            except Overloaded:
                raise
            except Unavailable as error:
                _log.debug("batch %s: %s", row.id, error)
                self._not_before[row.id] = now_ms + _AGAIN_MS
            except Exception:  # noqa: BLE001 - the boundary of one batch: the others go on
                _log.exception("batch %s", row.id)
        loading_before_ms = now_ms - _LOADING_MAX_MS
        for row in await self._database.read(batches.to_clear, loading_before_ms, _BATCHES_MAX):
            if row.id not in self._not_before:
                await self._clear(row)

    async def _move(self, batch_id: str) -> None:
        found = await self._database.read(_look, batch_id)
        if found is None:
            return
        if found.ended:
            await self._database.write(_collect, found, self._now_ms())
            self._feed.notify()
        if found.row.state is BatchState.CANCELLING:
            await self._cancel(found)
        elif found.pending and batch_id not in self._not_before:
            await self._release_some(found)

    async def _cancel(self, found: _Look) -> None:
        for task_id in found.going:
            if task_id not in self._not_before:
                self._not_before[task_id] = self._now_ms() + _AGAIN_MS
                await self._request_cancel(task_id)

    async def _release_some(self, found: _Look) -> None:
        note = ""
        funds = await self._balances.funds(found.account)
        for item in found.pending:
            try:
                if not await self._release(found, item, funds):
                    break
            except _Waits as waits:
                note = str(waits)
                break
        if note:
            self._not_before[found.row.id] = self._now_ms() + _AGAIN_MS
        if note != found.row.note:
            await self._database.write(batches.save_note, found.row.id, note)

    async def _release(self, found: _Look, item: ItemRow, funds: ClientFunds) -> bool:
        """Store the item's task; whether to go on with the next one.

        Raises:
            _Waits: none of the batch can be released now.
        """
        row = found.row
        # An item that is tried again has a further task.
        promised = None if item.attempts else item.first_task_id
        wanted = Wanted(item.client_id, item.request, "", promised)
        try:
            draft = await self._batch_tasks.draft(
                found.account, row.defaults, row.name or row.id, wanted
            )
            stored = await self._database.write(
                _store, found.account, row, item, draft, funds, self._now_ms()
            )
        except Unavailable:
            raise
        except (InsufficientCredits, MonthExhausted, RateLimited) as error:
            raise _Waits(error.message) from error
        except Refused as error:
            # It was good when the batch was made: an input or a task that it needs has gone since.
            await self._database.write(_refuse, item, error, self._now_ms())
            self._feed.notify()
            return True
        if stored is None:
            return False
        self._tasks.announce(stored)
        return True

    async def _clear(self, row: BatchRow) -> None:
        """Delete some items of a deleted batch with their tasks, and the rest at the next look."""
        account = await self._database.read(accounts.get, row.account_id)
        assert account is not None, "a batch refers to its account"
        for _ in range(_CLEARED_AT_ONCE):
            try:
                left = await self._database.write(_clear_some, account, row.id, self._now_ms())
            except Conflict as error:
                # Money of one is under way, or others wait for what it left.
                _log.debug("batch %s is cleared later: %s", row.id, error)
                self._not_before[row.id] = self._now_ms() + _CLEAR_AGAIN_MS
                return
            if not left:
                return


def _look(conn: Connection, batch_id: str) -> _Look | None:
    row = batches.get(conn, batch_id)
    account = accounts.get(conn, row.account_id) if row is not None else None
    if row is None or account is None:
        return None
    many = min(_AT_ONCE, room(row.state, row.counts, row.max_concurrency))
    going: list[str] = []
    if row.state is BatchState.CANCELLING:
        going = batch_items.going_tasks(conn, batch_id, _AT_ONCE)
    return _Look(
        row,
        account,
        batch_items.ended_tasks(conn, batch_id, _AT_ONCE * 8),
        batch_items.page(conn, batch_id, [ItemState.PENDING], limit=many) if many else [],
        going,
    )


def _collect(conn: Connection, found: _Look, now_ms: int) -> None:
    """What tasks that have ended make of their items, and of the batch."""
    row = batches.lock(conn, found.row.id, now_ms)
    if row is None:
        return
    for item in found.ended:
        assert item.task_id is not None, "it is released"
        task = tasks.get(conn, item.task_id)
        assert task is not None, "an item refers to its task"
        assert task.phase in TERMINAL, "phases never go back"
        after = after_task(
            task.phase,
            attempts=item.tries,
            retries=row.retries,
            cancelling=row.state is BatchState.CANCELLING,
        )
        ending = task.state.ending
        failed = ending is not None and after is not ItemState.COMPLETED
        batch_items.end(
            conn,
            item,
            after,
            now_ms,
            cost_micro_usdc=task.cost_micro_usdc,
            code=ending.code if ending is not None and failed else "",
            message=ending.message if ending is not None and failed else "",
        )
    batches.end_if_done(conn, row.id, now_ms)


def _store(
    conn: Connection,
    account: Account,
    row: BatchRow,
    item: ItemRow,
    draft: Draft,
    funds: ClientFunds,
    now_ms: int,
) -> TaskRow | None:
    """Store the task of an item that still waits; None where nothing more is to be released now."""
    locked = batches.lock(conn, row.id, now_ms)
    if locked is None or not room(locked.state, locked.counts, locked.max_concurrency):
        return None
    if not batch_items.is_pending(conn, row.id, item.position):
        return None
    needed = draft.wanted.held_micro_usdc(draft.demand)
    afford = affords(
        locked.max_cost_micro_usdc,
        spent=locked.spent_micro_usdc,
        held=batch_items.held_micro_usdc(conn, row.id),
        needed=needed,
    )
    if afford is Afford.LATER:
        return None
    if afford is Afford.NEVER:
        batch_items.move_all(
            conn,
            row.id,
            ItemState.PENDING,
            ItemState.FAILED,
            now_ms,
            code="BUDGET_EXHAUSTED",
            message="the batch's max_cost has no room for it; retry with a higher one",
        )
        batches.end_if_done(conn, row.id, now_ms)
        return None
    intake.require_budget(conn, account, funds, [draft], now_ms)
    intake.require_room(conn, account, [draft])
    draft = replace(draft, record={**draft.record, SUBMITTED_AT_MS: row.created_at_ms})
    stored, _ = intake.store(conn, account, draft, now_ms)
    batch_items.release(conn, item, stored.id, needed)
    return stored


def _refuse(conn: Connection, item: ItemRow, error: Refused, now_ms: int) -> None:
    if batches.lock(conn, item.batch_id, now_ms) is None:
        return
    batch_items.end(
        conn, item, ItemState.FAILED, now_ms, code=error.code, message=error.message[:1000]
    )
    batches.end_if_done(conn, item.batch_id, now_ms)


def _clear_some(conn: Connection, account: Account, batch_id: str, now_ms: int) -> bool:
    """Whether anything is left.

    Raises:
        Conflict: a task can't be deleted yet.
    """
    items = batch_items.page(conn, batch_id, limit=_CLEARED_ITEMS)
    if not items:
        batches.cleared(conn, batch_id, now_ms)
        return False
    delete_settled(conn, account, [item.task_id for item in items if item.task_id], now_ms)
    batch_items.remove(conn, batch_id, [item.position for item in items])
    return True
