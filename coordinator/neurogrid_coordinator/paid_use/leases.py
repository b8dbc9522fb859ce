"""Leases for use, by which accounts pay for asking replicas: found, opened before they are needed, and left to end by themselves.

Which there are is what the database says: tasks of kind `USE_KIND` that have not ended. Here is only which of them an account asks a
replica by now. The node ends one that is idle, used up, or whose replica is gone; nobody here has to remember that.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from neurogrid_marketplace.task import TERMINAL, Lease, Phase
from neurogrid_marketplace.units import Units

from ..replicas.use_orders import use_submission
from ..services.errors import (
    InsufficientCredits,
    NodeUnavailable,
    QuotaExceeded,
    Refused,
)
from ..services.submission import USE_KIND
from ..services.tasks import Tasks
from ..store import accounts, task_lists, tasks, use
from ..store.database import Database, Overloaded
from ..store.feed import Feed
from ..store.ids import new_id
from ..store.task_lists import TaskFilter
from ..store.tasks import TaskRow
from .meter import Meter, Notes, NotOpened, PaidBy

_log = logging.getLogger(__name__)

_UNFINISHED: Final = frozenset(Phase) - TERMINAL
# An auction among one, and its escrow on the chain.
_OPEN_LIMIT_S: Final = 60.0
_LOOK_EVERY_S: Final = 1.0
# From this part of its escrow on the next lease is opened, and from that on no request begins under it.
_NEXT_AT_PERCENT: Final = 60
_FULL_AT_PERCENT: Final = 90
# A request may take so long: no lease ends by time while one is answered.
_WHOLE_MS: Final = 1_800_000
# Where an account cannot spare the usual escrow, smaller ones are tried, each a quarter of the one before.
_LESS: Final = 4
_ESCROW_MIN_MICRO_USDC: Final = 1_000
_KNOWN_MAX: Final = 4096
_FOUND_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class UseSettings:
    """What the operator says of leases for use.

    Attributes:
        escrow_micro_usdc: what each holds, where its account can spare that.
        idle_s: without a request for so long, one ends.
        timeout_s: how long one may last.
    """

    escrow_micro_usdc: int = 500_000
    idle_s: int = 300
    timeout_s: int = 24 * 3600


@dataclass(slots=True)
class _Known:
    """What is known of an account at a replica: its leases, oldest first; None: the database was not asked yet."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    task_ids: list[str] | None = None
    opening: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    row: TaskRow
    billed: Units


class UseLeases:
    """See the module."""

    def __init__(
        self,
        settings: UseSettings,
        *,
        database: Database,
        feed: Feed,
        tasks: Tasks,
        notes: Notes,
        now_ms: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._database = database
        self._feed = feed
        self._tasks = tasks
        self._notes = notes
        self._now_ms = now_ms
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    async def meter(self, account_id: str, model_id: str, task_id: str, of: Lease) -> Meter:
        """Of a new request to a replica: by which lease its node is asked, and what counts it.

        Args:
            task_id, of: the replica's task, and the lease that it runs under.

        Raises:
            InsufficientCredits, QuotaExceeded: the account has, or lets itself spend, too little for any.
            NotOpened: its node does not take it; or not in time.
        """
        known = self._of(account_id, of)
        async with known.lock:
            found = await self._running(known, account_id, model_id, of)
            if found is None:
                found = await self._opened(known, account_id, task_id, of)
        demand_use, lease = found.row.state.demand.use, found.row.state.lease
        assert demand_use is not None, "it is for use"
        assert lease is not None, "it runs"
        paid_by = PaidBy(
            *(found.row.id, lease, demand_use.prices, demand_use.max_cost_micro_usdc),
            *(account_id, model_id),
        )
        if _is_full(found, _NEXT_AT_PERCENT) and known.opening is None:
            known.opening = asyncio.create_task(
                self._open_next(known, account_id, model_id, task_id, of)
            )
        return Meter(new_id("req"), paid_by, self._notes)

    def gone(self, meter: Meter, of: Lease) -> None:
        """Its node knows its lease no more, or takes nothing more under it: the next request needs another."""
        known = self._of(meter.paid_by.account_id, of)
        if known.task_ids is not None and meter.paid_by.task_id in known.task_ids:
            known.task_ids.remove(meter.paid_by.task_id)

    async def aclose(self) -> None:
        """Open no more; what is there stays."""
        opening = [each.opening for each in self._known.values() if each.opening is not None]
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)

    def _of(self, account_id: str, of: Lease) -> _Known:
        key = (account_id, of.lease_id)
        known = self._known.setdefault(key, _Known())
        self._known.move_to_end(key)
        if len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)
        return known

    async def _open_next(
        self, known: _Known, account_id: str, model_id: str, task_id: str, of: Lease
    ) -> None:
        """Open another while the one that there is can still be used."""
        try:
            async with known.lock:
                found = await self._running(known, account_id, model_id, of)
                if found is not None and _is_full(found, _NEXT_AT_PERCENT):
                    await self._opened(known, account_id, task_id, of)
        except (Refused, Overloaded) as error:
            _log.info("account %s has no further lease at %s yet: %s", account_id, task_id, error)
        finally:
            known.opening = None

    async def _running(
        self, known: _Known, account_id: str, model_id: str, of: Lease
    ) -> _Found | None:
        """The lease with the most left in its escrow; None: there is none that takes a request."""
        if known.task_ids is None:
            # An earlier life of ours may have opened some.
            which = TaskFilter(
                account_id, phases=_UNFINISHED, kinds=frozenset({USE_KIND}), model=model_id
            )
            rows = await self._database.read(task_lists.list_rows, which, limit=_FOUND_MAX)
            known.task_ids = [row.id for row in reversed(rows) if _replica(row) == of.lease_id]
        fit = []
        for task_id in list(known.task_ids):
            found = await self._look(task_id)
            if found is None or found.row.phase in TERMINAL:
                known.task_ids.remove(task_id)
            elif not _is_full(found, _FULL_AT_PERCENT) and self._lasts(found.row):
                fit.append(found)
        fit.sort(key=lambda each: (each.row.phase is Phase.RUNNING, -_used_percent(each)))
        if not fit:
            return None
        if fit[-1].row.phase is Phase.RUNNING:
            return fit[-1]
        return await self._until_running(fit[-1].row.id)

    async def _opened(self, known: _Known, account_id: str, task_id: str, of: Lease) -> _Found:
        account = await self._database.read(accounts.get, account_id)
        replica = await self._database.read(tasks.get, task_id)
        if account is None or replica is None or replica.state.lease != of:
            raise NotOpened("the replica has just ended")
        amount = self._settings.escrow_micro_usdc
        while True:
            wanted = use_submission(
                replica.state,
                max_cost_micro_usdc=amount,
                timeout_s=self._settings.timeout_s,
                idle_s=self._settings.idle_s,
            )
            if wanted is None:
                raise NotOpened("the replica is not asked by leases for its use, or has ended")
            try:
                detail, _ = await self._tasks.submit(account, wanted)
            except (InsufficientCredits, QuotaExceeded):
                amount //= _LESS
                if amount < _ESCROW_MIN_MICRO_USDC:
                    raise
                continue
            except NodeUnavailable as error:
                raise NotOpened(error.message) from error
            break
        known.task_ids = [*(known.task_ids or []), detail.row.id]
        return await self._until_running(detail.row.id)

    async def _until_running(self, task_id: str) -> _Found:
        """Wait for one that is being opened.

        Raises:
            NotOpened: nobody takes it, or not in time.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_OPEN_LIMIT_S), self._feed.subscribe() as changed:
                while (found := await self._look(task_id)) is not None:
                    if found.row.phase is Phase.RUNNING:
                        return found
                    if found.row.phase in TERMINAL:
                        ending = found.row.state.ending
                        why = ending.message if ending is not None else "it was cancelled"
                        raise NotOpened(f"its node takes no requests of this account: {why}")
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_EVERY_S):
                            await changed.wait()
        raise NotOpened(f"the escrow for asking it is not open after {_OPEN_LIMIT_S:g} s")

    async def _look(self, task_id: str) -> _Found | None:
        def read(conn: Connection) -> _Found | None:
            row = tasks.get(conn, task_id)
            if row is None:
                return None
            lease = row.state.lease
            return _Found(row, use.of_lease(conn, lease.lease_id) if lease else Units())

        return await self._database.read_briefly(read)

    def _lasts(self, row: TaskRow) -> bool:
        """Whether there is time under it for a request that begins now."""
        if row.state.cancel_requested:
            return False
        lease = row.state.lease
        if lease is None or not lease.started_at_ms:
            return True
        timeout_ms = 1000 * row.state.demand.timeout_s
        left_ms = lease.started_at_ms + timeout_ms - self._now_ms()
        return left_ms >= min(_WHOLE_MS, timeout_ms // 2)


def _replica(row: TaskRow) -> str:
    return row.state.demand.use.replica if row.state.demand.use is not None else ""


def _used_percent(found: _Found) -> int:
    wanted = found.row.state.demand.use
    assert wanted is not None, "it is for use"
    return 100 * wanted.prices.cost_micro_usdc(found.billed) // wanted.max_cost_micro_usdc


def _is_full(found: _Found, percent: int) -> bool:
    return _used_percent(found) >= percent
