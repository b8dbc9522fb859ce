"""Tasks: submit one, look at them, end one."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from neurogrid_marketplace.constraints import MAX_PRICE
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.explain import Explanation
from neurogrid_marketplace.matching import shape_of
from neurogrid_marketplace.settlement import SettlementPhase
from neurogrid_marketplace.spreading import NOBODY, Barred, barred
from neurogrid_marketplace.task import TERMINAL, Phase

from ..market.errors import MarketAway
from ..store import (
    artifacts,
    checkpoints,
    leases,
    needs,
    request_records,
    task_lists,
    tasks,
)
from ..store.accounts import Account
from ..store.database import Database, TakesLong
from ..store.feed import Feed
from ..store.ids import new_id
from ..store.leases import LeaseRow
from ..store.task_lists import TaskFilter
from ..store.tasks import TaskRow, TaskState
from . import intake
from .balances import Balances
from .drafts import draft_of, require_deadline, require_time
from .errors import (
    Conflict,
    IdempotencyMismatch,
    NodeUnavailable,
    NotFound,
    Unavailable,
)
from .intake import Draft
from .submission import Submission, Terms
from .task_details import KnownTasks, TaskDetail, detail, find, owned, waits
from .written_tasks import WrittenTask

T_co = TypeVar("T_co", covariant=True)

# A list is a page for people; programs page on.
LIST_MAX = 100
# How long "somebody could serve this" is believed: no longer than a node's word about itself.
_SERVABLE_S = 1.0
_SERVABLE_MAX = 1000
# How many waiting tasks a refusal names.
_NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Some tasks; ``total`` counts all that match."""

    rows: tuple[TaskRow, ...]
    total: int


def _nothing(_conn: Connection, _row: TaskRow) -> None:
    """Beside most tasks nothing else is stored."""


class _Store(Protocol[T_co]):
    """Stores something in a transaction; ``brief``: raises `TakesLong` where that takes more than a few statements."""

    def __call__(self, conn: Connection, *, brief: bool = False) -> T_co: ...


class CancelResult(StrEnum):
    """What `Tasks.end` did."""

    CANCELLED = "cancelled"
    CANCELLING = "cancelling"
    DELETED = "deleted"


class Tasks:
    """What clients do with tasks.

    Args:
        explain: asks the market how a demand meets the nodes known now; raises `MarketAway`.
        may_return: whether a node that was here a moment ago could serve a demand.
        wake: tells the orchestrator of a new task.
        request_cancel: has the orchestrator carry out a cancellation; the phase after it.
    """

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        terms: Terms,
        explain: Callable[[Demand, Barred], Awaitable[Explanation]],
        may_return: Callable[[Demand], bool],
        balances: Balances,
        wake: Callable[[TaskState], None],
        request_cancel: Callable[[str], Awaitable[Phase]],
    ) -> None:
        self._database = database
        self._feed = feed
        self._terms = terms
        self._explain = explain
        self._may_return = may_return
        self._balances = balances
        self._wake = wake
        self._request_cancel = request_cancel
        self._servable: dict[Demand, float] = {}
        self._known = KnownTasks()

    async def submit(
        self,
        account: Account,
        wanted: Submission,
        also: Callable[[Connection, TaskRow], None] = _nothing,
    ) -> tuple[TaskDetail, bool]:
        """Store a task; the task, and whether it is new.

        Everything that can be known to fail is refused here, before anything is stored or paid.

        Args:
            also: what is stored in the same transaction, where the task is new; what it raises leaves nothing.

        Raises:
            InvalidRequest, InsufficientCredits, NodeUnavailable, IdempotencyMismatch, Unavailable.
        """
        key = wanted.idempotency_key
        sizes, repeated = await self._look(account, wanted)
        draft = self.draft(wanted, sizes)
        if repeated is not None:
            if not request_records.is_same(repeated.row.spec, draft.record):
                raise IdempotencyMismatch(
                    f"the idempotency key {key!r} was used for task {repeated.row.id}, which was "
                    "another request"
                )
            return repeated, False
        await self.require_possible(draft)
        funds = await self._balances.funds(account)
        now_ms = _now_ms()

        def store(conn: Connection, *, brief: bool = False) -> TaskDetail | None:
            intake.require_budget(conn, account, funds, [draft], now_ms, brief=brief)
            intake.require_room(conn, account, [draft])
            row, created = intake.store(conn, account, draft, now_ms)
            if not created:
                return None
            also(conn, row)
            return TaskDetail(row, waits=waits(conn, row))

        try:
            if also is _nothing and wanted.stands_alone:
                stored = await self._write_briefly(store)
            else:
                stored = await self._database.write(store)
        except tasks.IdempotencyConflict as error:
            raise IdempotencyMismatch(str(error)) from error
        if stored is None:
            # Submitted twice at the same moment.
            _, repeated = await self._look(account, wanted)
            assert repeated is not None, "stored with this key"
            return repeated, False
        self.announce(stored.row)
        return stored, True

    async def submit_written(self, account: Account, written: WrittenTask, key: str | None) -> bool:
        """Store a task that another process has read, checked and put into words; False: it has to be `submit`ted,
        because the account used the idempotency key before.

        Everything that depends on more than the request is refused here, as `submit` does.

        Args:
            key: the request's idempotency key.

        Raises:
            InsufficientCredits, NodeUnavailable, Unavailable, QuotaExceeded.
        """
        before = tasks.by_idempotency_key
        if key is not None:
            repeated = await self._database.read_briefly(before, account.id, key)
            if repeated is not None:
                return False
        state = tasks.read_state(written.columns["state_json"])
        if not written.waits_for_node:
            await self._require_node(state.demand)
        funds = await self._balances.funds(account)
        columns = {**written.columns, "account_id": account.id, "idempotency_key": key}
        now_ms = columns["created_at_ms"]

        def store(conn: Connection, *, brief: bool = False) -> bool:
            if key is not None and before(conn, account.id, key) is not None:
                return False
            costs = [columns["hold_micro_usdc"]]
            intake.require_costs(conn, account, funds, costs, now_ms, brief=brief)
            tasks.insert_columns(conn, columns)
            return True

        if not await self._write_briefly(store):
            return False
        self._announce(TaskState(state, account.id, columns["priority"]))
        return True

    def draft(
        self,
        wanted: Submission,
        sizes: Mapping[str, int],
        place: str = "",
        task_id: str | None = None,
    ) -> Draft:
        """The submission as it would be stored.

        Args:
            sizes: SHA-256 -> size in bytes, of those of its inputs that the account has.
            place: what its fields' paths in the request begin with.
            task_id: that was promised for it; None for a new one.

        Raises:
            InvalidRequest: it breaks a rule, or an input is not here.
        """
        return draft_of(wanted, sizes, self._terms, place, task_id)

    async def require_possible(self, draft: Draft, place: str = "") -> None:
        """Refuse what can't be done from now on. A request that is repeated is not asked again.

        Raises:
            InvalidRequest: its deadline can't be kept any more.
            NodeUnavailable: no node could ever serve it, and its owner does not want it to wait.
        """
        require_deadline(draft.wanted, place)
        if not draft.wanted.wait_for_node:
            await self._require_node(draft.demand)

    def announce(self, row: TaskRow) -> None:
        """A new task is stored: tell listeners and the orchestrator."""
        self._announce(TaskState(row.state, row.account_id, row.priority))

    def _announce(self, stored: TaskState) -> None:
        self._feed.notify()
        self._wake(stored)

    async def _write_briefly(self, store: "_Store[T_co]") -> T_co:
        """Store something in a few statements, unless it turns out to take more."""
        try:
            return await self._database.write_briefly(store, brief=True)
        except TakesLong:
            return await self._database.write(store)

    async def explain(self, account: Account, wanted: Submission) -> tuple[Explanation, Demand]:
        """How such a task would meet the market now, and what would be asked; nothing is stored.

        Inputs need not be there yet.

        Raises:
            InvalidRequest, Unavailable.
        """
        require_time(wanted, self._terms)
        job = wanted.job({item.sha256: 0 for item in wanted.inputs})
        demand = wanted.demand(new_id("demand"), job, job.hash(), self._terms)
        places = NOBODY
        if wanted.spread is not None:
            others = await self._database.read(
                tasks.holding_of_spread, account.id, wanted.spread.group
            )
            places = barred(wanted.spread, others)
        return await self._market(demand, places), demand

    async def get(self, account: Account, task_id: str) -> TaskDetail:
        """One task of this account.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """

        known = self._known.of(task_id)
        found = await self._database.read_briefly(find, account, task_id, known)
        self._known.keep(found)
        return found.detail

    async def some(self, account: Account, task_ids: Sequence[str]) -> list[TaskRow]:
        """Those of these tasks that are the account's, in this order."""

        def read(conn: Connection) -> list[TaskRow]:
            found = []
            for task_id in task_ids:
                with suppress(NotFound):
                    found.append(owned(conn, account, task_id))
            return found

        return await self._database.read(read)

    async def list(
        self,
        which: TaskFilter,
        *,
        limit: int = 50,
        offset: int = 0,
        oldest_first: bool = False,
    ) -> TaskPage:
        """Tasks that fit, newest first; of the account that the filter names."""
        assert which.account_id is not None, "a client sees its own"

        def read(conn: Connection) -> TaskPage:
            rows = task_lists.list_rows(
                conn, which, limit=min(limit, LIST_MAX), offset=offset, oldest_first=oldest_first
            )
            return TaskPage(tuple(rows), task_lists.count(conn, which))

        return await self._database.read(read)

    async def cancel(self, account: Account, task_id: str) -> TaskRow:
        """Cancel a task that waits or runs; one that has ended stays as it is. The task after it.

        Raises:
            NotFound: see `get`.
        """
        row = await self._database.read_briefly(owned, account, task_id)
        if row.phase not in TERMINAL:
            await self._request_cancel(task_id)
            row = await self._database.read_briefly(owned, account, task_id)
        return row

    async def end(self, account: Account, task_id: str) -> tuple[CancelResult, TaskRow]:
        """Cancel a task that waits or runs; delete one that has ended.

        Raises:
            NotFound: see `get`.
            Conflict: its money is still under way, or another task waits for what it left, so it
                can't be deleted yet.
        """
        row = await self._database.read_briefly(owned, account, task_id)
        if row.belongs_to is not None:
            raise Conflict(
                f"this run belongs to {row.belongs_to}: cancel or delete that task, and it goes along",
                {"task_id": row.belongs_to},
            )
        if row.phase not in TERMINAL:
            row = await self.cancel(account, task_id)
            ended = row.phase in TERMINAL
            return CancelResult.CANCELLED if ended else CancelResult.CANCELLING, row
        now_ms = _now_ms()

        def delete(conn: Connection) -> None:
            delete_settled(conn, account, [task_id], now_ms)

        await self._database.write(delete)
        return CancelResult.DELETED, row

    async def _look(
        self, account: Account, wanted: Submission
    ) -> tuple[dict[str, int], TaskDetail | None]:
        """Sizes of the inputs that are here, and the task that this request repeats."""
        key = wanted.idempotency_key
        digests = [item.sha256 for item in wanted.inputs]
        if key is None and not digests:
            return {}, None

        def read(conn: Connection) -> tuple[dict[str, int], TaskDetail | None]:
            row = tasks.by_idempotency_key(conn, account.id, key) if key else None
            sizes = artifacts.sizes(conn, account.id, digests) if digests else {}
            return sizes, detail(conn, row) if row else None

        look = self._database.read if digests else self._database.read_briefly
        return await look(read)

    async def _market(self, demand: Demand, places: Barred = NOBODY) -> Explanation:
        try:
            return await self._explain(demand, places)
        except MarketAway as error:
            raise Unavailable("the market is being restarted; try again in a moment") from error

    async def _require_node(self, demand: Demand) -> None:
        # What an explanation depends on. A thousand tasks alike ask the market once.
        shape = replace(
            shape_of(demand), image="", timeout_s=demand.timeout_s if demand.where else 1
        )
        now_s = time.monotonic()
        if now_s - self._servable.get(shape, float("-inf")) < _SERVABLE_S:
            return
        try:
            explanation = await self._market(demand)
        except Unavailable:
            # The market process is being restarted. Accepting needs nothing of it: the task waits,
            # and expires with an explanation if nobody comes.
            return
        able = could_serve(explanation)
        if able < demand.seats and not self._may_return(demand):
            raise NodeUnavailable(explanation, able, demand.seats)
        if len(self._servable) >= _SERVABLE_MAX:
            self._servable.clear()
        self._servable[shape] = now_s


def delete_settled(
    conn: Connection, account: Account, task_ids: Sequence[str], now_ms: int
) -> None:
    """Delete tasks that have ended, each with the runs that verify it and the members of its gang.

    Raises:
        Conflict: the money of one is still under way, or others wait for what it left.
    """
    for task_id in task_ids:
        require_unneeded(conn, task_id)
        runs = tasks.group_of(conn, task_id)
        if not all(settled(run, leases.of_task(conn, run.id)) for run in runs):
            raise Conflict(
                f"{task_id} has ended, but its payment is not settled yet; delete it then",
                {"task_id": task_id},
            )
        for run in reversed(runs):
            tasks.delete(conn, run.id, account.id, now_ms)
            checkpoints.retain(conn, run.id, ())


def require_unneeded(conn: Connection, task_id: str) -> None:
    """Refuse to delete what others wait for.

    Raises:
        Conflict: names one of them.
    """
    waiting = needs.waiting_on(conn, task_id)
    if waiting:
        raise Conflict(
            f"{waiting[0]} waits for the outputs of {task_id}; delete it when that has ended",
            {"waiting": list(waiting[:_NAMED_MAX])},
        )


def settled(row: TaskRow, its_leases: "tuple[LeaseRow, ...] | list[LeaseRow]") -> bool:
    """Whether the task has ended and no money of it is under way."""
    return row.phase in TERMINAL and all(
        lease.settlement.phase is SettlementPhase.CLOSED for lease in its_leases
    )


def could_serve(explanation: Explanation) -> int:
    """How many nodes that are known could serve this if they were idle.

    Being in use or paused passes; hardware, place and price don't.
    """
    left = [item.left for item in explanation.survivors if item.constraint == MAX_PRICE]
    return max((explanation.matching, *left))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
