"""What the native API answers: shapes and documentation. A GB is 10^9 bytes.

Money is a decimal string in USDC, and a number only where document 002 shows one.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from neurogrid_marketplace.conditions import Clause

from .requests import AvoidRequest, Priority, ResourceRequirements, SpreadRequest

TaskStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
Amount = Annotated[
    str,
    Meta(
        description="USDC, at most six decimals.",
        examples=["10.00"],
        extra_json_schema={"format": "decimal"},
    ),
]
Time = Annotated[str, Meta(description="UTC.", examples=["2024-01-15T10:30:00.000Z"])]


class ErrorBody(Struct, frozen=True):
    """What went wrong; ``code`` and ``details`` are for programs."""

    code: str
    message: str
    type: str
    details: dict[str, Any]


class ErrorAnswer(Struct, frozen=True):
    """Every error looks like this."""

    success: Literal[False]
    error: ErrorBody


class TaskFailure(Struct, frozen=True):
    """Why a task failed, and what to change."""

    code: str
    message: str
    advice: str


class InputView(Struct, frozen=True, omit_defaults=True):
    """An input; ``size`` in bytes. Of another task's output hash and size are known once it has
    completed."""

    path: str
    sha256: str | None
    size: int | None
    sealed: bool = False
    from_task: Annotated[str | None, Meta(description="Who leaves it.")] = None
    output: Annotated[str | None, Meta(description="Its path below /outputs there.")] = None


class OutputView(Struct, frozen=True):
    """A file that the job left under /outputs; ``size`` in bytes, ``url`` on this host."""

    path: str
    sha256: str
    size: int
    url: str


class OutputListView(Struct, frozen=True):
    """All output files, sorted by path."""

    task_id: str
    outputs: list[OutputView]
    total: int


class LeaseView(Struct, frozen=True):
    """One attempt to run the task on one node, and its money."""

    id: str
    node_id: str
    wallet: str
    created_at: Time
    price_per_hour: Amount
    max_cost: Amount
    expected_start_seconds: Annotated[
        float, Meta(description="From the open escrow to a running container, as its bid said.")
    ]
    started_after_seconds: Annotated[
        float | None,
        Meta(description="What it took by the coordinator's clock; null where it can't say."),
    ]
    settlement: Annotated[
        str, Meta(description="Its escrow: none, opening, open, final, releasing or closed.")
    ]
    paid: Annotated[Amount | None, Meta(description="Known when the escrow is closed.")]
    escrow: str | None
    transaction: Annotated[
        str | None, Meta(description="Of the Solana transaction that closed the escrow.")
    ]


class TimelineView(Struct, frozen=True):
    """Something that happened to the task."""

    at: Time
    event: str
    data: dict[str, Any]


class FurtherRunView(Struct, frozen=True):
    """A run that verifies a task: a task of its own, with receipt and log, that is in no list."""

    id: str
    phase: str
    node_id: str | None
    verdict: Annotated[str | None, Meta(description="agreed, refuted or undecided.")]
    cost_usdc: Amount
    error: TaskFailure | None


class VerificationView(Struct, frozen=True):
    """How a task's result is verified, and what came of it."""

    mode: Literal["none", "spot_check", "quorum"]
    runs: Annotated[int, Meta(description="That a quorum began with.")]
    verdict: Annotated[
        str | None,
        Meta(
            description="due, pending, agreed, refuted (other runs agree on another result), "
            "undecided, or spared: not drawn for a check."
        ),
    ]
    result_of: Annotated[
        str | None, Meta(description="The run whose result it has, where its own was refuted.")
    ]
    belongs_to: Annotated[str | None, Meta(description="Of a further run: its task.")]
    further_runs: list[FurtherRunView]
    total_cost_usdc: Annotated[
        Amount, Meta(description="Of the task's own run, which `cost` is, and of all further runs.")
    ]


class TaskSummary(Struct, frozen=True):
    """A task in a list."""

    id: str
    name: str
    type: str
    status: TaskStatus
    phase: Annotated[
        str,
        Meta(
            description="waiting, queued, matching, awarded, starting, running, verifying, "
            "completed, failed, cancelled or expired."
        ),
    ]
    docker_image: str
    created_at: Time
    started_at: Time | None
    completed_at: Annotated[Time | None, Meta(description="When it ended, however it ended.")]
    node_id: str | None
    progress: Annotated[float, Meta(description="Percent, as the program itself says.")]
    progress_note: str
    cost: Annotated[float, Meta(description="USDC as a number; `cost_usdc` is exact.")]
    cost_usdc: Amount
    error: TaskFailure | None


class TaskView(TaskSummary, frozen=True):
    """A task with everything its owner may know."""

    command: list[str]
    env: dict[str, str]
    inputs: list[InputView]
    depends_on: Annotated[list[str], Meta(description="Tasks that must have completed before.")]
    workflow_id: str | None
    resource_requirements: ResourceRequirements
    regions: list[str]
    constraints: Annotated[str, Meta(description="Its conditions on nodes, as text.")]
    constraint_clauses: Annotated[
        list[Clause], Meta(description="The same as they are signed, in base units.")
    ]
    reveal_wallet: bool
    sealed_bids: bool
    spread: SpreadRequest | None
    avoid: AvoidRequest
    timeout_seconds: int
    queue_timeout_seconds: int
    priority: Priority
    priority_reason: str
    deadline: Time | None
    deadline_policy: Literal["end", "run"] | None
    deadline_met: Annotated[
        bool | None, Meta(description="Null without a deadline, and while it may still be met.")
    ]
    max_price_per_hour: Amount
    max_cost: Annotated[
        Amount,
        Meta(
            description="For the whole time limit at the highest price, of every run that money is "
            "held for."
        ),
    ]
    price_per_hour: Annotated[Amount | None, Meta(description="Agreed with its node.")]
    currency: Literal["USDC"]
    exit_code: int | None
    explanation: Annotated[str | None, Meta(description="Why it waits, while it waits.")]
    sealed: Annotated[bool, Meta(description="It has inputs that only its node can read.")]
    needs_key: Annotated[
        bool, Meta(description="It waits for `POST /tasks/{id}/key`: see `GET` there.")
    ]
    settled: Annotated[bool, Meta(description="The money has moved; the receipt is complete.")]
    verification: VerificationView
    leases: list[LeaseView]
    timeline: list[TimelineView]


class TaskListView(Struct, frozen=True):
    """A page of tasks; ``total`` counts all that match."""

    tasks: list[TaskSummary]
    total: int
    limit: int
    offset: int


class WorkflowTaskView(TaskSummary, frozen=True):
    """A task of a workflow; ``key``: its name there."""

    key: str
    depends_on: list[str]


class WorkflowSummary(Struct, frozen=True):
    """A workflow in a list; ``counts``: status -> how many of its tasks are in it."""

    id: str
    name: str
    status: Annotated[
        TaskStatus,
        Meta(
            description="`failed` when all tasks have ended and one failed; else `cancelled` when one "
            "was cancelled; `completed` when all completed."
        ),
    ]
    created_at: Time
    completed_at: Time | None
    counts: dict[str, int]
    cost_usdc: Annotated[Amount, Meta(description="Of its tasks that have ended.")]


class WorkflowView(WorkflowSummary, frozen=True):
    """A workflow with its tasks, each after those that it depends on."""

    tasks: list[WorkflowTaskView]


class WorkflowListView(Struct, frozen=True):
    """A page of workflows; ``total`` counts all of them."""

    workflows: list[WorkflowSummary]
    total: int
    limit: int
    offset: int


class CancelView(Struct, frozen=True):
    """What DELETE did."""

    id: str
    result: Annotated[
        Literal["cancelled", "cancelling", "deleted"],
        Meta(description="`cancelling`: its node is being told."),
    ]
    status: TaskStatus


class LogView(Struct, frozen=True):
    """A piece of the log; offsets count UTF-8 bytes of the lease's log."""

    task_id: str
    lease_id: str | None
    text: str
    offset: int
    next_offset: int
    total_bytes: int
    complete: Annotated[bool, Meta(description="Nothing will come after ``next_offset``.")]


class ArtifactView(Struct, frozen=True):
    """A stored file; ``created`` is false where it was there already."""

    sha256: str
    size: int
    created: bool


class AttributeView(Struct, frozen=True):
    """Something that constraints may name."""

    name: str
    about: Annotated[str, Meta(description="node, gpu (each one), standing or price.")]
    type: Annotated[str, Meta(examples=["an amount of bytes"])]
    operators: list[str]
    units: Annotated[list[str], Meta(description="In texts; empty where there are none.")]
    base_unit: Annotated[str, Meta(description="What an integer counts in clauses.")]
    example: str
    meaning: str


class AttributeListView(Struct, frozen=True):
    """The attributes of the constraint language."""

    attributes: list[AttributeView]


class GpuView(Struct, frozen=True):
    """A node's GPUs of its first model."""

    model: str
    memory: Annotated[str, Meta(examples=["24GB"])]
    compute_capability: str
    count: int


class NodeView(Struct, frozen=True):
    """A provider's machine as the market knows it."""

    id: Annotated[str, Meta(description="Its libp2p peer id.")]
    status: Literal["online", "offline", "busy"]
    region: str
    capabilities: list[str]
    gpu_info: GpuView | None
    performance_score: Annotated[
        float | None,
        Meta(
            description="0 to 100, from verified work; 50 for a newcomer; null of a node that left."
        ),
    ]
    start_factor: Annotated[
        float | None,
        Meta(
            description="What its word on how soon a job would run is multiplied by in auctions: "
            "its last starts took so many times as long. 1: it is taken at its word."
        ),
    ]
    last_seen: Time | None
    wallet: str
    software: str
    summary: str
    cpu_cores: float
    cpu_cores_free: float
    ram_gb: float
    ram_gb_free: float
    storage_gb: float
    storage_gb_free: float
    gpu_count: int
    gpu_count_free: int
    price_per_hour: Annotated[
        Amount, Meta(description="Its ask for one core, 0.5 GB of memory and no GPU.")
    ]
    accepting: bool
    enforcement: str


class Earnings(Struct, frozen=True):
    """What a node was paid through this coordinator."""

    total: Amount
    currency: Literal["USDC"]
    last_30_days: Amount


class NodeDetailView(NodeView, frozen=True):
    """A node with its record here."""

    owner: Annotated[str, Meta(description="The wallet that owns its provider account.")]
    current_load: Annotated[float, Meta(description="0 to 1: the part of its cores in use.")]
    total_tasks_completed: int
    uptime: Annotated[str, Meta(description="Of its connection.", examples=["15d 8h 32m"])]
    earnings: Earnings


class FindingView(Struct, frozen=True):
    """Something that the coordinator has seen a node do."""

    at: Time
    kind: Annotated[
        str,
        Meta(
            description="verified, refuted, failed, challenge_passed, challenge_failed or "
            "gpu_shared."
        ),
    ]
    outcome: Annotated[str | None, Meta(description="Of a failed run.")]
    reason: str
    remembered: Annotated[float, Meta(description="1 when it happened; halves with time.")]
    effect: Annotated[int, Meta(description="The score less what it would be without this.")]
    scored: Annotated[bool, Meta(description="False: it is recorded and does not count.")]


class ReputationView(Struct, frozen=True):
    """A node's score and what it is made of."""

    node_id: str
    score: Annotated[int, Meta(description="0 to 1000; 0 while it is suspended.")]
    neutral_score: Annotated[int, Meta(description="What a newcomer has.")]
    performance_score: Annotated[float, Meta(description="The same, 0 to 100.")]
    suspended: Annotated[
        bool, Meta(description="Proven wrong twice within a short time: asked for nothing.")
    ]
    stake: Annotated[
        Amount | None, Meta(description="At risk on the chain; null while it is not known.")
    ]
    half_life_days: int
    tasks_completed: int
    verified_share: Annotated[
        float | None, Meta(description="Of its completed runs; null before any.")
    ]
    counts: Annotated[dict[str, int], Meta(description="Findings by kind, forgotten ones too.")]
    findings: Annotated[list[FindingView], Meta(description="Newest first.")]
    total: Annotated[int, Meta(description="Of all findings.")]


class EvidenceView(Struct, frozen=True):
    """A fact about a node's hardware."""

    at: Time
    kind: Annotated[str, Meta(description="gpu_shared: another node offers the same GPU.")]
    details: dict[str, Any]


class EvidenceListView(Struct, frozen=True):
    """Facts about a node's hardware."""

    node_id: str
    evidence: list[EvidenceView]


class CommitmentView(Struct, frozen=True):
    """One day's secret of the spot checks."""

    day: Annotated[str, Meta(description="UTC.", examples=["2026-01-15"])]
    commitment: Annotated[
        str, Meta(description='SHA-256 of "neurogrid spot checks:" and the secret.')
    ]
    secret: Annotated[str | None, Meta(description="Hexadecimal, two days after.")]


class CommitmentListView(Struct, frozen=True):
    """Of the last month and the coming week."""

    days: list[CommitmentView]


class NodeListView(Struct, frozen=True):
    """A page of nodes; ``total`` counts all that match."""

    nodes: list[NodeView]
    total: int
    limit: int
    offset: int


class SurvivorsView(Struct, frozen=True):
    """How many nodes are left after this constraint."""

    constraint: str
    left: int


class NearMissView(Struct, frozen=True):
    """A node that fails few constraints, and how."""

    node_id: str
    reasons: list[str]


class RelaxationStepView(Struct, frozen=True):
    """How many nodes come in when the constraint is this instead."""

    constraint: str
    nodes: int


class RelaxationView(Struct, frozen=True):
    """The one constraint whose removal would let most nodes in, and how far one may go instead."""

    constraint: str
    nodes: int
    steps: Annotated[
        list[RelaxationStepView],
        Meta(description="What it could be instead: the nearest first, or what brings most."),
    ]


class ExplanationView(Struct, frozen=True):
    """How a task would meet the nodes that are connected now."""

    summary: str
    nodes: int
    matching: int
    survivors: Annotated[
        list[SurvivorsView], Meta(description="In the order in which constraints are applied.")
    ]
    nearest: Annotated[list[NearMissView], Meta(description="Fewest misses first.")]
    clearing_price_per_hour: Annotated[
        Amount | None, Meta(description="The lowest ask of nodes that meet all but the price.")
    ]
    relaxation: RelaxationView | None
    declines: dict[str, int]
    max_cost: Annotated[Amount, Meta(description="For the whole time limit at the highest price.")]


class PriceHourView(Struct, frozen=True):
    """One hour's awards, per unit and hour."""

    at: Time
    awards: int
    lowest: Amount
    median: Amount
    highest: Amount


class ClassPricesView(Struct, frozen=True):
    """What awards cleared at, per unit and hour: for a GPU task by GPU, else by core."""

    name: Annotated[
        str, Meta(description="A GPU's model; `cpu` for tasks without one.", examples=["NVIDIA L4"])
    ]
    unit: Literal["GPU", "core"]
    awards: int
    lowest: Amount
    median: Annotated[Amount, Meta(description="Within 3 %, as `high` is.")]
    high: Annotated[Amount, Meta(description="Nine of ten awards were no dearer.")]
    highest: Amount
    start_seconds: Annotated[
        float, Meta(description="Half of the awards expected to start no later.")
    ]
    hours: Annotated[
        list[PriceHourView], Meta(description="Oldest first; only where one class is asked for.")
    ]


class MarketPricesView(Struct, frozen=True):
    """The classes with most awards first, 100 at most."""

    hours: int
    currency: Literal["USDC"]
    classes: list[ClassPricesView]


class RangeView(Struct, frozen=True):
    """What is expected, and where it may come to lie."""

    low: Amount
    expected: Amount
    high: Amount


class EstimateBalanceView(Struct, frozen=True):
    """Whether the account can pay: ``needed`` is held until the task ends."""

    available: Amount
    needed: Amount
    enough: bool


class EstimateView(Struct, frozen=True):
    """What a task would likely cost and when it would start."""

    summary: str
    nodes: Annotated[int, Meta(description="Connected now.")]
    matching: Annotated[int, Meta(description="That could take it now.")]
    suitable: Annotated[
        int, Meta(description="That could take it at some price, now or when they are idle.")
    ]
    price_per_hour: Annotated[
        RangeView | None, Meta(description="Null where no node fits at its maximum.")
    ]
    total: Annotated[RangeView | None, Meta(description="For the whole time limit.")]
    lowest_ask_per_hour: Annotated[
        Amount | None, Meta(description="Also where it is above the maximum.")
    ]
    start_seconds: Annotated[
        float | None, Meta(description="Null where nobody is free, or nothing is known.")
    ]
    max_cost: Annotated[Amount, Meta(description="For the whole time limit at the highest price.")]
    balance: EstimateBalanceView
    history: Annotated[
        ClassPricesView | None, Meta(description="Of such tasks in the last seven days.")
    ]


class BalanceView(Struct, frozen=True):
    """An account's money in USDC.

    ``available`` is what new tasks can spend; ``held`` is promised to tasks without an escrow;
    ``escrowed`` is locked on the chain; ``wallet`` is the owner's own, not deposited;
    ``operator_limit`` is what this coordinator may still open escrows for.
    """

    available: Amount
    held: Amount
    escrowed: Amount
    wallet: Amount
    operator_limit: Amount


class AccountView(Struct, frozen=True):
    """Who the key belongs to, and its money."""

    id: str
    name: str
    wallet: str
    currency: Literal["USDC"]
    balance: BalanceView


class StatusView(Struct, frozen=True):
    """How the coordinator is."""

    status: Literal["ok", "degraded"]
    version: str
    network: str
    market: Annotated[Literal["up", "down"], Meta(description="The process that holds auctions.")]
    nodes: Annotated[int | None, Meta(description="Connected now.")]
    connections: Annotated[
        int, Meta(description="Of nodes and strangers, those in their handshake included.")
    ]
    lease_streams: Annotated[int, Meta(description="Open streams of leases.")]
    refused: Annotated[
        dict[str, int],
        Meta(
            description="Connections refused or cut off since the market process began, by reason."
        ),
    ]
    tasks: dict[str, int]
    differences: Annotated[
        int,
        Meta(description="Between the coordinator's books and the chain, unresolved."),
    ]
    uptime_seconds: int
