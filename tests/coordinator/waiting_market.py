"""A market of virtual time around the real waiting room: nodes, leases, auctions that take a moment, from a seed.

What the coordinator has heard of a node and what is true differ, as they do: a node says what is free every five
seconds and when it has cleared a lease, its word takes a moment, and a part of what it says may get lost.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

from coordinator.records import NOW_MS, new_task, wallet
from neurogrid_coordinator.tasks.attendance import Attendance
from neurogrid_coordinator.tasks.waiting import WaitingRoom
from neurogrid_marketplace.attributes import NodeFacts
from neurogrid_marketplace.awarding import to_queue
from neurogrid_marketplace.constraints import constraints_of, meets
from neurogrid_marketplace.offer import Offer, PriceList
from neurogrid_marketplace.resources import Capacity
from neurogrid_marketplace.task import Phase, Task

AUCTION_MS = 20
BEAT_MS = 5_000
WORD_MS = 3
TURNS_MAX = 8
_MEMORY = 2**40
# How often it is looked who could run, in virtual time.
_WATCH_MS = 200


_wallet = lru_cache(wallet)


@dataclass(slots=True)
class SimNode:
    """A node as it is; ``heard``: as it was heard last, None where it is not connected."""

    name: str
    cores: int
    price: int
    leases: dict[str, int] = field(default_factory=dict)
    heard: Offer | None = None

    def offer(self) -> Offer:
        """What it says now."""
        total = Capacity(self.cores * 1_000, _MEMORY, _MEMORY)
        free = replace(total, cpu_millis=1_000 * (self.cores - sum(self.leases.values())))
        prices = PriceList(base_micro_usdc_per_hour=self.price)
        return Offer(self.name, _wallet(self.name), "sim/1", "local", total, free, prices)


@dataclass(slots=True)
class SimTask:
    """A task, and since when a node could run it that is there and idle."""

    task: Task
    account: str
    job_ms: int
    submitted_ms: int
    started_ms: int | None = None
    could_run_since_ms: int | None = None


class WaitingMarket:
    """The market; `run` lets time pass.

    Attributes:
        auctions, futile: held, and of those without a lease.
        changes: what was heard of nodes that was news.
        longest_ms: how long a node stood idle at most that a waiting task could have had.
    """

    def __init__(self, seed: int, *, lost: float = 0.0, busy: float = 0.0) -> None:
        self.chance = random.Random(seed)
        self.now_ms = NOW_MS
        self.room = WaitingRoom()
        self.nodes: dict[str, SimNode] = {}
        self.tasks: dict[str, SimTask] = {}
        self.auctions = self.futile = self.changes = self.longest_ms = 0
        self._attendance = Attendance(NOW_MS)
        self._lost = lost
        self._busy = busy
        self._turns = TURNS_MAX
        self._watched_ms = 0
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    # --- what happens -----------------------------------------------------------------------------

    def node(self, name: str, *, cores: int, price: int = 1_000) -> SimNode:
        """A node connects."""
        node = self.nodes[name] = SimNode(name, cores, price)
        self._say(node, is_hello=True)
        self.after(BEAT_MS, lambda: self._beat(node))
        return node

    def submit(
        self, name: str, *, cores: int, price: int = 1_000, job_ms: int = 1_000, account: str = "a"
    ) -> None:
        """Somebody wants something run."""
        task = new_task("acct", price_micro_usdc_per_hour=price).state
        need = replace(task.demand.requirements, cpu_millis=cores * 1_000)
        demand = replace(task.demand, requirements=need)
        moved_ms = self.now_ms - NOW_MS
        until_ms = task.queue_until_ms + moved_ms
        task = replace(task, task_id=name, demand=demand, queue_until_ms=until_ms)
        self.tasks[name] = SimTask(task, account, job_ms, self.now_ms)
        self.room.add(task, 5, account)

    def leave(self, node: SimNode) -> None:
        """A node's connection ends, and its leases are lost."""
        node.heard = None
        self._attendance.left(node.name)
        self.room.node_left(node.name)
        del self.nodes[node.name]

    def after(self, delay_ms: int, what: Callable[[], None]) -> None:
        """Have something happen."""
        self._count += 1
        heapq.heappush(self._agenda, (self.now_ms + delay_ms, self._count, what))

    def run(self, for_ms: int) -> None:
        """Let so much time pass."""
        end_ms = self.now_ms + for_ms
        while True:
            self._give_turns()
            self._watch()
            due = [self._agenda[0][0]] if self._agenda else []
            room_due_ms = self.room.next_due_ms()
            if room_due_ms is not None and self._turns:
                due.append(max(room_due_ms, self.now_ms + 1))
            if not due or min(due) > end_ms:
                self.now_ms = end_ms
                return
            self.now_ms = min(due)
            while self._agenda and self._agenda[0][0] <= self.now_ms:
                heapq.heappop(self._agenda)[2]()

    @property
    def waiting(self) -> list[SimTask]:
        """Tasks without a node."""
        return [each for each in self.tasks.values() if each.started_ms is None]

    # --- the coordinator --------------------------------------------------------------------------

    def _give_turns(self) -> None:
        while self._turns:
            name = self.room.take(self.now_ms)
            if name is None:
                if self.room.is_looking:
                    continue
                return
            self._turns -= 1
            self._auction(self.tasks[name], self.room.wakes)

    def _auction(self, sim: SimTask, wakes: int) -> None:
        self.auctions += 1
        demand = sim.task.demand
        asked = [
            node
            for node in self.nodes.values()
            if node.heard is not None
            and meets(NodeFacts(node.heard, demand), constraints_of(demand))
        ]

        def close() -> None:
            self._turns += 1
            bidders = [
                node
                for node in asked
                if node.name in self.nodes
                and node.offer().free.has(demand.requirements)
                and self.chance.random() >= self._busy
            ]
            if bidders:
                self._start(sim, self.chance.choice(bidders))
                return
            self.futile += 1
            sim.task = replace(sim.task, phase=Phase.MATCHING, auctions=sim.task.auctions + 1)
            sim.task = to_queue(sim.task, "", self.now_ms).task
            self.room.failed(
                sim.task,
                self.now_ms,
                wakes,
                asked=bool(asked),
                retry_at_ms=sim.task.retry_at_ms,
            )

        self.after(AUCTION_MS if asked else 2, close)

    def _start(self, sim: SimTask, node: SimNode) -> None:
        sim.started_ms = self.now_ms
        name = sim.task.task_id
        node.leases[name] = sim.task.demand.requirements.cpu_millis // 1_000
        self.room.over(name, node.name)

        def end() -> None:
            if node.name in self.nodes:
                node.leases.pop(name)
                self._attendance.lease_ended(node.name)
                self._say(node)

        self.after(sim.job_ms, end)

    # --- the nodes --------------------------------------------------------------------------------

    def _beat(self, node: SimNode) -> None:
        if self.nodes.get(node.name) is node:
            self._say(node)
            self.after(BEAT_MS, lambda: self._beat(node))

    def _say(self, node: SimNode, *, is_hello: bool = False) -> None:
        offer = node.offer()

        def hear() -> None:
            if self.nodes.get(node.name) is not node:
                return
            node.heard = offer
            if self._attendance.became_free(offer) or is_hello:
                self.changes += 1
                if self.chance.random() >= self._lost:
                    self.room.node_opened(offer)

        self.after(WORD_MS, hear)

    def _watch(self) -> None:
        """Note how long a node has been idle, and heard of, that some waiting task could have."""
        if self.now_ms < self._watched_ms + _WATCH_MS:
            return
        self._watched_ms = self.now_ms
        possible: dict[tuple[int, int], bool] = {}
        for sim in self.waiting:
            demand = sim.task.demand
            kind = (demand.requirements.cpu_millis, demand.max_price_micro_usdc_per_hour)
            if kind not in possible:
                possible[kind] = any(
                    node.heard is not None
                    and meets(NodeFacts(node.offer(), demand), constraints_of(demand))
                    and meets(NodeFacts(node.heard, demand), constraints_of(demand))
                    for node in self.nodes.values()
                )
            if not possible[kind]:
                sim.could_run_since_ms = None
            elif sim.could_run_since_ms is None:
                sim.could_run_since_ms = self.now_ms
            else:
                self.longest_ms = max(self.longest_ms, self.now_ms - sim.could_run_since_ms)
