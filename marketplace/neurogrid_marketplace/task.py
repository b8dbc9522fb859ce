"""A task: its phases, the one table of what may follow what, and its state.

The rules that move it are in `orchestration`. Stored as one document by the coordinator.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from .auction import RankedBid
from .checkpoint import Checkpoint, CheckpointPlan, KeptCheckpoint
from .demand import Demand, VerifyMode
from .membership import Membership
from .messages import Result
from .needs import NOTHING, Needs
from .spread import Spread
from .units import NOTHING_SERVED, UnitPrices, Units
from .verification import UNVERIFIED, Verdict, Verification


class Phase(StrEnum):
    """Where a task is.

    The six after waiting have a deadline and somebody who sweeps it; a waiting task ends or is queued
    with the last of the tasks that it needs. Members of a gang that have no seat wait for rank 0.
    """

    WAITING = "waiting"
    QUEUED = "queued"
    MATCHING = "matching"
    AWARDED = "awarded"
    STARTING = "starting"
    RUNNING = "running"
    VERIFYING = "verifying"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


TERMINAL = frozenset({Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED, Phase.EXPIRED})

# The one transition table: what may follow what. `decide` asserts every step against it.
TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    Phase.WAITING: frozenset(
        {Phase.QUEUED, Phase.AWARDED, Phase.FAILED, Phase.CANCELLED, Phase.EXPIRED}
    ),
    Phase.QUEUED: frozenset({Phase.MATCHING, Phase.CANCELLED, Phase.EXPIRED}),
    Phase.MATCHING: frozenset({Phase.AWARDED, Phase.QUEUED, Phase.CANCELLED, Phase.EXPIRED}),
    Phase.AWARDED: frozenset({Phase.STARTING, Phase.WAITING, Phase.QUEUED, Phase.CANCELLED}),
    Phase.STARTING: frozenset(
        {
            Phase.RUNNING,
            Phase.VERIFYING,
            Phase.WAITING,
            Phase.QUEUED,
            Phase.AWARDED,
            Phase.FAILED,
            Phase.CANCELLED,
            Phase.EXPIRED,
        }
    ),
    Phase.RUNNING: frozenset(
        {Phase.VERIFYING, Phase.WAITING, Phase.QUEUED, Phase.FAILED, Phase.CANCELLED}
    ),
    Phase.VERIFYING: frozenset(
        {Phase.COMPLETED, Phase.WAITING, Phase.QUEUED, Phase.FAILED, Phase.CANCELLED}
    ),
    Phase.COMPLETED: frozenset(),
    Phase.FAILED: frozenset(),
    Phase.CANCELLED: frozenset(),
    Phase.EXPIRED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease a task has now.

    Attributes:
        max_cost_micro_usdc: what the escrow holds.
        signed_micro_usdc: the most that a voucher of it pays so far; who loads the task says so.
        escrow_open: whether the escrow is known to be on the chain.
        funded_at_ms: coordinator's clock when that became known: no work can be older.
        started_at_ms: when the container started, 0 before; never earlier than ``funded_at_ms``.
        bid_start_ms: how long the start would take, as its node had bid.
        start_factors_permille: as in the award (`messages.Award`).
        region: where its node stands.
        wrapped_key: the key to sealed inputs, wrapped to the node; "" before the client sent it.
        reclaim_window_s: how long the node warns before it takes its machine back; 0: it may not.
        reclaimed_at_ms: when it did warn, 0 before.
        resumed: the checkpoint that its run begins from.
        unit_prices: that its node bid, where it serves a model or is for its use.
        counts_use: whether it is for use (`Demand.use`): it comes to units, not to time.
        billed: of one for use: what was passed on to the client so far; who loads the task says so.
    """

    lease_id: str
    node_id: str
    wallet: str
    price_micro_usdc_per_hour: int
    max_cost_micro_usdc: int
    demand_id: str
    bid_hash: str
    escrow_open: bool = False
    funded_at_ms: int = 0
    started_at_ms: int = 0
    bid_start_ms: int = 0
    start_factors_permille: Mapping[str, int] = field(default_factory=dict)
    region: str = ""
    wrapped_key: str = ""
    signed_micro_usdc: int = 0
    reclaim_window_s: int = 0
    reclaimed_at_ms: int = 0
    resumed: Checkpoint | None = None
    unit_prices: UnitPrices | None = None
    counts_use: bool = False
    billed: Units = NOTHING_SERVED


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a task ended, for people and programs."""

    code: str
    message: str
    exit_code: int = -1


@dataclass(frozen=True, slots=True)
class Task:
    """A task's whole orchestration state; stored as one document.

    Attributes:
        demand: as submitted; each auction gets its own ``demand_id``. While the task is waiting,
            what depends on its inputs (``job_hash``, ``input_bytes``) is only that of its draft.
        since_ms: when the present phase began.
        retry_at_ms: earliest next auction while queued.
        queue_timeout_ms, queue_until_ms: a task that finds no node for so long expires.
        auctions, attempts: how many were held; how many leases were lost by no user's fault.
        candidates: bids of the last auction that were not tried yet.
        start_factors_permille: of all its bids, by bid hash, where it is not 1000.
        excluded: nodes that are not asked again.
        result: the node's result while it is verified and after.
        verification: how the result is verified; of a further run, how its task's is.
        belongs_to: of a further run: the task whose result it verifies; of a gang's other ranks: rank 0.
        compares: of a task that shows results to the client's own image (`image_comparison`): whose.
        comparisons: how many such tasks have begun for this one's group.
        checked: the result and its files are here; it waits for the other runs.
        verdict: what the other runs said of this one's result.
        result_of: the run that ``result`` came from, where this task's own was refuted.
        owners_excluded: wallets whose nodes are not asked: they have other runs of the group.
        cost_micro_usdc: what the task is charged in all for those of its leases that are over
            (`charging`).
        needs: what it waits for before it is queued.
        spread: what other tasks it shares no place with.
        runs_late: whether it goes on when it can't keep its deadline any more; the demand then has none.
        sealed: whether a node needs a key of the client's for its inputs (`key_wait`).
        preemptions, preempted_micro_usdc: how many of its runs were reclaimed, and what they came to.
        resting: nodes that are not asked before a moment, because they have reclaimed a run.
        membership: its part in a gang.
        checkpoint: what its job has asked to be kept of its work.
        checkpoints: those that are kept, oldest first.
        trace: what the spans of its life belong to (`TraceParent`); nothing is decided by it.
    """

    task_id: str
    demand: Demand
    phase: Phase
    since_ms: int
    queue_timeout_ms: int
    queue_until_ms: int
    retry_at_ms: int = 0
    auctions: int = 0
    leases: int = 0
    attempts: int = 0
    candidates: tuple[RankedBid, ...] = ()
    excluded: tuple[str, ...] = ()
    lease: Lease | None = None
    cancel_requested: bool = False
    result: Result | None = None
    ending: Ending | None = None
    cost_micro_usdc: int = 0
    last_explanation: str = ""
    needs: Needs = NOTHING
    start_factors_permille: Mapping[str, int] = field(default_factory=dict)
    runs_late: bool = False
    spread: Spread | None = None
    verification: Verification = UNVERIFIED
    belongs_to: str = ""
    compares: tuple[str, ...] = ()
    comparisons: int = 0
    checked: bool = False
    verdict: Verdict = Verdict.NONE
    result_of: str = ""
    owners_excluded: tuple[str, ...] = ()
    sealed: bool = False
    preemptions: int = 0
    preempted_micro_usdc: int = 0
    resting: Mapping[str, int] = field(default_factory=dict)
    membership: Membership | None = None
    checkpoint: CheckpointPlan | None = None
    checkpoints: tuple[KeptCheckpoint, ...] = ()
    trace: str = ""

    @property
    def awaits_verdict(self) -> bool:
        """Whether its result counts only once other runs agree: of a quorum, or a check's run."""
        if self.compares or self.membership is not None:
            return False
        return bool(self.belongs_to) or self.verification.mode is VerifyMode.QUORUM

    @property
    def group(self) -> str:
        """The task that it and its further runs belong to: itself, unless it is one of those."""
        return self.belongs_to or self.task_id


def move(task: Task, phase: Phase, now_ms: int) -> Task:
    """The same task in another phase, which begins now."""
    return replace(task, phase=phase, since_ms=now_ms)
