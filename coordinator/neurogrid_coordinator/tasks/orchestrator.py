"""Moves tasks: the asyncio shell around `neurogrid_marketplace.orchestration`.

Every event is one transaction (`steps.take`) that loads, decides and saves; then its actions are
performed, and what they find out comes back as the next event. Actions may be performed any number
of times, so nothing here needs to survive: after a restart each task is simply asked what is due.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from neurogrid_marketplace import orchestration
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.messages import Start, Stop
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.standing import Standing
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
from neurogrid_telemetry.about import about
from neurogrid_telemetry.log_lines import named
from neurogrid_telemetry.traces import OFF, Traces

from ..log_events import CoordinatorEvent
from ..market.errors import MarketError
from ..metrics.tally import Tally
from ..services.pulse import Pulse
from ..store import tasks
from ..store.database import Database, Overloaded
from ..store.feed import Feed
from ..store.tasks import TaskState
from ..trust.groups import Looked
from . import steps
from .active_tasks import ActiveTasks
from .attendance import Attendance
from .matchmaker import Market, Matchmaker
from .outgoing import Outgoing
from .steps import Step
from .waiting import WaitingRoom

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)

# How often every task that is neither over nor waits is looked at.
SWEEP_S = 1.0
# Tasks that have waited too long, in one transaction; and when those are looked at again that go on nevertheless.
_ENDED_AT_ONCE = 20
_LOOK_AGAIN_MS = 1_000
# How long to wait before asking a market process again that is being started.
_MARKET_PAUSE_S = 0.2
# Our own calls wait for room in the database's queue; clients' are refused.
_OVERLOADED_PAUSE_S = 0.05


class Orchestrator:
    """All tasks that have not ended.

    Attributes:
        pulse: of the look at every task.
        ready: set when `run` has loaded the tasks; only then may anything else be told it.
        tally: what has become of tasks since.

    Args:
        outgoing: to nodes.
        settle: told of each lease whose money may need something.
        start_of: builds the start message of a lease.
        check_outputs: what of a result's outputs is not here; "" if all is.
        found_out: told of each node about which a finding was stored.
        look_at_group: does what the runs of a task that is verified call for.
        turns_max: how many tasks may look for a node at a time.
        sweep_s: how often every task is looked at.
        traces: where auctions and awards are recorded.
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
        traces: Traces = OFF,
    ) -> None:
        self._database = database
        self._feed = feed
        self._market = market
        self._matchmaker = Matchmaker(database, market, traces)
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
        self.tally = Tally()
        self.pulse = Pulse()
        self._active = ActiveTasks()
        self._room = WaitingRoom()
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
            if state.task.phase is Phase.QUEUED and state.task.auctions:
                # It had its turn before; nodes that connect now are what it waits for.
                self._room.add(
                    state.task, state.priority, state.account_id, waits_from_ms=self._now_ms()
                )
            self._take_up(state)
        for group in await self._database.read(tasks.unjudged):
            self.perform(group, SeekVerdict(group))

    def _take_up(self, state: TaskState) -> None:
        """Go on with a task as it is stored."""
        task = state.task
        self._remember(state)
        if task.phase is Phase.QUEUED:
            self._room.renew(task, state.priority, state.account_id)
            self._turn.set()
        for action in orchestration.due(task, self._now_ms()):
            self.perform(task.task_id, action)
        if task.belongs_to and task.membership is None:
            # The task that it verifies may have ended without it.
            self.perform(task.task_id, SeekVerdict(task.group))
        if task.phase in TERMINAL and task.lease is not None:
            self._settle(task.lease.lease_id)

    # --- what others tell -------------------------------------------------------------------------

    def wake(self, state: TaskState) -> None:
        """A task was submitted, or is asked for otherwise, and stored. What is told before `run` is found by `run`."""
        if self._group is not None:
            self._remember(state)
            if state.task.phase is Phase.QUEUED:
                self._room.renew(state.task, state.priority, state.account_id)
                self._turn.set()
            if state.task.verdict is Verdict.DUE:
                self.perform(state.task.task_id, SeekVerdict(state.task.group))

    def knows(self, task_id: str) -> bool:
        """Whether it looks after this task."""
        return task_id in self._active

    async def taken_elsewhere(self, task_ids: Iterable[str]) -> None:
        """Another coordinator has stored these tasks, or steps of theirs, which are followed here."""
        for task_id in task_ids:
            # Among the writes, so that it comes in the order of our own steps.
            state = await self.write(tasks.state_of, task_id)
            if state is not None:
                self._take_up(state)

    async def look_again(self) -> None:
        """What others stored may have been missed: follow all that is not as it is remembered."""
        for state in await self.write(tasks.active):
            if self._active.get(state.task.task_id) != state:
                self._take_up(state)

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

    def node_opened(self, offer: Offer) -> None:
        """A node came, offers something else, or has more to give: some need not wait any longer."""
        self._room.node_opened(offer)
        self._turn.set()

    def node_left(self, node_id: str) -> None:
        """A node is gone."""
        self._room.node_left(node_id)

    def nodes_stand(self, standings: Mapping[str, Standing]) -> None:
        """This is known of nodes from now on: some may be asked for what they were not asked for before."""
        offers = {node_id: self._market.offer(node_id) for node_id in standings}
        here = {node_id: offer for node_id, offer in offers.items() if offer is not None}
        self._room.stand(standings, here)
        self._turn.set()

    def leases_of(self, node_id: str) -> dict[str, int]:
        """Leases that a node should know of: lease id -> since when."""
        return self._active.leases_of(node_id)

    def task_of(self, lease_id: str, node_id: str) -> TaskState | None:
        """The task of a lease that a node has taken."""
        return self._active.task_of(lease_id, node_id)

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
            self.tally.moved(step.before, task)
            with about(task=task.task_id, lease=task.lease.lease_id if task.lease else ""):
                _log.info(
                    "task %s: %s -> %s",
                    task.task_id,
                    step.before.phase,
                    task.phase,
                    extra=named(
                        CoordinatorEvent.TASK_PHASE, before=step.before.phase, phase=task.phase
                    ),
                )
            self._feed.notify()
        for action in step.actions:
            self.perform(task.task_id, action)
        if task.phase is Phase.QUEUED:
            self._room.renew(task, step.priority, step.account_id)
            self._turn.set()
        for released in step.released:
            self.follow(released)

    def perform(self, task_id: str, action: Action) -> None:
        """Have an action carried out; one that is under way is not started twice."""
        match action:
            case HoldAuction() | SendAward():
                self._spawn("match", task_id, self._match_alone)
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
                self._room.over(task_id)
                self._turns.release()

    async def _next_turn(self) -> str:
        while True:
            self._turn.clear()
            now_ms = self._now_ms()
            task_id = self._room.take(now_ms)
            if task_id is not None:
                return task_id
            if self._room.is_looking:
                await asyncio.sleep(0)
                continue
            due_ms = self._room.next_due_ms()
            try:
                async with asyncio.timeout(None if due_ms is None else (due_ms - now_ms) / 1000):
                    await self._turn.wait()
            except TimeoutError:
                continue

    async def _sweep(self) -> None:
        """Look at every task at work about once a second, and at others when their time is over."""
        while True:
            now_ms = self._now_ms()
            self._attendance.look(self._market.pid, now_ms)
            for task_id in self._active.busy():
                state = self._active.get(task_id)
                if state is None:
                    continue
                try:
                    await self._look_at(state.task, now_ms)
                except Exception:  # noqa: BLE001 - one task's boundary: it is looked at again
                    _log.exception("task %s", state.task.task_id)
            await self._end_waiting(self._active.due(now_ms), now_ms)
            self._attendance.forget(self._active.nodes())
            self._outgoing.forget_old()
            self.pulse.beat()
            await asyncio.sleep(self._sweep_s)

    async def _look_at(self, task: Task, now_ms: int) -> None:
        if ("match", task.task_id) in self._running:
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

    async def _end_waiting(self, task_ids: Sequence[str], now_ms: int) -> None:
        """The time is over in which these may find a node: thousands may have come together."""
        for start in range(0, len(task_ids), _ENDED_AT_ONCE):
            some = [
                task_id
                for task_id in task_ids[start : start + _ENDED_AT_ONCE]
                if ("match", task_id) not in self._running
            ]
            for task_id in task_ids[start : start + _ENDED_AT_ONCE]:
                # Unless a step says otherwise, it is looked at again.
                self._active.look_again(task_id, now_ms + _LOOK_AGAIN_MS)
            try:
                for step in await self.write(steps.take_all, some, Due(now_ms), now_ms):
                    self.follow(step)
            except Exception:  # noqa: BLE001 - the boundary of these tasks: they are looked at again
                _log.exception("tasks %s", ", ".join(some))

    # --- actions ----------------------------------------------------------------------------------

    async def _take_turn(self, task_id: str) -> None:
        wakes, asked = self._room.wakes, True
        try:
            await self.step(task_id, TurnCame())
            asked = await self._match(task_id)
        finally:
            state = self._active.get(task_id)
            task = state.task if state is not None else None
            if task is not None and task.phase is Phase.QUEUED:
                retry_at_ms = task.retry_at_ms
                self._room.failed(task, self._now_ms(), wakes, asked=asked, retry_at_ms=retry_at_ms)
            else:
                lease = task.lease if task is not None else None
                self._room.over(task_id, lease.node_id if lease is not None else "")
            self._turn.set()
            self._turns.release()

    async def _match_alone(self, task_id: str) -> None:
        """Go on with an auction or award of before, without a turn."""
        await self._match(task_id)

    async def _match(self, task_id: str) -> bool:
        """Auction and award until the task has a node, or waits again: whether any node was asked."""
        asked = False
        while True:
            state = self._active.get(task_id)
            phase = state.task.phase if state is not None else None
            try:
                if state is not None and phase is Phase.MATCHING:
                    auctioned = await self._matchmaker.auction(
                        state.task, state.account_id, self._now_ms
                    )
                    step, asked = auctioned.step, asked or auctioned.asked
                elif state is not None and phase is Phase.AWARDED:
                    step, asked = await self._matchmaker.award(state.task, self._now_ms), True
                else:
                    return asked
            except (MarketError, Overloaded) as error:
                _log.debug("task %s: %s", task_id, error)
                await asyncio.sleep(_MARKET_PAUSE_S)
                step, asked = await self.step(task_id, Due(self._now_ms())), True
            else:
                if step is not None:
                    self.follow(step)
            if step is None:
                return asked

    async def _send_start(self, task_id: str) -> None:
        state = self._active.get(task_id)
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
                with about(task=task_id):
                    await work(task_id)
            except Exception:  # noqa: BLE001 - one task's boundary: the sweep looks at it again
                _log.exception("task %s: %s", task_id, kind)
            finally:
                self._running.discard(key)
                # A task that nobody looks after any more is in the queue, or the sweep finds it.
                state = self._active.get(task_id)
                if state is not None and state.task.phase is Phase.QUEUED:
                    self._room.add(state.task, state.priority, state.account_id)
                    self._turn.set()

        self._group.create_task(guarded(), name=f"{kind} {task_id}")
        return True

    def _remember(self, state: TaskState) -> None:
        task = state.task
        left = self._active.remember(state)
        if left is not None:
            self._attendance.lease_ended(left.node_id)
            self._room.place_left(left.task, self._now_ms())
            self._turn.set()
        if task.phase is not Phase.QUEUED:
            self._room.drop(task.task_id)
