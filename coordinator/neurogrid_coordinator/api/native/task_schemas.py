"""What the native API answers of tasks: shapes and documentation."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from neurogrid_marketplace.conditions import Clause

from .model_schemas import ModelTaskView
from .network_views import NetworkView
from .operation_schemas import OperationView
from .requests import (
    AvoidRequest,
    CheckpointRequest,
    ComparatorRequest,
    Priority,
    ResourceRequirements,
    SpreadRequest,
)
from .schemas import Amount, TaskKind, TaskStatus, Time


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
    url: Annotated[str | None, Meta(description="Where it was fetched from.")] = None


class ServiceView(Struct, frozen=True):
    """A job that serves."""

    port: int
    health: str
    start_seconds: int
    ready: Annotated[
        bool, Meta(description="Whether it was well when its node looked last, seconds ago.")
    ]


class CheckpointView(Struct, frozen=True):
    """What is kept of a task's work; ``size`` in bytes."""

    sequence: int
    lease_id: Annotated[
        str | None, Meta(description="Whose run has left it; null: the task began from it.")
    ]
    kept_at: Time
    files: int
    size: int
    manifest_sha256: Annotated[str, Meta(description="As its node has signed it.")]


class CheckpointListView(Struct, frozen=True):
    """Those of a task that are kept, oldest first."""

    task_id: str
    checkpoints: list[CheckpointView]


class OutputView(Struct, frozen=True):
    """A file that the job left under /outputs; ``size`` in bytes, ``url`` on this host."""

    path: str
    sha256: str
    size: int
    url: str


class CheckpointFilesView(Struct, frozen=True):
    """The files of one, sorted by path."""

    task_id: str
    checkpoint: CheckpointView
    files: list[OutputView]


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
    resumed_from: Annotated[
        int | None, Meta(description="The checkpoint that its run began from; null: from nothing.")
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
    compares: Annotated[
        list[str],
        Meta(
            description="Of a run of the client's own comparator: the runs whose results it sees."
        ),
    ]
    node_id: str | None
    verdict: Annotated[str | None, Meta(description="agreed, refuted, outvoted or undecided.")]
    cost_usdc: Amount
    error: TaskFailure | None


class VerificationView(Struct, frozen=True):
    """How a task's result is verified, and what came of it."""

    mode: Literal["none", "spot_check", "quorum"]
    runs: Annotated[int, Meta(description="That a quorum began with.")]
    comparator: ComparatorRequest
    verdict: Annotated[
        str | None,
        Meta(
            description="due, pending, agreed, refuted (other runs agree on another result), "
            "outvoted (the same, by the client's own image), undecided, or spared: not drawn for a "
            "check."
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


class GangMemberView(Struct, frozen=True):
    """A member of a gang: a task of its own, with receipt and log, that is in no list."""

    rank: int
    id: Annotated[str, Meta(description="Rank 0's is the task's own.")]
    phase: Annotated[str, Meta(description="waiting: it has no seat now.")]
    node_id: str | None
    progress: float
    cost_usdc: Amount
    error: TaskFailure | None


class GangView(Struct, frozen=True):
    """Nodes that run a task at once."""

    size: int
    apart: Literal["node", "wallet"]
    tries: Annotated[int, Meta(description="How often it may still begin, this attempt included.")]
    attempt: Annotated[int, Meta(description="How often all seats were taken so far.")]
    rank: int
    belongs_to: Annotated[str | None, Meta(description="Of a further rank: rank 0.")]
    members: Annotated[list[GangMemberView], Meta(description="By rank; none before an attempt.")]
    total_cost_usdc: Annotated[Amount, Meta(description="Of all members; `cost` is rank 0's.")]


class TaskSummary(Struct, frozen=True):
    """A task in a list."""

    id: str
    name: str
    kind: Annotated[
        TaskKind,
        Meta(
            description="What was asked for: an image of its own, or a computation or a model by name. A `replica` is a "
            "warm server of a model, which the coordinator keeps; by a `use` a client pays for asking one."
        ),
    ]
    type: Annotated[str, Meta(description="`cpu` or `gpu`; of a model as `text-generation`.")]
    model: Annotated[str | None, Meta(description="Of kind `model`: its id.")]
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

    operation: Annotated[OperationView | None, Meta(description="Of kind `operation`.")]
    model_request: Annotated[ModelTaskView | None, Meta(description="Of kind `model`.")]
    command: list[str]
    env: dict[str, str]
    inputs: list[InputView]
    depends_on: Annotated[list[str], Meta(description="Tasks that must have completed before.")]
    workflow_id: str | None
    execution_of: Annotated[
        str | None, Meta(description="The task that this one is a further execution of.")
    ]
    resource_requirements: ResourceRequirements
    regions: list[str]
    constraints: Annotated[str, Meta(description="Its conditions on nodes, as text.")]
    constraint_clauses: Annotated[
        list[Clause], Meta(description="The same as they are signed, in base units.")
    ]
    reveal_wallet: bool
    sealed_bids: bool
    preemptible: bool
    reclaim_window_seconds: int
    preemptions: Annotated[int, Meta(description="Runs whose node took its machine back.")]
    stops_at: Annotated[
        Time | None, Meta(description="When the run is stopped; null unless it was warned.")
    ]
    checkpoint: CheckpointRequest | None
    checkpoints: Annotated[list[CheckpointView], Meta(description="That are kept, oldest first.")]
    interactive: bool
    service: Annotated[ServiceView | None, Meta(description="Where it listens, if it serves.")]
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
    gang: GangView | None
    network: NetworkView | None
    leases: list[LeaseView]
    timeline: list[TimelineView]


class TaskListView(Struct, frozen=True):
    """A page of tasks; ``total`` counts all that match."""

    tasks: list[TaskSummary]
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


class ArtifactDeleted(Struct, frozen=True):
    """A file that the account no longer has."""

    sha256: str


class ArtifactView(Struct, frozen=True):
    """A stored file; ``created`` is false where it was there already."""

    sha256: str
    size: int
    created: bool
