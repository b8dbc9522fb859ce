"""The whole market in one process: a coordinator, nodes, a chain, one seed."""

from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.messages import Message
from neurogrid_marketplace.offer import LeaseStatus
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.settlement import SettlementPhase
from neurogrid_marketplace.task import TERMINAL, Phase

from .chain import SimChain
from .clockwork import Chaos, Clockwork
from .coordinator import JOB, SimCoordinator
from .node import SimNode

CLIENT_MICRO_USDC = 1_000_000_000
# Long enough for every limit of the rules that is not a day.
LIMIT_MS = 12 * 3_600_000
DEAD_AFTER_S = 45


class World:
    """One run."""

    def __init__(self, seed: int, chaos: Chaos, *, nodes: int = 3, tasks: int = 4) -> None:
        self.clockwork = clockwork = Clockwork(seed, chaos)
        self.chain = SimChain(clockwork, CLIENT_MICRO_USDC)
        self.nodes = {
            name: SimNode(clockwork, name, self.chain, price, self._to_coordinator)
            for name, price in ((f"node-{i}", 20_000 + 1_000 * i) for i in range(nodes))
        }
        self.coordinator = SimCoordinator(clockwork, self.chain, self.nodes, self._to_node)
        self.task_ids = [f"task-{i}" for i in range(tasks)]
        for process in (*self.nodes.values(), self.coordinator):
            clockwork.later(0, lambda process=process: process.guarded(process.begin))  # type: ignore[misc]  # binds the loop's value
        for number, task_id in enumerate(self.task_ids):
            clockwork.later(1_000 * (number + 1), lambda task_id=task_id: self._submit(task_id))  # type: ignore[misc]  # binds the loop's value
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
        self._check_completed_are_paid_once()

    def _check_completed_are_paid_once(self) -> None:
        coordinator = self.coordinator
        for task_id in self.task_ids:
            task = coordinator.tasks[task_id]
            mine = [
                lease_id for lease_id, (owner, _) in coordinator.leases.items() if owner == task_id
            ]
            if task.phase is not Phase.COMPLETED:
                continue
            assert task.lease is not None
            final = coordinator.settlements[task.lease.lease_id]
            assert final.due_micro_usdc is not None
            assert final.due_micro_usdc >= task.cost_micro_usdc
            for lease_id in mine:
                if lease_id != task.lease.lease_id:
                    # Another node's work, if any was paid, was paid by interval vouchers alone.
                    state = coordinator.settlements[lease_id]
                    assert state.paid_micro_usdc <= state.signed_micro_usdc

    def _submit(self, task_id: str) -> None:
        demand = Demand(
            demand_id="demand_" + "0" * 32,
            job_hash=JOB.hash(),
            requirements=Requirements(),
            image=JOB.image,
            input_bytes=0,
            max_price_micro_usdc_per_hour=100_000,
            timeout_s=600,
            bid_window_ms=200,
            voucher_interval_s=30,
            dead_after_s=DEAD_AFTER_S,
        )
        if self.coordinator.up:
            self.coordinator.submit(task_id, demand)
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
