"""A simulated coordinator: the real rules of `orchestration` and `settlement` around dictionaries.

What is in ``tasks``, ``jobs``, ``settlements``, ``events_stored`` and ``lease_nodes`` is its database; the
rest is gone when it is killed.
"""

from collections.abc import Callable
from dataclasses import replace

from neurogrid_marketplace import dependencies, orchestration, settlement, spreading, submission
from neurogrid_marketplace.auction import Auction
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.exposure import signable_for_use_micro_usdc, signable_micro_usdc
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.messages import (
    Accept,
    Acknowledge,
    Award,
    CheckpointTaken,
    Claimed,
    Deny,
    Event,
    EventKind,
    Funded,
    Message,
    Meter,
    Start,
    Stop,
    VoucherMessage,
)
from neurogrid_marketplace.needs import NOTHING, Needs
from neurogrid_marketplace.offer import LeasePhase, LeaseStatus
from neurogrid_marketplace.settlement import Settlement, SettlementPhase, Step
from neurogrid_marketplace.spread import Spread
from neurogrid_marketplace.task import TERMINAL, Lease, Phase, Task
from neurogrid_marketplace.task_actions import (
    Abandon,
    Action,
    CheckOutputs,
    HoldAuction,
    OpenEscrow,
    SendAward,
    SendStart,
    SendStop,
    Settle,
)
from neurogrid_marketplace.task_events import (
    Accepted,
    AuctionClosed,
    CancelRequested,
    CheckpointKept,
    Due,
    EscrowOpened,
    Finished,
    InputsFixed,
    OutputsChecked,
    Reclaimed,
    Refused,
    Started,
)
from neurogrid_marketplace.units import NOTHING_SERVED, Units

from .chain import ChainSilent, SimChain
from .clockwork import Clockwork, Process
from .files import SimFiles
from .node import SimNode

JOB = Job("image:1")
_SWEEP_MS = 1_000


class SimCoordinator(Process):
    """The coordinator."""

    def __init__(
        self,
        clockwork: Clockwork,
        chain: SimChain,
        nodes: dict[str, SimNode],
        send: Callable[[str, Message], None],
    ) -> None:
        super().__init__(clockwork, "coordinator")
        self.chain = chain
        self.nodes = nodes
        self._send = send
        self.files = SimFiles(
            lambda: self.up,
            lambda lease_id: self.leases[lease_id][0] if lease_id in self.leases else "",
        )
        self.tasks: dict[str, Task] = {}
        self.jobs: dict[str, Job] = {}
        self.settlements: dict[str, Settlement] = {}
        self.leases: dict[str, tuple[str, Lease]] = {}  # lease id -> its task and terms
        self.events: dict[str, list[Event]] = {}
        # Lease id -> what was passed on to its client, and noted.
        self.billed: dict[str, Units] = {}
        self.lost: list[tuple[str, int]] = []
        self._heard: dict[str, int] = {}
        self._born_ms = clockwork.now_ms
        self._acting: set[tuple[str, str]] = set()

    def forget(self) -> None:
        self._heard.clear()
        self._acting.clear()

    def begin(self) -> None:
        self._born_ms = self.clockwork.now_ms
        self.in_this_life(_SWEEP_MS, self._sweep)
        for task in list(self.tasks.values()):
            for action in orchestration.due(task, self.clockwork.now_ms):
                self._perform(task.task_id, action)

    def submit(
        self,
        task_id: str,
        demand: Demand,
        needs: Needs = NOTHING,
        spread: Spread | None = None,
        job: Job = JOB,
    ) -> None:
        """A client's order; it is accepted once it is saved."""
        now_ms = self.clockwork.now_ms
        self.tasks[task_id] = submission.submit(
            task_id,
            demand,
            now_ms,
            3_600_000,
            needs,
            spread=spread,
            checkpoint=job.checkpoint,
        )
        self.jobs[task_id] = job
        self._look(task_id)

    def cancel(self, task_id: str) -> None:
        """The client changes its mind."""
        self.guarded(lambda: self._feed(task_id, CancelRequested()))

    # --- messages -----------------------------------------------------------------------------

    def receive(self, node: str, message: Message | list[LeaseStatus]) -> None:
        """One message of a node."""
        self.guarded(lambda: self._receive(node, message))

    def _receive(self, node: str, message: Message | list[LeaseStatus]) -> None:
        self._heard[node] = self.clockwork.now_ms
        match message:
            case list():
                self._reconcile(node, message)
            case Accept(lease_id):
                self._feed_lease(lease_id, Accepted(lease_id))
            case Deny(lease_id, code):
                self._feed_lease(lease_id, Refused(lease_id, code.value))
            case Event():
                self._on_event(node, message)
            case Meter():
                self._on_meter(node, message)
            case CheckpointTaken():
                self._on_checkpoint(node, message)
            case Claimed(lease_id):
                self._look_at_chain(lease_id)

    def _on_event(self, node: str, event: Event) -> None:
        stored = self.events.setdefault(event.lease_id, [])
        if event.lease_id not in self.leases or self._is_closed(event.lease_id):
            self._send(node, Acknowledge(event.lease_id, event.number + 1, 0, closed=True))
            return
        if event.number == len(stored):
            happened: object = None
            if event.kind is EventKind.STARTED:
                happened = Started(event.lease_id, event.at_ms)
            elif event.kind is EventKind.RECLAIMED:
                happened = Reclaimed(event.lease_id, event.at_ms)
            elif event.kind is EventKind.FINISHED and event.result:
                left = event.result.checkpoint
                whole = left if left is not None and self.files.is_whole(left) else None
                happened = Finished(event.lease_id, event.result, whole)
            # The event and what follows from it are one transaction: an event that was stored but
            # not acted on would never come again.
            if happened is None:
                self.crash_point()
                stored.append(event)
            else:
                self._feed(
                    self.leases[event.lease_id][0], happened, also=lambda: stored.append(event)
                )
        self._send(node, Acknowledge(event.lease_id, len(stored), 0))

    def _on_checkpoint(self, node: str, message: CheckpointTaken) -> None:
        lease_id, checkpoint = message.lease_id, message.checkpoint
        if lease_id not in self.leases or self._is_closed(lease_id):
            return
        task_id = self.leases[lease_id][0]
        if self.files.is_whole(checkpoint):
            self._feed(task_id, CheckpointKept(lease_id, checkpoint))
        stored = [
            kept.checkpoint.sequence
            for kept in self.tasks[task_id].checkpoints
            if kept.lease_id == lease_id
        ]
        events = len(self.events.get(lease_id, []))
        self._send(node, Acknowledge(lease_id, events, 0, checkpoint=max(stored, default=0)))

    def _on_meter(self, node: str, meter: Meter) -> None:
        found = self.leases.get(meter.lease_id)
        if found is None:
            return
        task = self.tasks[found[0]]
        lease = task.lease
        if lease is None or lease.lease_id != meter.lease_id or not lease.started_at_ms:
            return
        if lease.counts_use and lease.unit_prices is not None:
            amount = signable_for_use_micro_usdc(
                lease.unit_prices, lease.max_cost_micro_usdc, self._billed(lease.lease_id)
            )
        else:
            amount = signable_micro_usdc(
                lease.price_micro_usdc_per_hour,
                lease.max_cost_micro_usdc,
                meter.metered_ms,
                self.clockwork.now_ms - lease.started_at_ms,
            )
        self.crash_point()
        self._settle(settlement.sign(self.settlements[meter.lease_id], amount))
        self.crash_point()
        signed = self.settlements[meter.lease_id].signed_micro_usdc
        self._send(node, VoucherMessage(meter.lease_id, signed, "0" * 128, final=False))

    def _reconcile(self, node: str, statuses: list[LeaseStatus]) -> None:
        """What a node still has against what the books say."""
        for status in statuses:
            lease_id = status.lease_id
            found = self.leases.get(lease_id)
            if found is None:
                self._send(node, Stop(lease_id, Outcome.CANCELLED))
            elif self._is_closed(lease_id):
                self._send(node, Acknowledge(lease_id, len(self.events.get(lease_id, [])), 0, True))
            elif status.phase in (LeasePhase.ACCEPTED, LeasePhase.RUNNING, LeasePhase.PREPARING):
                lease = self.tasks[found[0]].lease
                if lease is None or lease.lease_id != lease_id:
                    self._send(node, Stop(lease_id, Outcome.NODE_LOST))

    # --- the shell ----------------------------------------------------------------------------

    def _sweep(self) -> None:
        self.in_this_life(_SWEEP_MS, self._sweep)
        for task in list(self.tasks.values()):
            if task.phase in TERMINAL:
                continue
            node = task.lease.node_id if task.lease else ""
            self._feed(task.task_id, Due(self._heard.get(node, self._born_ms)))
        for lease_id in list(self.settlements):
            self._settle_step(lease_id)

    def _feed_lease(self, lease_id: str, event: object) -> None:
        found = self.leases.get(lease_id)
        if found is not None:
            self._feed(found[0], event)

    def _feed(self, task_id: str, event: object, also: Callable[[], None] | None = None) -> None:
        task = before = self._with_vouchers(self.tasks[task_id])
        if spreading.is_choosing(task):
            task, event = spreading.narrowed(task, event, self._barred(task))  # type: ignore[arg-type]  # one of task.Event
        decision = orchestration.decide(task, event, self.clockwork.now_ms)  # type: ignore[arg-type]  # one of task.Event
        self.crash_point()
        # One transaction: the task, its leases and their settlements.
        self.tasks[task_id] = decision.task
        if also is not None:
            also()
        if decision.task.phase in TERMINAL and before.phase not in TERMINAL:
            self._release(task_id)
        for action in decision.actions:
            self._record(task_id, action)
        for action in decision.actions:
            self.crash_point()
            self._perform(task_id, action)

    def _with_vouchers(self, task: Task) -> Task:
        """As it is loaded: with what its lease has been signed."""
        if task.lease is None:
            return task
        lease_id = task.lease.lease_id
        signed = self.settlements[lease_id].signed_micro_usdc
        lease = replace(task.lease, signed_micro_usdc=signed, billed=self._billed(lease_id))
        return replace(task, lease=lease)

    def _billed(self, lease_id: str) -> Units:
        return self.billed.get(lease_id, NOTHING_SERVED)

    def note(self, lease_id: str, units: Units) -> None:
        """So much more has reached the client: noted unless the lease's last amount is decided, or we die."""
        self.guarded(lambda: self._note(lease_id, units))

    def _note(self, lease_id: str, units: Units) -> None:
        self.crash_point()
        if self.settlements[lease_id].due_micro_usdc is None:
            self.billed[lease_id] = self._billed(lease_id) + units
        self.crash_point()

    def _barred(self, task: Task) -> spreading.Barred:
        if task.spread is None:
            return spreading.NOBODY
        others = [
            other
            for other in self.tasks.values()
            if other.task_id != task.task_id
            and other.spread is not None
            and other.spread.group == task.spread.group
        ]
        return spreading.barred(task.spread, others)

    def _release(self, ended_id: str) -> None:
        """What waited for a task that has ended goes on, or ends with it."""
        for task in list(self.tasks.values()):
            if task.phase is Phase.WAITING and ended_id in task.needs.task_ids:
                self._look(task.task_id)

    def _look(self, task_id: str) -> None:
        task = self.tasks[task_id]
        if task.phase is not Phase.WAITING:
            return
        event = dependencies.look(task, self.jobs[task_id], self.tasks)
        if event is None:
            return
        if isinstance(event, InputsFixed):
            self.jobs[task_id] = event.job
        self.tasks[task_id] = orchestration.decide(task, event, self.clockwork.now_ms).task
        if self.tasks[task_id].phase in TERMINAL:
            self._release(task_id)

    def _record(self, task_id: str, action: Action) -> None:
        now_ms = self.clockwork.now_ms
        match action:
            case SendAward(lease):
                assert lease.node_id not in self._barred(self.tasks[task_id]).nodes
                self.leases[lease.lease_id] = (task_id, lease)
                self.settlements.setdefault(
                    lease.lease_id, Settlement(lease.lease_id, lease.max_cost_micro_usdc)
                )
            case OpenEscrow(lease):
                self._settle(settlement.opening(self.settlements[lease.lease_id], now_ms))
            case Settle(lease, amount):
                state = self.settlements[lease.lease_id]
                self._settle(settlement.decided(state, amount, now_ms))
            case Abandon(lease):
                silent_ms = now_ms - self._heard.get(lease.node_id, self._born_ms)
                self.lost.append((lease.lease_id, silent_ms))
                self._settle(settlement.abandoned(self.settlements[lease.lease_id], now_ms))
            case SendStop(lease):
                state = self.settlements[lease.lease_id]
                if state.phase is SettlementPhase.NONE:
                    self._settle(settlement.decided(state, 0, now_ms))

    def _perform(self, task_id: str, action: Action) -> None:
        match action:
            case HoldAuction(demand, excluded):
                self._once(
                    task_id, "auction", 200, lambda: self._auction(task_id, demand, excluded)
                )
            case SendAward(lease):
                self._send(lease.node_id, self._award(self.tasks[task_id], lease))
            case OpenEscrow(lease):
                self._once(task_id, "open", 30, lambda: self._open(task_id, lease))
            case SendStart(lease):
                job, client = self.jobs[task_id], "1" * 32
                self._send(
                    lease.node_id,
                    Start(
                        *(lease.lease_id, job, client, "1" * 32, "1" * 32, "http://c", "token"),
                        resumed=lease.resumed,
                    ),
                )
            case SendStop(lease, reason):
                self._send(lease.node_id, Stop(lease.lease_id, reason))
            case CheckOutputs(lease):
                self._once(
                    task_id,
                    "check",
                    20,
                    lambda: self._feed(task_id, OutputsChecked(lease.lease_id)),
                )

    def _once(self, task_id: str, name: str, delay_ms: int, run: Callable[[], None]) -> None:
        if (task_id, name) in self._acting:
            return
        self._acting.add((task_id, name))

        def act() -> None:
            self._acting.discard((task_id, name))
            run()

        self.in_this_life(delay_ms, act)

    def _award(self, task: Task, lease: Lease) -> Award:
        demand = task.demand
        return Award(
            lease.lease_id,
            lease.demand_id,
            demand.hash(),
            lease.bid_hash,
            (),
            lease.price_micro_usdc_per_hour,
            lease.max_cost_micro_usdc,
            demand.timeout_s,
            demand.voucher_interval_s,
            demand.job_hash,
            unit_prices=lease.unit_prices,
        )

    def _auction(self, task_id: str, demand: Demand, excluded: tuple[str, ...]) -> None:
        places = self._barred(self.tasks[task_id])
        present = [
            node
            for node in self.nodes.values()
            if node.up and node.name not in excluded and node.name not in places.nodes
        ]
        auction = Auction(demand.max_price_micro_usdc_per_hour, frozenset(n.name for n in present))
        for node in present:
            bid = node.bid(demand)
            if bid is not None:
                auction.bid(node.name, bid, f"{node.price:064x}")
        self._feed(task_id, AuctionClosed(demand.demand_id, auction.ranking(), "as simulated"))

    def _open(self, task_id: str, lease: Lease) -> None:
        deadline_ms = self.clockwork.now_ms + 3_600_000 * 24
        try:
            self.chain.open(lease.lease_id, lease.node_id, lease.max_cost_micro_usdc, deadline_ms)
        except ChainSilent:
            return  # the sweep asks again
        self.crash_point()
        self._settle(settlement.opened(self.settlements[lease.lease_id], self.clockwork.now_ms))
        self._feed(task_id, EscrowOpened(lease.lease_id))

    # --- money --------------------------------------------------------------------------------

    def _settle(self, state: Settlement) -> None:
        before = self.settlements.get(state.lease_id)
        assert before is None or state.signed_micro_usdc >= before.signed_micro_usdc
        self.settlements[state.lease_id] = state

    def _is_closed(self, lease_id: str) -> bool:
        return self.settlements[lease_id].phase is SettlementPhase.CLOSED

    def _settle_step(self, lease_id: str) -> None:
        now_ms = self.clockwork.now_ms
        state = settlement.overdue(self.settlements[lease_id], now_ms)
        self._settle(state)
        node = self.leases[lease_id][1].node_id
        task = self.tasks[self.leases[lease_id][0]]
        for step in settlement.steps(state):
            try:
                match step:
                    case Step.OPEN_ESCROW if task.phase is not Phase.STARTING or (
                        task.lease is None or task.lease.lease_id != lease_id
                    ):
                        # The task has moved on; finish what may have been begun, to know its end.
                        self._open(task.task_id, self.leases[lease_id][1])
                    case Step.SEND_FINAL_VOUCHER:
                        due = state.signed_micro_usdc
                        said = self.events.get(lease_id, [])
                        if [event.kind for event in said] == [EventKind.FINISHED]:
                            self._send(node, Funded(lease_id, "1" * 32, "1" * 32, "1" * 32))
                        self._send(node, VoucherMessage(lease_id, due, "0" * 128, final=True))
                    case Step.RELEASE:
                        self.chain.release_final(lease_id)
                    case Step.REFUND:
                        self.chain.refund(lease_id)
            except ChainSilent:
                pass
        if state.phase in (SettlementPhase.FINAL, SettlementPhase.RELEASING, SettlementPhase.OPEN):
            self._look_at_chain(lease_id)

    def _look_at_chain(self, lease_id: str) -> None:
        state = self.settlements.get(lease_id)
        if state is None or state.phase in (SettlementPhase.CLOSED, SettlementPhase.NONE):
            return
        try:
            if self.chain.is_open(lease_id) or lease_id not in self.chain.closed:
                return
        except ChainSilent:
            return
        self.crash_point()
        paid = self.chain.closed[lease_id]
        self._settle(settlement.closed(state, "1" * 64, paid, self.clockwork.now_ms))
