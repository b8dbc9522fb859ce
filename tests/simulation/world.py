"""The whole market in one process: a coordinator, nodes, a chain, one seed."""

from dataclasses import replace

from neurogrid_marketplace.checkpoint import CheckpointPlan
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.messages import Message
from neurogrid_marketplace.needs import NOTHING, Needs, OutputWanted
from neurogrid_marketplace.offer import LeaseStatus
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.settlement import SettlementPhase
from neurogrid_marketplace.spread import Spread
from neurogrid_marketplace.task import TERMINAL, Phase

from .chain import SimChain
from .clockwork import Chaos, Clockwork
from .coordinator import JOB, SimCoordinator
from .node import OUTPUT, SimNode

CLIENT_MICRO_USDC = 1_000_000_000
# Long enough for every limit of the rules that is not a day.
LIMIT_MS = 12 * 3_600_000
DEAD_AFTER_S = 45
# How often each machine is taken back, and until when; jobs run for a minute and a half at most.
_RECLAIMS = 6
_RECLAIMED_UNTIL_MS = 240_000


class World:
    """One run.

    Args:
        linked: whether most tasks need outputs of earlier ones, and half of them have a deadline.
        apart: whether they share no node while they run.
        spot: whether every second task is preemptible, and nodes take their machines back again and
            again.
        keeps: whether jobs have checkpoints.
    """

    def __init__(
        self,
        seed: int,
        chaos: Chaos,
        *,
        nodes: int = 3,
        tasks: int = 4,
        linked: bool = False,
        apart: bool = False,
        spot: bool = False,
        keeps: bool = False,
    ) -> None:
        self.spread = Spread("apart") if apart else None
        self.clockwork = clockwork = Clockwork(seed, chaos)
        self.chain = SimChain(clockwork, CLIENT_MICRO_USDC)
        self.job = replace(JOB, checkpoint=CheckpointPlan(interval_s=10, keep=2)) if keeps else JOB
        self.nodes: dict[str, SimNode] = {}
        self.coordinator = SimCoordinator(clockwork, self.chain, self.nodes, self._to_node)
        files = self.coordinator.files
        for name, price in ((f"node-{i}", 20_000 + 1_000 * i) for i in range(nodes)):
            self.nodes[name] = SimNode(
                clockwork, name, self.chain, price, self._to_coordinator, files
            )
        self.task_ids = [f"task-{i}" for i in range(tasks)]
        self.needs = {
            task_id: self._draw_needs(number) if linked else NOTHING
            for number, task_id in enumerate(self.task_ids)
        }
        self.preemptible = set(self.task_ids[::2]) if spot else set()
        self.deadlines = {
            task_id: self._draw_deadline() if linked else 0 for task_id in self.task_ids
        }
        for process in (*self.nodes.values(), self.coordinator):
            clockwork.later(0, lambda process=process: process.guarded(process.begin))  # type: ignore[misc]  # binds the loop's value
        for number, task_id in enumerate(self.task_ids):
            clockwork.later(1_000 * (number + 1), lambda task_id=task_id: self._submit(task_id))  # type: ignore[misc]  # binds the loop's value
        for node in self.nodes.values() if spot else ():
            for _ in range(_RECLAIMS):
                clockwork.later(clockwork.random.randrange(_RECLAIMED_UNTIL_MS), node.reclaim)
        for node in list(self.nodes.values())[1:]:
            # The first machine never dies, so that every task can end.
            if clockwork.random.random() < chaos.node_death:
                clockwork.later(clockwork.random.randrange(chaos.until_ms), node.die)

    def run(self) -> None:
        """Until everything has come to rest."""
        self.clockwork.run(self._at_rest, LIMIT_MS)

    def check(self) -> None:
        """What must be true of every run, however unkind."""
        coordinator, chain = self.coordinator, self.chain
        chain.check()
        for task_id in self.task_ids:
            task = coordinator.tasks[task_id]
            assert task.phase in TERMINAL, f"{task_id} never ended: {task.phase}"
        assert not chain.escrows, "money is still locked"
        assert chain.client_micro_usdc + sum(chain.providers.values()) == CLIENT_MICRO_USDC
        for lease_id, state in coordinator.settlements.items():
            assert state.phase is SettlementPhase.CLOSED, f"{lease_id} is not settled"
            assert chain.closed.get(lease_id, 0) == state.paid_micro_usdc
            assert state.paid_micro_usdc <= state.signed_micro_usdc <= state.max_cost_micro_usdc
        for node in self.nodes.values():
            assert not node.journal, f"{node.name} still has {list(node.journal)}"
            assert not node.engine, f"{node.name} still runs {list(node.engine)}"
            for lease_id, starts in node.containers_started.items():
                assert starts == 1, f"{lease_id} ran {starts} times"
        self._check_costs_add_up()
        self._check_checkpoints()
        for task_id in self.task_ids:
            task = coordinator.tasks[task_id]
            assert not task.preemptions or task_id in self.preemptible
            assert task.preempted_micro_usdc <= task.cost_micro_usdc
        for task_id, needs in self.needs.items():
            self._check_needs(task_id, needs)
            self._check_deadline(task_id)

    def _check_checkpoints(self) -> None:
        """Whatever is kept is whole, was left by the task's own leases, and is in order."""
        for task_id in self.task_ids:
            kept = self.coordinator.tasks[task_id].checkpoints
            numbers = [each.checkpoint.sequence for each in kept]
            assert numbers == sorted(set(numbers))
            assert len(kept) <= (self.job.checkpoint.keep if self.job.checkpoint else 0)
            for each in kept:
                assert self.coordinator.files.is_whole(each.checkpoint)
                assert self.coordinator.files.task_of(each.lease_id) == task_id

    def _check_deadline(self, task_id: str) -> None:
        """What could not end in time any more, and so was not begun, costs nothing beyond what runs before it did."""
        task = self.coordinator.tasks[task_id]
        if task.ending is not None and task.ending.code == "DEADLINE_MISSED":
            assert self.deadlines[task_id]
            assert task.attempts or task.cost_micro_usdc == 0
            if task.lease is not None:
                assert self.coordinator.settlements[task.lease.lease_id].due_micro_usdc == 0

    def _check_needs(self, task_id: str, needs: Needs) -> None:
        """Who ran, ran on what those it needed had left; who did not, could not have."""
        task = self.coordinator.tasks[task_id]
        needed = [self.coordinator.tasks[other] for other in needs.task_ids]
        if any(other.phase is not Phase.COMPLETED for other in needed):
            assert not task.leases, f"{task_id} ran without what it needs"
            assert task.ending is not None
            code = task.ending.code
            assert code.startswith("DEPENDENCY_") or code in ("CANCELLED", "DEADLINE_MISSED")
            return
        inputs = {item.path: item.sha256 for item in self.coordinator.jobs[task_id].inputs}
        for wanted in needs.outputs:
            result = self.coordinator.tasks[wanted.task_id].result
            assert result is not None
            if task.leases:
                assert inputs[wanted.path] == result.outputs[0].sha256
        assert task.phase is not Phase.WAITING

    def _draw_deadline(self) -> int:
        if self.clockwork.random.random() < 0.5:
            return 0
        # Of ten minutes that it may run, some are missed and some are kept.
        return self.clockwork.now_ms + 600_000 + self.clockwork.random.randrange(600_000)

    def _draw_needs(self, number: int) -> Needs:
        earlier = self.task_ids[:number] if number else []
        chosen = [other for other in earlier if self.clockwork.random.random() < 0.6]
        outputs = tuple(OutputWanted(f"from-{other}", other, OUTPUT) for other in chosen)
        return Needs(tuple(chosen), outputs, len(chosen))

    def _check_costs_add_up(self) -> None:
        """A task costs what its leases come to, however many it took and however they ended."""
        coordinator = self.coordinator
        for task_id in self.task_ids:
            dues = [
                coordinator.settlements[lease_id].due_micro_usdc
                for lease_id, (owner, _) in coordinator.leases.items()
                if owner == task_id
            ]
            assert coordinator.tasks[task_id].cost_micro_usdc == sum(due or 0 for due in dues)

    def _submit(self, task_id: str) -> None:
        demand = Demand(
            demand_id="demand_" + "0" * 32,
            job_hash=self.job.hash(),
            requirements=Requirements(),
            image=JOB.image,
            input_bytes=0,
            max_price_micro_usdc_per_hour=100_000,
            timeout_s=600,
            bid_window_ms=200,
            voucher_interval_s=30,
            dead_after_s=DEAD_AFTER_S,
            finish_by_ms=self.deadlines[task_id],
            preemptible=task_id in self.preemptible,
        )
        needs = self.needs[task_id]
        there = all(other in self.coordinator.tasks for other in needs.task_ids)
        if self.coordinator.up and there:
            self.coordinator.submit(task_id, demand, needs, self.spread, self.job)
        else:
            self.clockwork.later(500, lambda: self._submit(task_id))  # the client asks again

    def _at_rest(self) -> bool:
        coordinator = self.coordinator
        return (
            len(coordinator.tasks) == len(self.task_ids)
            and all(task.phase in TERMINAL for task in coordinator.tasks.values())
            and all(s.phase is SettlementPhase.CLOSED for s in coordinator.settlements.values())
            and not any(node.journal for node in self.nodes.values())
        )

    def _to_node(self, name: str, message: Message) -> None:
        self.clockwork.send(lambda: self.nodes[name].receive(message))

    def _to_coordinator(self, name: str, message: Message | list[LeaseStatus]) -> None:
        self.clockwork.send(lambda: self.coordinator.receive(name, message))
