"""Moves tasks: the asyncio shell around `neurogrid_marketplace.orchestration`.

Every event is one transaction (`steps.take`) that loads, decides and saves; then its actions are
performed, and what they find out comes back as the next event. Actions may be performed any number
of times, so nothing here needs to survive: after a restart each task is simply asked what is due.

The copies of tasks in memory only say what to look at; every step loads the stored state.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from neurogrid_marketplace import orchestration
from neurogrid_marketplace.deadlines import missed
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.messages import Start, Stop
from neurogrid_marketplace.task import TERMINAL, Lease, Phase, Task
from neurogrid_marketplace.task_actions import (
    Abandon,
    Action,
    Blame,
    CheckOutputs,
    HoldAuction,
    OpenEscrow,
    SeekVerdict,
    SendAward,
    SendStart,
    SendStop,
    Settle,
)
from neurogrid_marketplace.task_events import (
    CancelRequested,
    Due,
    Event,
    KeySent,
    OutputsChecked,
    TurnCame,
)
from neurogrid_marketplace.verification import Verdict

from . import steps
from .attendance import Attendance
from .groups import Looked
from .market.errors import MarketError
from .matchmaker import Market, Matchmaker
from .outgoing import Outgoing
from .steps import Step
from .store import tasks
from .store.database import Database, Overloaded
from .store.feed import Feed
from .store.tasks import TaskState
from .waiting import WaitingRoom

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)

# How often every task that has not ended is looked at.
SWEEP_S = 1.0
# How long to wait before asking a market process again that is being started.
_MARKET_PAUSE_S = 0.2
# Our own calls wait for room in the database's queue; clients' are refused.
_OVERLOADED_PAUSE_S = 0.05


class Orchestrator:
    """All tasks that have not ended.

    Attributes:
        ready: set when `run` has loaded the tasks; only then may anything else be told it.

    Args:
        outgoing: to nodes.
        settle: told of each lease whose money may need something.
        start_of: builds the start message of a lease.
        check_outputs: what of a result's outputs is not here; "" if all is.
        found_out: told of each node about which a finding was stored.
        look_at_group: does what the runs of a task that is verified call for.
        turns_max: how many tasks may look for a node at a time.
        sweep_s: how often every task is looked at.
    """

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        market: Market,
        outgoing: Outgoing,
        attendance: Attendance,
        settle: Callable[[str], None],
        start_of: Callable[[Connection, str, Lease], Start],
        check_outputs: Callable[[CheckOutputs], Awaitable[str]],
        found_out: Callable[[str], None],
        look_at_group: Callable[[str], Awaitable[Looked]],
        now_ms: Callable[[], int],
        turns_max: int,
        sweep_s: float = SWEEP_S,
    ) -> None:
        self._database = database
        self._feed = feed
        self._market = market
        self._matchmaker = Matchmaker(database, market)
        self._outgoing = outgoing
        self._attendance = attendance
        self._settle = settle
        self._start_of = start_of
        self._check_outputs = check_outputs
        self._found_out = found_out
        self._look_at_group = look_at_group
        # Groups about which something has changed since they were looked at.
        self._groups_changed: set[str] = set()
        self._now_ms = now_ms
        self._sweep_s = sweep_s
        self._tasks: dict[str, TaskState] = {}
        # node id -> lease id -> task id, of leases that a node has taken and not ended.
        self._taken: dict[str, dict[str, str]] = {}
        self._room = WaitingRoom()
        self._gangs_ask = asyncio.Lock()
        self._turn = asyncio.Event()
        self._turns = asyncio.Semaphore(turns_max)
        self._group: asyncio.TaskGroup | None = None
        self.ready = asyncio.Event()
        self._running: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Move tasks for ever; cancel it to stop."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await self._load()
                self.ready.set()
                group.create_task(self._give_turns())
                await self._sweep()
            finally:
                # What is still told while it stops is found by the next start.
                self._group = None

    async def _load(self) -> None:
        for state in await self._database.read(tasks.active):
            self._remember(state)
            if state.task.phase is Phase.QUEUED:
                self._room.add(state.task, state.priority)
            for action in orchestration.due(state.task, self._now_ms()):
                self.perform(state.task.task_id, action)
            if state.task.belongs_to and state.task.membership is None:
                # The task that it verifies may have ended without it.
                self.perform(state.task.task_id, SeekVerdict(state.task.group))
        for group in await self._database.read(tasks.unjudged):
            self.perform(group, SeekVerdict(group))

    # --- what others tell -------------------------------------------------------------------------

    def wake(self, state: TaskState) -> None:
        """A task was submitted and is stored. What is told before `run` is found by `run`."""
        if self._group is not None:
            self._remember(state)
            if state.task.phase is Phase.QUEUED:
                self._room.add(state.task, state.priority)
                self._turn.set()
            if state.task.verdict is Verdict.DUE:
                self.perform(state.task.task_id, SeekVerdict(state.task.group))

    async def request_cancel(self, task_id: str) -> Phase:
        """Carry out a cancellation; the task's phase after it.

        Raises:
            LookupError: no such task.
        """
        step = await self.step(task_id, CancelRequested())
        if step is None:
            raise LookupError(f"there is no task {task_id}")
        return step.after.phase

    async def request_cancel_all(self, task_ids: Sequence[str]) -> None:
        """Carry out the cancellation of several tasks, all or none, in this order."""
        steps_taken = await self.write(steps.take_all, task_ids, CancelRequested(), self._now_ms())
        for step in steps_taken:
            self.follow(step)

    async def send_key(self, task_id: str, key: KeySent) -> None:
        """The client sent the key to a sealed task's inputs; a late one changes nothing."""
        await self.step(task_id, key)

    def nodes_changed(self) -> None:
        """A node came or became free: queued tasks need not wait any longer."""
        self._room.wake()
        self._turn.set()

    def leases_of(self, node_id: str) -> dict[str, int]:
        """Leases that a node should know of: lease id -> since when."""
        return {
            lease_id: self._tasks[task_id].task.since_ms
            for lease_id, task_id in self._taken.get(node_id, {}).items()
        }

    def task_of(self, lease_id: str, node_id: str) -> TaskState | None:
        """The task of a lease that a node has taken."""
        task_id = self._taken.get(node_id, {}).get(lease_id)
        return self._tasks[task_id] if task_id is not None else None

    async def step(
        self, task_id: str, event: Event, proof: Iterable[tuple[str, Envelope]] = ()
    ) -> Step | None:
        """Take one step and perform what follows."""
        step = await self.write(steps.take, task_id, event, self._now_ms(), proof)
        if step is not None:
            self.follow(step)
        return step

    def follow(self, step: Step) -> None:
        """Perform what a committed step asks for."""
        task = step.after
        self._remember(TaskState(task, step.account_id, step.priority))
        if step.moved:
            _log.info("task %s: %s -> %s", task.task_id, step.before.phase, task.phase)
            self._feed.notify()
        for action in step.actions:
            self.perform(task.task_id, action)
        if task.phase is Phase.QUEUED:
            self._room.add(task, step.priority)
            self._turn.set()
        for released in step.released:
            self.follow(released)

    def perform(self, task_id: str, action: Action) -> None:
        """Have an action carried out; one that is under way is not started twice."""
        match action:
            case HoldAuction() | SendAward():
                self._spawn("match", task_id, self._match)
            case OpenEscrow(lease) | Abandon(lease) | Settle(lease):
                self._settle(lease.lease_id)
            case SendStart(lease):
                if self._outgoing.may_repeat("start", lease.lease_id):
                    self._spawn("start", task_id, self._send_start)
            case SendStop(lease, reason):
                if self._outgoing.may_repeat("stop", lease.lease_id):
                    self._outgoing.tell(lease.node_id, Stop(lease.lease_id, reason))
                self._settle(lease.lease_id)
            case SeekVerdict(group):
                self._groups_changed.add(group)
                self._spawn("verify", group, self._verify)
            case Blame(lease):
                self._found_out(lease.node_id)
            case CheckOutputs():
                self._spawn("check", task_id, lambda _: self._check(task_id, action))

    async def write(
        self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Write, waiting for room where the database is overloaded."""
        while True:
            try:
                return await self._database.write(fn, *args, **kwargs)
            except Overloaded:
                await asyncio.sleep(_OVERLOADED_PAUSE_S)

    # --- loops ------------------------------------------------------------------------------------

    async def _give_turns(self) -> None:
        """Let queued tasks look for a node, a bounded number at a time."""
        while True:
            await self._turns.acquire()
            task_id = await self._next_turn()
            if not self._spawn("match", task_id, self._take_turn):
                self._turns.release()

    async def _next_turn(self) -> str:
        while True:
            self._turn.clear()
            now_ms = self._now_ms()
            task_id = self._room.take(now_ms)
            if task_id is not None:
                return task_id
            due_ms = self._room.next_due_ms()
            try:
                async with asyncio.timeout(None if due_ms is None else (due_ms - now_ms) / 1000):
                    await self._turn.wait()
            except TimeoutError:
                continue

    async def _sweep(self) -> None:
        """Look at every task about once a second: each phase has a deadline."""
        while True:
            now_ms = self._now_ms()
            self._attendance.look(self._market.pid, now_ms)
            for state in list(self._tasks.values()):
                try:
                    await self._look_at(state.task, now_ms)
                except Exception:  # noqa: BLE001 - one task's boundary: it is looked at again
                    _log.exception("task %s", state.task.task_id)
            self._attendance.forget(frozenset(self._taken))
            self._outgoing.forget_old()
            await asyncio.sleep(self._sweep_s)

    async def _look_at(self, task: Task, now_ms: int) -> None:
        if ("match", task.task_id) in self._running:
            return
        waits = task.phase is Phase.WAITING or (
            task.phase is Phase.QUEUED and now_ms < task.queue_until_ms
        )
        if waits and not missed(task, now_ms):
            return
        node_id = task.lease.node_id if task.lease else ""
        due = Due(self._attendance.heard_ms(node_id))
        decision = orchestration.decide(task, due, now_ms)
        if decision.task == task:
            for action in decision.actions:
                self.perform(task.task_id, action)
        else:
            # Only a step that changes something costs a transaction.
            await self.step(task.task_id, due)

    # --- actions ----------------------------------------------------------------------------------

    async def _take_turn(self, task_id: str) -> None:
        wakes = self._room.wakes
        try:
            await self.step(task_id, TurnCame())
            await self._match(task_id)
            state = self._tasks.get(task_id)
            if state is not None and state.task.phase is Phase.QUEUED:
                self._room.block(state.task, state.task.retry_at_ms, wakes)
        finally:
            self._turns.release()

    async def _match(self, task_id: str) -> None:
        """Auction and award until the task has a node, or waits again."""
        while True:
            state = self._tasks.get(task_id)
            phase = state.task.phase if state is not None else None
            try:
                if state is not None and phase is Phase.MATCHING:
                    step = await self._auction(state)
                elif state is not None and phase is Phase.AWARDED:
                    step = await self._matchmaker.award(state.task, self._now_ms)
                else:
                    return
            except (MarketError, Overloaded) as error:
                _log.debug("task %s: %s", task_id, error)
                await asyncio.sleep(_MARKET_PAUSE_S)
                step = await self.step(task_id, Due(self._now_ms()))
            else:
                if step is not None:
                    self.follow(step)
            if step is None:
                return

    async def _auction(self, state: TaskState) -> Step | None:
        task = state.task
        # Two gangs that ask the same nodes at once would each get some of them, and neither enough.
        gangs = self._gangs_ask if task.membership is not None else nullcontext()
        async with gangs:
            return await self._matchmaker.auction(task, state.account_id, self._now_ms)

    async def _send_start(self, task_id: str) -> None:
        state = self._tasks.get(task_id)
        lease = state.task.lease if state is not None else None
        if lease is not None and lease.escrow_open:
            start = await self._database.read(self._start_of, task_id, lease)
            self._outgoing.tell(lease.node_id, start)

    async def _check(self, task_id: str, action: CheckOutputs) -> None:
        missing = await self._check_outputs(action)
        await self.step(task_id, OutputsChecked(action.lease.lease_id, missing))

    async def _verify(self, group: str) -> None:
        # What changes while this looks is looked at too.
        while group in self._groups_changed:
            self._groups_changed.discard(group)
            looked = await self._look_at_group(group)
            for state in looked.begun:
                self.wake(state)
            for step in looked.steps:
                self.follow(step)
            for node_id in looked.found_out:
                self._found_out(node_id)
            if looked.steps:
                self._feed.notify()

    # --- bookkeeping ------------------------------------------------------------------------------

    def _spawn(self, kind: str, task_id: str, work: Callable[[str], Awaitable[None]]) -> bool:
        key = (kind, task_id)
        if self._group is None or key in self._running:
            return False
        self._running.add(key)

        async def guarded() -> None:
            try:
                await work(task_id)
            except Exception:  # noqa: BLE001 - one task's boundary: the sweep looks at it again
                _log.exception("task %s: %s", task_id, kind)
            finally:
                self._running.discard(key)
                # A task that nobody looks after any more is in the queue, or the sweep finds it.
                state = self._tasks.get(task_id)
                if state is not None and state.task.phase is Phase.QUEUED:
                    self._room.add(state.task, state.priority)
                    self._turn.set()

        self._group.create_task(guarded(), name=f"{kind} {task_id}")
        return True

    def _remember(self, state: TaskState) -> None:
        task = state.task
        before = self._tasks.get(task.task_id)
        old, new = before.task.lease if before else None, task.lease
        if old is not None and (new is None or old.lease_id != new.lease_id):
            self._drop(old)
        if task.phase in TERMINAL:
            self._tasks.pop(task.task_id, None)
            if new is not None:
                self._drop(new)
            return
        self._tasks[task.task_id] = state
        if new is not None:
            if task.phase in (Phase.STARTING, Phase.RUNNING):
                self._taken.setdefault(new.node_id, {})[new.lease_id] = task.task_id
            else:
                self._drop(new)

    def _drop(self, lease: Lease) -> None:
        mine = self._taken.get(lease.node_id, {})
        mine.pop(lease.lease_id, None)
        if not mine:
            self._taken.pop(lease.node_id, None)
