"""Leases for use, by which accounts pay for asking replicas: found, opened before they are needed, and left to end by themselves.

Which there are is what the database says: tasks of kind `USE_KIND` that have not ended. Here is only which of them an account asks a
replica by now, and what the answers under way may still take of each; `use_escrows` says which one pays for a request. The node ends
one that is idle, used up, or whose replica is gone; nobody here has to remember that.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from neurogrid_marketplace.task import TERMINAL, Lease, Phase
from neurogrid_marketplace.units import NOTHING_SERVED
from neurogrid_marketplace.use_escrows import (
    ESCROW_MIN_MICRO_USDC,
    chosen,
    escrows,
    roomiest,
    wants_next,
)

from ..replicas.serving import Asked
from ..replicas.use_orders import use_submission
from ..services.balances import Balances
from ..services.budgets import require_within
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
from .known import Found, Known, UnderWay, standings
from .meter import Meter, Notes, NotOpened, PaidBy

_log = logging.getLogger(__name__)

_UNFINISHED: Final = frozenset(Phase) - TERMINAL
# An auction among one, and its escrow on the chain.
_OPEN_LIMIT_S: Final = 60.0
_LOOK_EVERY_S: Final = 1.0
# A request may take so long: no lease ends by time while one is answered.
_WHOLE_MS: Final = 1_800_000
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


@dataclass(frozen=True, slots=True)
class _Asker:
    """Who asks: an account, and the replica's task and lease."""

    account_id: str
    model_id: str
    task_id: str
    of: Lease


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What an answer asks of its escrow; see `Asked`."""

    most_micro_usdc: int | None = None
    must_fit: bool = False

    def fits(self, amount_micro_usdc: int) -> bool:
        """Whether it may begin where so much is free."""
        return not self.must_fit or amount_micro_usdc >= (self.most_micro_usdc or 0)


class UseLeases:
    """See the module."""

    def __init__(
        self,
        settings: UseSettings,
        *,
        database: Database,
        feed: Feed,
        tasks: Tasks,
        balances: Balances,
        notes: Notes,
        now_ms: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._database = database
        self._feed = feed
        self._tasks = tasks
        self._balances = balances
        self._notes = notes
        self._now_ms = now_ms
        self._left: frozenset[str] = frozenset()
        self._known: OrderedDict[tuple[str, str], Known] = OrderedDict()

    async def require_able(self, account_id: str, model_id: str) -> None:
        """See that an account could pay for something of a model: it has a lease for asking it, or an escrow's least.

        Raises:
            InsufficientCredits: it has neither; QuotaExceeded: a limit of its own lets it spend nothing more.
            Unavailable: the chain does not say what it has.
        """
        which = TaskFilter(
            account_id, phases=_UNFINISHED, kinds=frozenset({USE_KIND}), model=model_id
        )
        if await self._database.read(task_lists.count, which):
            return
        account = await self._database.read(accounts.get, account_id)
        if account is None:
            raise NotOpened("the account is gone")
        available = (await self._balances.of(account)).available_micro_usdc
        least = min(ESCROW_MIN_MICRO_USDC, self._settings.escrow_micro_usdc)
        if available < least:
            raise InsufficientCredits(needed_micro_usdc=least, available_micro_usdc=available)
        await self._database.read(require_within, account, (least,), self._now_ms())

    async def meter(
        self, asked: Asked, task_id: str, of: Lease, *, is_funded: bool = False
    ) -> Meter:
        """Of a new request to a replica: by which lease its node is asked, and what counts it. Say `over` when it is.

        Args:
            task_id, of: the replica's task, and the lease that it runs under.
            is_funded: its escrow is waited for, where its node serves nobody ahead of that.

        Raises:
            InsufficientCredits, QuotaExceeded: the account has, or lets itself spend, too little for any; or for all of an
                answer that has to fit.
            NotOpened: its node does not take it; or not in time.
        """
        if of.unit_prices is None:
            raise NotOpened("the replica is not asked by leases for its use")
        known = self._of(asked.tenant, of)
        asker = _Asker(asked.tenant, asked.model_id, task_id, of)
        wanted = _Wanted(
            None if asked.most is None else of.unit_prices.cost_micro_usdc(asked.most),
            must_fit=asked.must_fit,
        )
        request_id = new_id("req")
        async with known.lock:
            there = await self._there(known, asker)
            lease = chosen(standings(known, there), wanted.most_micro_usdc)
            use_id = (
                await self._opened(known, there, asker, wanted) if lease is None else lease.name
            )
            under_way = UnderWay(wanted.most_micro_usdc or 0)
            known.under_way.setdefault(use_id, {})[request_id] = under_way
        try:
            found = there.get(use_id)
            if found is None or not _may_be_asked(found, is_funded=is_funded):
                found = await self._until_there(
                    known, asker.account_id, use_id, is_funded=is_funded
                )
        except BaseException:
            known.over(use_id, request_id)
            raise
        use_lease = found.row.state.lease
        assert use_lease is not None, "its node has taken it"
        paid_by = PaidBy(
            *(use_id, use_lease, found.use.prices, found.use.max_cost_micro_usdc),
            *(asked.tenant, asked.model_id),
            is_ahead=found.row.phase is not Phase.RUNNING,
        )
        under_way.meter = Meter(request_id, paid_by, self._notes)
        if known.opening is None and wants_next(standings(known, there)):
            known.opening = asyncio.create_task(self._open_next(known, asker))
        return under_way.meter

    def leave(self, task_ids: frozenset[str]) -> None:
        """Let no request begin under these leases; those under way go on."""
        self._left = task_ids

    def is_asked(self, task_id: str) -> bool:
        """Whether a request under this lease is being answered, or is about to."""
        return any(task_id in known.under_way for known in self._known.values())

    def over(self, meter: Meter, of: Lease) -> None:
        """Its request is over: nothing more is promised to it."""
        paid_by = meter.paid_by
        self._of(paid_by.account_id, of).over(paid_by.task_id, meter.request_id)

    def gone(self, meter: Meter, of: Lease) -> None:
        """Its node knows its lease no more, or takes nothing more under it: the next request needs another."""
        self._of(meter.paid_by.account_id, of).ended(meter.paid_by.task_id)

    async def aclose(self) -> None:
        """Open no more; what is there stays."""
        opening = [each.opening for each in self._known.values() if each.opening is not None]
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)

    def _of(self, account_id: str, of: Lease) -> Known:
        key = (account_id, of.lease_id)
        known = self._known.setdefault(key, Known())
        self._known.move_to_end(key)
        if len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)
        return known

    async def _open_next(self, known: Known, asker: "_Asker") -> None:
        """Open another while the one that there is can still be used."""
        try:
            async with known.lock:
                there = await self._there(known, asker)
                if wants_next(standings(known, there)):
                    await self._opened(known, {}, asker, _Wanted())
        except (Refused, Overloaded) as error:
            _log.info(
                "account %s has no further lease at %s yet: %s",
                *(asker.account_id, asker.task_id, error),
            )
        finally:
            known.opening = None

    async def _there(self, known: Known, asker: "_Asker") -> dict[str, Found]:
        """The leases that take requests, or are about to."""
        if known.task_ids is None:
            # An earlier life of ours may have opened some.
            which = TaskFilter(
                asker.account_id,
                phases=_UNFINISHED,
                kinds=frozenset({USE_KIND}),
                model=asker.model_id,
            )
            rows = await self._database.read(task_lists.list_rows, which, limit=_FOUND_MAX)
            known.task_ids = [
                row.id for row in reversed(rows) if _replica(row) == asker.of.lease_id
            ]
        there = {}
        for task_id in list(known.task_ids):
            found = await self._look(known, asker.account_id, task_id)
            if found is None or found.row.phase in TERMINAL:
                known.ended(task_id)
            elif task_id not in self._left and self._lasts(found.row):
                there[task_id] = found
        return there

    async def _opened(
        self,
        known: Known,
        there: Mapping[str, Found],
        asker: "_Asker",
        request: "_Wanted",
    ) -> str:
        """Submit another one, or take the one with the most room, where the account can spare no more than that has."""
        account = await self._database.read(accounts.get, asker.account_id)
        replica = await self._database.read(tasks.get, asker.task_id)
        if account is None or replica is None or replica.state.lease != asker.of:
            raise NotOpened("the replica has just ended")
        best = roomiest(standings(known, there))
        problem: Refused | None = None
        for amount in escrows(self._settings.escrow_micro_usdc, request.most_micro_usdc):
            if problem is not None and not request.fits(amount):
                raise problem
            if best is not None and problem is not None and best.free_micro_usdc >= amount:
                return best.name
            wanted = use_submission(
                replica.state,
                max_cost_micro_usdc=amount,
                timeout_s=self._settings.timeout_s,
                idle_s=self._settings.idle_s,
            )
            if wanted is None:
                raise NotOpened("the replica has just ended")
            try:
                detail, _ = await self._tasks.submit(account, wanted)
            except (InsufficientCredits, QuotaExceeded) as error:
                problem = error
            except NodeUnavailable as error:
                raise NotOpened(error.message) from error
            except BaseException:
                # It may be stored, and its client gone: whoever asks next finds it.
                known.task_ids = None
                raise
            else:
                known.task_ids = [*(known.task_ids or []), detail.row.id]
                return detail.row.id
        if best is not None and request.fits(best.free_micro_usdc):
            return best.name
        assert problem is not None, "nothing was opened"
        raise problem

    async def _until_there(
        self, known: Known, account_id: str, task_id: str, *, is_funded: bool
    ) -> Found:
        """Wait for one that is being opened, until its node has taken it, or until its escrow is there.

        Raises:
            NotOpened: nobody takes it, or not in time.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_OPEN_LIMIT_S), self._feed.subscribe() as changed:
                while (found := await self._look(known, account_id, task_id)) is not None:
                    if _may_be_asked(found, is_funded=is_funded):
                        return found
                    if found.row.phase in TERMINAL:
                        ending = found.row.state.ending
                        why = ending.message if ending is not None else "it was cancelled"
                        raise NotOpened(f"its node takes no requests of this account: {why}")
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_EVERY_S):
                            await changed.wait()
        raise NotOpened(f"the escrow for asking it is not open after {_OPEN_LIMIT_S:g} s")

    async def _look(self, known: Known, account_id: str, task_id: str) -> Found | None:
        def read(conn: Connection) -> Found | None:
            stored = tasks.stored(conn, task_id, account_id)
            if not stored:
                return None
            row = known.row_of(task_id, stored)
            lease = row.state.lease
            return Found(row, use.of_lease(conn, lease.lease_id) if lease else NOTHING_SERVED)

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


def _may_be_asked(found: Found, *, is_funded: bool) -> bool:
    """Whether its node has taken it, and its escrow is there where that is waited for."""
    return found.row.phase is Phase.RUNNING or (not is_funded and found.is_taken)


def _replica(row: TaskRow) -> str:
    return row.state.demand.use.replica if row.state.demand.use is not None else ""
