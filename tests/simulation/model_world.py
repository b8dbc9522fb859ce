"""The small market with a replica of a model, and clients who ask it by leases for its use."""

from dataclasses import replace

from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.messages import EventKind
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.serving import Serves, Use
from neurogrid_marketplace.task import TERMINAL, Phase
from neurogrid_marketplace.units import NOTHING_SERVED, UnitPrices, Units

from .clockwork import Chaos
from .coordinator import JOB
from .world import DEAD_AFTER_S, World

PRICES = UnitPrices(input_tokens=333_333, output_tokens=1_999_999)
# Used up by some, and left by others.
MAX_COST_MICRO_USDC = 2_000
_ASKED_MS = 700
_IDLE_S = 15


class ModelWorld(World):
    """One run: task 0 is the replica, all others are for its use.

    Attributes:
        delivered: lease id -> what its client has got.
    """

    def __init__(self, seed: int, chaos: Chaos, *, uses: int = 4) -> None:
        self.delivered: dict[str, Units] = {}
        super().__init__(seed, chaos, tasks=uses + 1)
        self.clockwork.later(_ASKED_MS, self._ask)

    def _submit(self, task_id: str) -> None:
        if not self.coordinator.up:
            self.clockwork.later(500, lambda: self._submit(task_id))
            return
        first = self.task_ids[0]
        plain = Demand(
            demand_id="demand_" + "0" * 32,
            job_hash=JOB.hash(),
            requirements=Requirements(),
            image=JOB.image,
            input_bytes=0,
            max_price_micro_usdc_per_hour=100_000,
            timeout_s=600,
            bid_window_ms=200,
            voucher_interval_s=2,
            dead_after_s=DEAD_AFTER_S,
        )
        if task_id == first:
            self.coordinator.submit(task_id, replace(plain, serves=Serves("m", PRICES)))
            return
        replica = self.coordinator.tasks.get(first)
        lease = replica.lease if replica is not None else None
        if replica is not None and replica.phase in TERMINAL:
            # The client comes too late.
            self.task_ids.remove(task_id)
            del self.needs[task_id]
        elif replica is None or lease is None or replica.phase is not Phase.RUNNING:
            self.clockwork.later(500, lambda: self._submit(task_id))
        else:
            job = Job(JOB.image, uses=lease.lease_id)
            asked = replace(
                plain,
                job_hash=job.hash(),
                max_price_micro_usdc_per_hour=0,
                use=Use(lease.lease_id, "m", PRICES, MAX_COST_MICRO_USDC, _IDLE_S),
            )
            self.coordinator.submit(task_id, asked, job=job)

    def _ask(self) -> None:
        """Each client asks, is answered by the node, and gets it through the coordinator, which notes it then."""
        self.clockwork.later(_ASKED_MS, self._ask)
        random = self.clockwork.random
        for task_id in self.task_ids[1:]:
            task = self.coordinator.tasks.get(task_id)
            lease = task.lease if task is not None else None
            if task is None or lease is None or task.phase is not Phase.RUNNING:
                continue
            # Every client stops asking some time.
            if not self.coordinator.up or random.random() < 0.3:
                continue
            units = Units(input_tokens=random.randrange(1, 60), output_tokens=random.randrange(60))
            if self.nodes[lease.node_id].serve(lease.lease_id, units):
                # It may break off on its way.
                got = units if random.random() < 0.8 else replace(units, output_tokens=0)
                before = self.delivered.get(lease.lease_id, NOTHING_SERVED)
                self.delivered[lease.lease_id] = before + got
                self.coordinator.note(lease.lease_id, got)

    def check_use(self) -> int:
        """Nobody pays for more than was delivered, and whose end was reported is paid what was billed.

        Returns: what all use has brought.
        """
        paid_in_all = 0
        for lease_id, (task_id, lease) in self.coordinator.leases.items():
            state = self.coordinator.settlements[lease_id]
            if not lease.counts_use:
                assert lease_id not in self.coordinator.billed
                continue
            billed = self.coordinator.billed.get(lease_id, NOTHING_SERVED)
            assert self.delivered.get(lease_id, NOTHING_SERVED).covers(billed)
            owed = min(PRICES.cost_micro_usdc(billed), MAX_COST_MICRO_USDC)
            assert state.paid_micro_usdc <= owed
            paid_in_all += state.paid_micro_usdc
            said = self.coordinator.events.get(lease_id, [])
            is_reported = any(event.kind is EventKind.FINISHED for event in said)
            task = self.coordinator.tasks[task_id]
            if is_reported and task.phase is not Phase.FAILED:
                assert state.due_micro_usdc == owed, f"{lease_id}: {state} for {billed}"
                # What a node does not redeem in time goes back to the client.
                assert state.paid_micro_usdc in (owed, 0) or self.nodes[lease.node_id].dead
            assert task.leases == 1 or task.phase in TERMINAL
        return paid_in_all
