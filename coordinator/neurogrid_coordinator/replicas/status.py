"""How the replicas of a model are, at one moment: for clients, operators and metrics. Pure."""

from dataclasses import dataclass
from typing import Final

from neurogrid_marketplace.task import Phase

from .pool import STATES, Pool, Replica


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """One of them.

    Attributes:
        task_id: its log, receipt and cost are this task's.
        state: one of `STATES`.
        node_id: "" while no node has it.
        price_micro_usdc_per_hour: what its node is paid; 0 while no node has it.
        ends_at_ms: when its time is over; 0: it has not begun.
        failures: requests in a row that it did not answer.
    """

    task_id: str
    state: str
    node_id: str
    region: str
    at_work: int
    failures: int
    first_byte_ms: int
    price_micro_usdc_per_hour: int
    ends_at_ms: int


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """All of a model.

    Attributes:
        wanted: how many there should be.
        waiting, at_work: requests.
        waits_ms: how long the one has waited that waits longest; 0 where none does.
        expected_ms: how long a request that comes now waits until one is ready: 0 where one is; None: nobody knows.
        cold_start_ms: how long each phase of a start takes; empty before the first.
        problem: why there are fewer than are wanted; "" where nothing is known to be wrong.
    """

    model_id: str
    wanted: int
    least: int
    most: int
    concurrency: int
    waiting: int
    at_work: int
    waits_ms: int
    expected_ms: int | None
    cold_start_ms: dict[str, int]
    problem: str
    replicas: tuple[ReplicaStatus, ...]

    def count(self, state: str) -> int:
        """How many are in this state."""
        return sum(each.state == state for each in self.replicas)

    @property
    def ready(self) -> int:
        """How many take requests."""
        return self.count("ready")

    @property
    def starting(self) -> int:
        """How many will take some."""
        return sum(self.count(state) for state in _ON_THEIR_WAY)


_ON_THEIR_WAY: Final = STATES[:3]


def status_of(pool: Pool, now_ms: int) -> ModelStatus:
    """How a model's replicas are now."""
    since_ms = pool.waits_since_ms()
    return ModelStatus(
        model_id=pool.model_id,
        wanted=pool.need.wanted(pool.limits, now_ms),
        least=pool.limits.least,
        most=pool.limits.most,
        concurrency=pool.limits.concurrency,
        waiting=pool.waiting,
        at_work=pool.at_work,
        waits_ms=0 if since_ms is None else max(0, now_ms - since_ms),
        expected_ms=pool.expected_ms(),
        cold_start_ms=pool.cold_starts.by_phase_ms(),
        problem=pool.problem,
        replicas=tuple(_replica(each) for each in pool.replicas.values()),
    )


def announcement(status: ModelStatus) -> str:
    """What who waits is told while no replica takes requests; "" where one does."""
    if status.ready:
        return ""
    begins = (
        "how soon it begins is not known yet"
        if status.expected_ms is None
        else f"begins in about {-(-status.expected_ms // 1000)} s"
    )
    return f"{status.model_id}: no replica is warm, {begins}"


def _replica(replica: Replica) -> ReplicaStatus:
    lease = replica.lease
    return ReplicaStatus(
        task_id=replica.task_id,
        state=replica.state,
        node_id=lease.node_id if lease is not None else "",
        region=lease.region if lease is not None else "",
        at_work=replica.at_work,
        failures=replica.health.failures,
        first_byte_ms=replica.health.first_byte_ms,
        price_micro_usdc_per_hour=lease.price_micro_usdc_per_hour if lease is not None else 0,
        ends_at_ms=replica.ends_at_ms if replica.phase is Phase.RUNNING and lease else 0,
    )
