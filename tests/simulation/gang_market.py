"""Gangs of several coordinators that want the same nodes, under virtual time from a seed.

Each gang belongs to a coordinator of its own, so that nothing but the rules keeps them from taking seats
from each other. A node has room for one job; a bid holds that room until it expires, as real ones do.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from marketplace.market import demand
from neurogrid_marketplace import gangs, orchestration
from neurogrid_marketplace.auction import Auction
from neurogrid_marketplace.awarding import demand_of
from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.gang import Gang
from neurogrid_marketplace.membership import Membership
from neurogrid_marketplace.messages import Result
from neurogrid_marketplace.submission import member, submit
from neurogrid_marketplace.task import TERMINAL, Lease, Phase, Task
from neurogrid_marketplace.task_actions import (
    Action,
    CheckOutputs,
    HoldAuction,
    OpenEscrow,
    SendAward,
    SendStart,
    SendStop,
)
from neurogrid_marketplace.task_events import (
    Accepted,
    AuctionClosed,
    Due,
    EscrowOpened,
    Event,
    Finished,
    OutputsChecked,
    Refused,
    Started,
)

# A bid holds a node's room for its window and three seconds more.
_HELD_MS = 3_250
_WINDOW_MS = 250
QUEUE_TIMEOUT_MS = 3_600_000


@dataclass(slots=True)
class Machine:
    """A node with room for one job: ``holder`` has it, a demand until ``until_ms``, or a lease."""

    name: str
    holder: str = ""
    until_ms: int = 0

    def hold(self, holder: str, now_ms: int, for_ms: int) -> bool:
        """Whether it could be had."""
        if self.holder not in ("", holder) and now_ms < self.until_ms:
            return False
        self.holder, self.until_ms = holder, now_ms + for_ms
        return True

    def free(self, holder: str) -> None:
        """Give it back, if it is still held by this one."""
        if self.holder == holder:
            self.holder = ""


@dataclass
class GangMarket:
    """Some gangs, some nodes.

    Attributes:
        fault_permille: how many of all starts fail by the node's fault.
        started: lease ids of containers that were started.
    """

    seed: int
    sizes: tuple[int, ...]
    nodes: int
    fault_permille: int = 0
    now_ms: int = 1_000
    members: dict[str, list[Task]] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    started: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    _events: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self.machines = {
            f"node-{number}": Machine(f"node-{number}") for number in range(self.nodes)
        }
        for number, size in enumerate(self.sizes):
            gang = Gang(size)
            task = submit(
                f"task_{number:032x}",
                demand(gang=gang),
                self.now_ms,
                QUEUE_TIMEOUT_MS,
                membership=Membership(gang, 0, tries=4),
            )
            self.members[task.task_id] = [task]
            self._look(task.task_id)

    def run(self) -> None:
        """Until nothing more happens."""
        while self._events:
            self.now_ms, _, act = heapq.heappop(self._events)
            act()

    def _after(self, act: Callable[[], None], least_ms: int, most_ms: int) -> None:
        self._count += 1
        at_ms = self.now_ms + self._random.randint(least_ms, most_ms)
        heapq.heappush(self._events, (at_ms, self._count, act))

    def _look(self, gang_id: str) -> None:
        """The sweep: look at every member of a gang now, and again later."""
        for task in list(self.members[gang_id]):
            self.step(gang_id, task.task_id, Due(self.now_ms))
        if any(task.phase not in TERMINAL for task in self.members[gang_id]):
            self._after(lambda: self._look(gang_id), 100, 200)

    def step(self, gang_id: str, task_id: str, event: Event) -> None:
        """What the coordinator does in one transaction, and then what follows from it."""
        actions = self._take(gang_id, task_id, event)
        followed = True
        while followed:
            followed = False
            self._make(gang_id)
            for other_id, following in gangs.next_events(self.members[gang_id]):
                before = list(self.members[gang_id])
                actions += self._take(gang_id, other_id, following)
                followed = followed or before != self.members[gang_id]
        for task, action in actions:
            self._perform(gang_id, task, action)

    def _take(self, gang_id: str, task_id: str, event: Event) -> list[tuple[Task, Action]]:
        at = next(i for i, task in enumerate(self.members[gang_id]) if task.task_id == task_id)
        decision = orchestration.decide(self.members[gang_id][at], event, self.now_ms)
        self.members[gang_id][at] = decision.task
        return [(decision.task, action) for action in decision.actions]

    def _make(self, gang_id: str) -> None:
        first, *others = self.members[gang_id]
        assert first.membership is not None
        if first.membership.attempt and not others:
            ranks = range(1, first.membership.gang.size)
            self.members[gang_id] += [member(first, rank, self.now_ms) for rank in ranks]

    def _perform(self, gang_id: str, task: Task, action: Action) -> None:
        def tell(event: Event, least_ms: int = 1, most_ms: int = 50) -> None:
            self._after(lambda: self.step(gang_id, task.task_id, event), least_ms, most_ms)

        match action:
            case HoldAuction(asked, excluded) if asked.demand_id not in self.asked:
                self.asked.add(asked.demand_id)
                self._auction(gang_id, task, excluded)
            case SendAward(lease):
                self._award(lease, tell)
            case OpenEscrow(lease):
                tell(EscrowOpened(lease.lease_id), 1, 400)
            case SendStart(lease) if lease.lease_id not in self.started:
                self._start(gang_id, lease, tell)
            case SendStop(lease):
                self.machines[lease.node_id].free(lease.lease_id)
                tell(Finished(lease.lease_id, Result(Outcome.CANCELLED, 137, "", 0)))
            case CheckOutputs(lease, _):
                tell(OutputsChecked(lease.lease_id))

    def _auction(self, gang_id: str, task: Task, excluded: tuple[str, ...]) -> None:
        wanted = demand_of(task)
        auction = Auction(
            wanted.max_price_micro_usdc_per_hour, frozenset(self.machines), wanted.gang
        )

        def answer(machine: Machine) -> None:
            if machine.hold(wanted.demand_id, self.now_ms, _HELD_MS):
                price = 1_000 + self._random.randint(0, 100)
                bid = Bid(wanted.demand_id, wanted.hash(), price, 100, 2**50, machine.name)
                auction.bid(machine.name, bid, f"{machine.name} {wanted.demand_id}")

        for machine in self.machines.values():
            if machine.name not in excluded:
                self._after(partial(answer, machine), 1, 100)

        def close() -> None:
            closed = AuctionClosed(wanted.demand_id, auction.ranking(), "")
            self.step(gang_id, task.task_id, closed)

        self._after(close, _WINDOW_MS, _WINDOW_MS)

    def _award(self, lease: Lease, tell: Callable[..., None]) -> None:
        machine = self.machines[lease.node_id]
        if machine.holder == lease.lease_id:
            return
        if machine.holder != lease.demand_id or self.now_ms >= machine.until_ms:
            tell(Refused(lease.lease_id, "reservation_expired"))
            return
        machine.holder = ""
        assert machine.hold(lease.lease_id, self.now_ms, 10**9)
        tell(Accepted(lease.lease_id))

    def _start(self, gang_id: str, lease: Lease, tell: Callable[..., None]) -> None:
        """A container starts: by then all of its gang must have an escrow that pays them."""
        for task in self.members[gang_id]:
            assert task.lease is not None, "a container started while a seat was empty"
            assert task.lease.escrow_open, "a container started before all could be paid"
        self.started.add(lease.lease_id)
        if self._random.randrange(1000) < self.fault_permille:
            self.machines[lease.node_id].free(lease.lease_id)
            tell(Finished(lease.lease_id, Result(Outcome.START_FAILED, -1, "no", 0)))
            return
        tell(Started(lease.lease_id, self.now_ms), 1, 20)

        def end() -> None:
            self.machines[lease.node_id].free(lease.lease_id)
            tell(Finished(lease.lease_id, Result(Outcome.COMPLETED, 0, "", 1_000)))

        self._after(end, 1_000, 4_000)


def ended_at_ms(market: GangMarket) -> int:
    """When the last gang had ended."""
    return max(task.since_ms for each in market.members.values() for task in each)


def completed(market: GangMarket) -> int:
    """How many gangs have completed, all of their members."""
    return sum(
        all(task.phase is Phase.COMPLETED for task in each) for each in market.members.values()
    )
