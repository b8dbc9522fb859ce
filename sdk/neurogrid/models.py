"""What the API answers with, as typed values.

Unknown fields are ignored, so that a newer coordinator can add some. Money is `Decimal` USDC, times
are aware datetimes.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct, field

TaskStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
ENDED: frozenset[TaskStatus] = frozenset({"completed", "failed", "cancelled"})


class TaskError(Struct, frozen=True, kw_only=True):
    """Why a task failed. ``advice`` says what to change."""

    code: str
    message: str
    advice: str = ""


class InputFile(Struct, frozen=True, kw_only=True):
    """A file that the job finds at ``/inputs/<path>``.

    Attributes:
        sha256, size: None while the task that leaves it has not completed.
        from_task, output: whose output it is, and its path there; None for an uploaded file.
        sealed: what hash and size are of can be read by the task's node alone.
    """

    path: str
    sha256: str | None = None
    size: int | None = None
    from_task: str | None = None
    output: str | None = None
    sealed: bool = False


class TaskOutput(Struct, frozen=True):
    """An output of another task, as an input: ``path`` below /outputs there.

    ``task_id``: its id; in a workflow also its name there.
    """

    task_id: str
    path: str


class OutputFile(Struct, frozen=True, kw_only=True):
    """A file that the job left at ``/outputs/<path>``; ``size`` in bytes."""

    path: str
    sha256: str
    size: int
    url: str = ""


class ResourceRequirements(Struct, frozen=True, kw_only=True):
    """What the job needs; a GB is 10^9 bytes."""

    cpu_cores: float = 1
    gpu_memory_gb: float = 0
    gpu_count: int = 0
    gpu_model: str = ""
    ram_gb: float = 0
    storage_gb: float = 0


class LeaseInfo(Struct, frozen=True, kw_only=True):
    """One attempt to run the task on one node.

    Attributes:
        settlement: where its escrow is: none, opening, open, final, releasing, closed.
        paid: what left the account for it, USDC; None until the escrow is closed.
        transaction: signature of the Solana transaction that closed the escrow.
        expected_start_seconds: from the open escrow to a running container, as its bid said.
        started_after_seconds: what that took by the coordinator's clock; None where it can't say.
    """

    id: str
    node_id: str
    price_per_hour: Decimal
    wallet: str = ""
    max_cost: Decimal | None = None
    settlement: str = "none"
    paid: Decimal | None = None
    transaction: str | None = None
    escrow: str | None = None
    expected_start_seconds: float | None = None
    started_after_seconds: float | None = None


class TimelineEntry(Struct, frozen=True, kw_only=True):
    """Something that happened to the task."""

    at: datetime
    event: str
    data: dict[str, Any] = {}


class FurtherRun(Struct, frozen=True, kw_only=True):
    """A run that verifies a task: a task of its own that is in no list."""

    id: str
    phase: str
    node_id: str | None = None
    verdict: str | None = None
    cost: Decimal = field(name="cost_usdc", default=Decimal(0))
    error: TaskError | None = None


class VerificationInfo(Struct, frozen=True, kw_only=True):
    """How a task's result is verified, and what came of it.

    Attributes:
        verdict: due, pending, agreed, refuted (other runs agree on another result), undecided, or
            spared: not drawn for a check; None where nothing is verified.
        result_of: the run whose result the task has, where its own was refuted.
        total_cost: of the task's own run and of all further runs, USDC.
    """

    mode: Literal["none", "spot_check", "quorum"] = "none"
    runs: int = 1
    verdict: str | None = None
    result_of: str | None = None
    belongs_to: str | None = None
    further_runs: list[FurtherRun] = []
    total_cost: Decimal = field(name="total_cost_usdc", default=Decimal(0))


class Task(Struct, frozen=True, kw_only=True):
    """A task as its owner sees it.

    Attributes:
        phase: finer than ``status``: waiting, queued, matching, awarded, starting, running,
            verifying, completed, failed, cancelled, expired.
        progress: percent, as the program itself says.
        cost: what it is charged in all, USDC; final when it has ended.
        price_per_hour: agreed with its node, USDC.
        constraints: its conditions on nodes, as text.
        explanation: why it waits, while it waits.
        sealed: whether only its node can read its inputs; needs_key: whether it waits for their key.
        settled: whether the money has moved and the receipt is complete.
        deadline_met: None without a deadline, and while it may still be met.
        depends_on: ids of tasks that must have completed before it.
        workflow_id: the workflow it was submitted with.
    """

    id: str
    status: TaskStatus
    phase: str
    created_at: datetime
    name: str = ""
    type: str = "cpu"
    started_at: datetime | None = None
    completed_at: datetime | None = None
    node_id: str | None = None
    progress: float = 0.0
    progress_note: str = ""
    cost: Decimal = field(name="cost_usdc", default=Decimal(0))
    price_per_hour: Decimal | None = None
    max_price_per_hour: Decimal | None = None
    max_cost: Decimal | None = None
    exit_code: int | None = None
    error: TaskError | None = None
    explanation: str | None = None
    docker_image: str = ""
    command: list[str] = []
    env: dict[str, str] = {}
    inputs: list[InputFile] = []
    spread: dict[str, str] | None = None
    avoid: dict[str, list[str]] = {}
    depends_on: list[str] = []
    workflow_id: str | None = None
    resource_requirements: ResourceRequirements | None = None
    constraints: str = ""
    timeout_seconds: int = 0
    priority: str | int = "normal"
    priority_reason: str = ""
    deadline: datetime | None = None
    deadline_policy: str | None = None
    deadline_met: bool | None = None
    sealed: bool = False
    needs_key: bool = False
    settled: bool = False
    verification: VerificationInfo = VerificationInfo()
    leases: list[LeaseInfo] = []
    timeline: list[TimelineEntry] = []

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it, but for its payment."""
        return self.status in ENDED


class WorkflowTask(Task, frozen=True, kw_only=True):
    """A task of a workflow, without its details; ``key``: its name there."""

    key: str


class Workflow(Struct, frozen=True, kw_only=True):
    """Tasks that were submitted together.

    Attributes:
        status: ``failed`` when all tasks have ended and one failed; else ``cancelled`` when one was
            cancelled; ``completed`` when all completed.
        counts: status -> how many tasks are in it.
        cost: of its tasks that have ended, USDC.
        tasks: each after those that it depends on; empty in lists.
    """

    id: str
    status: TaskStatus
    created_at: datetime
    name: str = ""
    completed_at: datetime | None = None
    counts: dict[str, int] = {}
    cost: Decimal = field(name="cost_usdc", default=Decimal(0))
    tasks: list[WorkflowTask] = []

    @property
    def ended(self) -> bool:
        """Whether all of its tasks have ended."""
        return self.status in ENDED


class WorkflowPage(Struct, frozen=True, kw_only=True):
    """Some of the account's workflows; ``total`` counts all of them."""

    workflows: list[Workflow]
    total: int
    limit: int = 0
    offset: int = 0


class TaskPage(Struct, frozen=True, kw_only=True):
    """Some of the account's tasks; ``total`` counts all that match."""

    tasks: list[Task]
    total: int
    limit: int = 0
    offset: int = 0

    def __iter__(self) -> Any:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)


class Bid(Struct, frozen=True, kw_only=True):
    """One node's offer.

    Attributes:
        start_seconds: how soon the job would run, as it said: in half of all cases;
            start_seconds_p95: in 19 of 20, None where it did not say.
        start_factor: what its word on that is multiplied by: its last starts took longer than said.
        cached_gb: of image and inputs, what it has already.
        score: price and waiting, USDC per hour; the lowest wins.
    """

    node_id: str
    price_per_hour: Decimal
    start_seconds: float
    score: Decimal
    won: bool
    wallet: str = ""
    start_seconds_p95: float | None = None
    start_factor: float = 1.0
    cached_gb: float = 0.0


class AuctionInfo(Struct, frozen=True, kw_only=True):
    """How one of a task's leases was auctioned.

    Attributes:
        price_per_hour: what the winner is paid, by the second-lowest score, USDC.
        bids: best first.
        expected_start_seconds: what counted for the winner, its factor included.
        started_after_seconds: what its start took by the coordinator's clock; None where it did
            not start, or could not be seen.
        sealed_bids: nodes had committed to their bids before the first was shown;
            unrevealed: ids of those that then showed none that counts.
    """

    lease_id: str
    held_at: datetime
    price_per_hour: Decimal
    winner: str
    bids: list[Bid]
    max_price_per_hour: Decimal | None = None
    expected_start_seconds: float | None = None
    started_after_seconds: float | None = None
    sealed_bids: bool = False
    unrevealed: list[str] = []


class TaskUpdate(Struct, frozen=True, kw_only=True):
    """One event of a task, with what the task looked like after it.

    Attributes:
        type: such as ``task.started``.
        sequence: position in the account's events; a stream resumes after it.
    """

    type: str
    task_id: str
    sequence: int
    timestamp: datetime
    status: TaskStatus
    phase: str = ""
    progress: float = 0.0
    progress_note: str = ""
    node_id: str | None = None
    cost: Decimal = field(name="cost_usdc", default=Decimal(0))
    price_per_hour: Decimal | None = None
    message: str | None = None
    error: TaskError | None = None

    @property
    def ended(self) -> bool:
        """Whether the task has ended with this event."""
        return self.status in ENDED


class CancelResult(Struct, frozen=True, kw_only=True):
    """What ``cancel`` did: ``cancelled``, ``cancelling`` (its node is being told) or ``deleted``."""

    id: str
    result: str
    status: TaskStatus


class LogPage(Struct, frozen=True, kw_only=True):
    """A piece of a task's log; offsets count UTF-8 bytes. ``complete``: nothing more will come."""

    task_id: str
    text: str
    offset: int
    next_offset: int
    total_bytes: int
    complete: bool


class Artifact(Struct, frozen=True, kw_only=True):
    """A stored file, named by its SHA-256; ``size`` in bytes."""

    sha256: str
    size: int
    created: bool = False


class GpuInfo(Struct, frozen=True, kw_only=True):
    """A node's GPUs: ``count`` of ``model``."""

    model: str
    memory: str = ""
    compute_capability: str = ""
    count: int = 1


class NodeInfo(Struct, frozen=True, kw_only=True):
    """A provider's machine.

    Attributes:
        start_factor: what its word on its starts is multiplied by in auctions; 1: it holds.
    """

    id: str
    status: Literal["online", "offline", "busy"]
    region: str = ""
    capabilities: list[str] = []
    gpu_info: GpuInfo | None = None
    performance_score: float | None = None
    start_factor: float | None = None
    last_seen: datetime | None = None
    wallet: str = ""
    software: str = ""
    summary: str = ""
    cpu_cores: float = 0
    cpu_cores_free: float = 0
    ram_gb: float = 0
    ram_gb_free: float = 0
    storage_gb: float = 0
    price_per_hour: Decimal | None = None
    current_load: float | None = None
    total_tasks_completed: int | None = None


class NodePage(Struct, frozen=True, kw_only=True):
    """Some of the market's nodes; ``total`` counts all that match."""

    nodes: list[NodeInfo]
    total: int
    limit: int = 0
    offset: int = 0


class NodeFinding(Struct, frozen=True, kw_only=True):
    """Something that the coordinator has seen a node do.

    Attributes:
        kind: verified, refuted, failed, challenge_passed, challenge_failed or gpu_shared.
        remembered: what part of it is not forgotten, 0 to 1.
        effect: the score less what it would be without this.
        scored: False for what is recorded and does not count.
    """

    at: datetime
    kind: str
    reason: str = ""
    outcome: str | None = None
    remembered: float = 1.0
    effect: int = 0
    scored: bool = True


class NodeReputation(Struct, frozen=True, kw_only=True):
    """A node's score and what it is made of.

    Attributes:
        score: 0 to 1000; ``neutral_score`` for a newcomer, 0 while it is suspended.
        stake: what its owner has at risk, USDC; None while it is not known.
        verified_share: of its completed runs; None before any.
        counts: findings by kind; ``findings`` are the newest of them, ``total`` counts all.
    """

    node_id: str
    score: int
    neutral_score: int = 500
    suspended: bool = False
    stake: Decimal | None = None
    half_life_days: int = 0
    tasks_completed: int = 0
    verified_share: float | None = None
    counts: dict[str, int] = {}
    findings: list[NodeFinding] = []
    total: int = 0


class Survivors(Struct, frozen=True, kw_only=True):
    """How many nodes are left after this constraint."""

    constraint: str
    left: int


class NearMiss(Struct, frozen=True, kw_only=True):
    """A node that fails few constraints, and how."""

    node_id: str
    reasons: list[str]


class RelaxationStep(Struct, frozen=True, kw_only=True):
    """How many nodes come in when the constraint is this instead."""

    constraint: str
    nodes: int


class Relaxation(Struct, frozen=True, kw_only=True):
    """The one constraint whose removal would let most nodes in.

    Attributes:
        steps: what it could be instead: the nearest first, or what brings most nodes.
    """

    constraint: str
    nodes: int
    steps: list[RelaxationStep] = []


class Explanation(Struct, frozen=True, kw_only=True):
    """How a request meets the nodes known now.

    Attributes:
        summary: in one sentence.
        nodes: known in all; matching: that meet everything.
        clearing_price_per_hour: the lowest ask among nodes that meet all but the price, USDC.
        max_cost: what the task could cost at most, USDC.
    """

    summary: str
    nodes: int
    matching: int
    survivors: list[Survivors] = []
    nearest: list[NearMiss] = []
    clearing_price_per_hour: Decimal | None = None
    relaxation: Relaxation | None = None
    declines: dict[str, int] = {}
    max_cost: Decimal | None = None


class PriceHour(Struct, frozen=True, kw_only=True):
    """One hour's awards, USDC per unit and hour."""

    at: datetime
    awards: int
    lowest: Decimal
    median: Decimal
    highest: Decimal


class ClassPrices(Struct, frozen=True, kw_only=True):
    """What awards cleared at, USDC per unit and hour.

    Attributes:
        name: a GPU's model, or ``cpu``.
        unit: ``GPU`` or ``core``.
        high: nine of ten awards were no dearer.
        start_seconds: half of the awards expected to start no later.
        hours: each hour, where one class was asked for.
    """

    name: str
    unit: str
    awards: int
    lowest: Decimal
    median: Decimal
    high: Decimal
    highest: Decimal
    start_seconds: float = 0.0
    hours: list[PriceHour] = []


class MarketPrices(Struct, frozen=True, kw_only=True):
    """The classes with most awards in the last hours."""

    hours: int
    classes: list[ClassPrices]


class PriceRange(Struct, frozen=True, kw_only=True):
    """What is expected, and where it may come to lie, USDC."""

    low: Decimal
    expected: Decimal
    high: Decimal


class EstimateBalance(Struct, frozen=True, kw_only=True):
    """Whether the account can pay, USDC; ``needed`` is held until the task ends."""

    available: Decimal
    needed: Decimal
    enough: bool


class Estimate(Struct, frozen=True, kw_only=True):
    """What a task would likely cost and when it would start.

    Attributes:
        matching: nodes that could take it now.
        suitable: nodes that could take it at some price, now or when they are idle.
        price_per_hour: None where no node fits at the maximum.
        total: for the whole time limit.
        lowest_ask_per_hour: also where it is above the maximum, USDC.
        start_seconds: None where nobody is free, or nothing is known.
        max_cost: for the whole time limit at the highest price, USDC.
        history: of such tasks in the last seven days.
    """

    summary: str
    nodes: int
    matching: int
    suitable: int
    max_cost: Decimal
    balance: EstimateBalance
    price_per_hour: PriceRange | None = None
    total: PriceRange | None = None
    lowest_ask_per_hour: Decimal | None = None
    start_seconds: float | None = None
    history: ClassPrices | None = None


class Balance(Struct, frozen=True, kw_only=True):
    """An account's money, USDC.

    Attributes:
        available: what new tasks can spend.
        held: promised to tasks that have no escrow yet.
        escrowed: locked on the chain for running tasks.
        wallet: in the owner's own wallet, not deposited.
        operator_limit: what the coordinator may still open escrows for.
    """

    available: Decimal
    held: Decimal
    escrowed: Decimal
    wallet: Decimal | None = None
    operator_limit: Decimal | None = None


class Account(Struct, frozen=True, kw_only=True):
    """Who the key belongs to, and its money."""

    id: str
    balance: Balance
    name: str = ""
    wallet: str = ""
    currency: str = "USDC"
