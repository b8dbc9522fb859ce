"""Tasks and their files, logs and events."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct, field

from .listed import Listed
from .network import NetworkInfo

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
        url: where it was fetched from; None for any other.
        sealed: what hash and size are of can be read by the task's node alone.
    """

    path: str
    sha256: str | None = None
    size: int | None = None
    from_task: str | None = None
    output: str | None = None
    url: str | None = None
    sealed: bool = False


class Service(Struct, frozen=True):
    """Where a job listens.

    Attributes:
        health: the path that says whether it is well; "" for none.
        start_seconds: how long it may take to become ready.
        ready: whether it was well when its node looked last.
    """

    port: int
    health: str = ""
    start_seconds: int = 600
    ready: bool = False


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


class CheckpointPlan(Struct, frozen=True, kw_only=True):
    """What is kept of a job's work while it runs.

    Attributes:
        path: of the folder, as the job sees it.
        interval_seconds: of running time between two checkpoints.
        keep: how many are kept, the newest.
    """

    path: str = "/checkpoint"
    interval_seconds: int = 300
    keep: int = 1


class CheckpointInfo(Struct, frozen=True, kw_only=True):
    """A checkpoint that is kept; ``size`` in bytes.

    Attributes:
        sequence: counts those of a task, over all its runs; some numbers are never used.
        lease_id: whose run has left it; None: the task began from it.
    """

    sequence: int
    kept_at: datetime
    files: int
    size: int
    manifest_sha256: str
    lease_id: str | None = None


class LeaseInfo(Struct, frozen=True, kw_only=True):
    """One attempt to run the task on one node.

    Attributes:
        settlement: where its escrow is: none, opening, open, final, releasing, closed.
        paid: what left the account for it, USDC; None until the escrow is closed.
        transaction: signature of the Solana transaction that closed the escrow.
        expected_start_seconds: from the open escrow to a running container, as its bid said.
        started_after_seconds: what that took by the coordinator's clock; None where it can't say.
        resumed_from: the checkpoint that its run began from; None: from nothing.
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
    resumed_from: int | None = None


class TimelineEntry(Struct, frozen=True, kw_only=True):
    """Something that happened to the task."""

    at: datetime
    event: str
    data: dict[str, Any] = {}


class FurtherRun(Struct, frozen=True, kw_only=True):
    """A run that verifies a task: a task of its own that is in no list.

    Attributes:
        compares: of a run of the client's own comparator: the runs whose results it sees.
    """

    id: str
    phase: str
    compares: list[str] = []
    node_id: str | None = None
    verdict: str | None = None
    cost: Decimal = field(name="cost_usdc", default=Decimal(0))
    error: TaskError | None = None


class FileRule(Struct, frozen=True, kw_only=True):
    """Output files that are compared by their numbers; ``format``: None for what the name says."""

    pattern: str
    format: str | None = None


class ComparatorInfo(Struct, frozen=True, kw_only=True):
    """What makes two results the same.

    Attributes:
        relative, absolute: of a numeric one: numbers may differ by so much of their size, or so much.
        files: of a numeric one: the others have to be the same, byte for byte.
        image, command, timeout_seconds: of the client's own image.
    """

    kind: str = "exact"
    relative: str = "0"
    absolute: str = "0"
    files: list[FileRule] | None = None
    image: str | None = None
    command: list[str] = []
    timeout_seconds: int | None = None


class VerificationInfo(Struct, frozen=True, kw_only=True):
    """How a task's result is verified, and what came of it.

    Attributes:
        verdict: due, pending, agreed, refuted (other runs agree on another result), outvoted (the
            same, by the client's own image), undecided, or spared: not drawn for a check; None where nothing is verified.
        result_of: the run whose result the task has, where its own was refuted.
        total_cost: of the task's own run and of all further runs, USDC.
    """

    mode: Literal["none", "spot_check", "quorum"] = "none"
    runs: int = 1
    comparator: ComparatorInfo = ComparatorInfo()
    verdict: str | None = None
    result_of: str | None = None
    belongs_to: str | None = None
    further_runs: list[FurtherRun] = []
    total_cost: Decimal = field(name="total_cost_usdc", default=Decimal(0))


class GangMember(Struct, frozen=True, kw_only=True):
    """A member of a gang: a task of its own that is in no list; rank 0 is the gang's task itself."""

    rank: int
    id: str
    phase: str
    node_id: str | None = None
    progress: float = 0.0
    cost: Decimal = field(name="cost_usdc", default=Decimal(0))
    error: TaskError | None = None


class GangInfo(Struct, frozen=True, kw_only=True):
    """Nodes that run a task at once.

    Attributes:
        tries: how often it may still begin, the present attempt included.
        attempt: how often all seats were taken so far.
        members: by rank; none before the first attempt.
        total_cost: of all members, USDC.
    """

    size: int
    apart: Literal["node", "wallet"] = "node"
    tries: int = 1
    attempt: int = 0
    rank: int = 0
    belongs_to: str | None = None
    members: list[GangMember] = []
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
        preemptible: whether its node may take the machine back; preemptions: how many did.
        reclaim_window_seconds: how long before that it has to warn, at least.
        stops_at: when its run is stopped; None unless it was warned.
        service: where its job listens; None for one that does not serve.
        interactive: whether commands may be run beside it (`Tasks.exec`).
        sealed: whether only its node can read its inputs; needs_key: whether it waits for their key.
        settled: whether the money has moved and the receipt is complete.
        deadline_met: None without a deadline, and while it may still be met.
        depends_on: ids of tasks that must have completed before it.
        workflow_id: the workflow it was submitted with.
        execution_of: the task that it is a further execution of.
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
    execution_of: str | None = None
    resource_requirements: ResourceRequirements | None = None
    constraints: str = ""
    timeout_seconds: int = 0
    priority: str | int = "normal"
    priority_reason: str = ""
    deadline: datetime | None = None
    deadline_policy: str | None = None
    deadline_met: bool | None = None
    preemptible: bool = False
    reclaim_window_seconds: int = 0
    preemptions: int = 0
    stops_at: datetime | None = None
    checkpoint: CheckpointPlan | None = None
    checkpoints: list[CheckpointInfo] = []
    interactive: bool = False
    service: Service | None = None
    sealed: bool = False
    needs_key: bool = False
    settled: bool = False
    verification: VerificationInfo = VerificationInfo()
    gang: GangInfo | None = None
    network: NetworkInfo | None = None
    leases: list[LeaseInfo] = []
    timeline: list[TimelineEntry] = []

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it, but for its payment."""
        return self.status in ENDED


class TaskPage(Listed[Task], Struct, frozen=True, kw_only=True):
    """Some of the account's tasks; ``total`` counts all that match."""

    tasks: list[Task]
    total: int
    limit: int = 0
    offset: int = 0


class UsageNow(Struct, frozen=True, kw_only=True):
    """What comes with a job's progress; ``gpu_usage``: percent, mean of its GPUs."""

    cpu_seconds: float
    memory_bytes: int
    memory_peak_bytes: int
    gpu_usage: float | None = None


class TaskUpdate(Struct, frozen=True, kw_only=True):
    """One event of a task, with what the task looked like after it.

    Attributes:
        type: such as ``task.started``.
        kind: of the task: "container", "operation", "model", "replica", or "use", a lease that pays for asking a model.
        sequence: position in the account's events; a stream resumes after it.
        metrics: with ``task.progress``: what its job uses.
    """

    type: str
    task_id: str
    kind: str = "container"
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
    metrics: UsageNow | None = None

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
