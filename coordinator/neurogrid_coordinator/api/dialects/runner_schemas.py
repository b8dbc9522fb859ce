"""What document 001 takes and answers: shapes and documentation."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from neurogrid_marketplace.model_requests import PROMPT_CHARS_MAX

from ...batches.batch_rules import CONCURRENCY, CONCURRENCY_MAX, RETRIES_MAX
from ...services.named_tasks import CLIENT_ID_CHARS_MAX
from ..native.schedule_requests import CronText
from ..native.schemas import TaskStatus, Time
from .runner_form import RunnerPagination

TASKS_MAX = 10_000
_MESSAGES_MAX = 1000

_OwnId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=CLIENT_ID_CHARS_MAX,
        description="Yours, once in your account; without a slash.",
        examples=["task-001"],
    ),
]
_Prompt = Annotated[str, Meta(min_length=1, max_length=PROMPT_CHARS_MAX)]
_Model = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="An id or alias of `GET /api/v1/models`; of type text.",
        examples=["gpt-4"],
    ),
]
_Temperature = Annotated[float, Meta(ge=0, le=2)]
_MaxTokens = Annotated[int, Meta(ge=1, le=8192)]
_Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=200)], Any],
    Meta(max_length=100, description="Kept and shown; 16 KiB at most."),
]
_Path = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1024,
        description="In your account's folder on the coordinator; a slash at its beginning is that folder.",
    ),
]
_Share = Annotated[float, Meta(ge=0, le=1)]


class RunnerMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """A turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Meta(max_length=PROMPT_CHARS_MAX)]


class RunnerAsked(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What a model is asked; of both `prompt` and `messages`, the prompt is one of the messages."""

    prompt: _Prompt | None = None
    messages: Annotated[
        tuple[RunnerMessage, ...],
        Meta(max_length=_MESSAGES_MAX, description="Instead of a prompt."),
    ] = ()
    model: _Model | None = None
    temperature: _Temperature | None = None
    max_tokens: _MaxTokens | None = None


class RunnerTask(
    RunnerAsked, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True
):
    """A task."""

    id: _OwnId | None = None
    metadata: _Metadata = {}
    batch_id: Annotated[
        _OwnId | None,
        Meta(description="A word of yours to find it by; it joins no batch of `POST /batches`."),
    ] = None
    idempotency_key: Annotated[
        Annotated[str, Meta(min_length=1, max_length=255)] | None,
        Meta(description="Sent again with it, a request makes no second task."),
    ] = None


class RunnerTaskPatch(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What is changed; the rest stays."""

    prompt: _Prompt | UnsetType = UNSET
    messages: tuple[RunnerMessage, ...] | UnsetType = UNSET
    model: _Model | UnsetType = UNSET
    temperature: _Temperature | UnsetType = UNSET
    max_tokens: _MaxTokens | UnsetType = UNSET
    metadata: Annotated[
        _Metadata | UnsetType, Meta(description="Beside what there is; null takes a name out.")
    ] = UNSET


class RunnerBatchTask(
    RunnerAsked, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True
):
    """A task of a batch; what it does not say, `config` does."""

    id: _OwnId | None = None


class RunnerConfig(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Of every task that does not say otherwise, and how they are run."""

    model: _Model | None = None
    temperature: _Temperature | None = None
    max_tokens: _MaxTokens | None = None
    max_concurrency: Annotated[
        int, Meta(ge=1, le=CONCURRENCY_MAX, description="How many may wait or run at a time.")
    ] = CONCURRENCY
    max_retries: Annotated[int, Meta(ge=0, le=RETRIES_MAX, description="Of a task that fails.")] = 0


class RunnerBatch(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Tasks, in the request or as a CSV file."""

    id: _OwnId | None = None
    name: Annotated[str, Meta(max_length=200)] = ""
    description: Annotated[str, Meta(max_length=2000)] = ""
    tasks: (
        Annotated[tuple[RunnerBatchTask, ...], Meta(min_length=1, max_length=TASKS_MAX)] | None
    ) = None
    input_file: _Path | None = None
    config: RunnerConfig = RunnerConfig()


class RunnerSchedule(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A batch that runs by cron."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    schedule: CronText
    input_file: _Path
    output_file: Annotated[str, Meta(max_length=1024)] = ""
    is_dry_run: bool = False
    is_active: bool = True
    config: RunnerConfig = RunnerConfig()


class RunnerConfigPatch(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What is changed of a `RunnerConfig`; the rest stays. null: as if it had not been said."""

    model: _Model | UnsetType | None = UNSET
    temperature: _Temperature | UnsetType | None = UNSET
    max_tokens: _MaxTokens | UnsetType | None = UNSET
    max_concurrency: Annotated[int, Meta(ge=1, le=CONCURRENCY_MAX)] | UnsetType = UNSET
    max_retries: Annotated[int, Meta(ge=0, le=RETRIES_MAX)] | UnsetType = UNSET


class RunnerSchedulePatch(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What is changed; the rest stays."""

    name: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    schedule: CronText | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    is_dry_run: bool | UnsetType = UNSET
    input_file: _Path | UnsetType = UNSET
    output_file: Annotated[str, Meta(max_length=1024)] | UnsetType = UNSET
    config: RunnerConfigPatch | UnsetType = UNSET


class RunnerUsage(Struct, frozen=True, rename="camel"):
    """In the model's own tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class RunnerResult(Struct, frozen=True, rename="camel"):
    """What the model answered."""

    content: str
    usage: RunnerUsage
    finish_reason: str


class RunnerFailure(Struct, frozen=True):
    """Why it failed or was cancelled."""

    code: str
    message: str


class RunnerTaskMade(Struct, frozen=True, rename="camel"):
    """A task that was stored."""

    id: str
    status: TaskStatus
    created_at: Time


class RunnerTaskView(Struct, frozen=True, rename="camel"):
    """A task."""

    id: str
    prompt: Annotated[str | None, Meta(description="Of messages, the last of the user's.")]
    messages: list[RunnerMessage] | None
    model: str | None
    temperature: float | None
    max_tokens: int | None
    status: TaskStatus
    result: Annotated[
        RunnerResult | None, Meta(description="Of the last execution, once completed.")
    ]
    error: RunnerFailure | None
    metadata: dict[str, Any]
    batch_id: str | None
    executions: Annotated[int, Meta(description="How many tasks it has had.")]
    execution_id: Annotated[
        str | None, Meta(description="The newest, for `GET /api/v1/tasks/{task_id}`.")
    ]
    cost: Annotated[str, Meta(description="USDC, of the newest.")]
    created_at: Time
    updated_at: Time
    started_at: Time | None
    completed_at: Time | None


class RunnerTaskLine(Struct, frozen=True, rename="camel"):
    """A task in a list."""

    id: str
    status: TaskStatus
    batch_id: str | None
    execution_id: str | None
    created_at: Time
    completed_at: Time | None


class RunnerTaskList(Struct, frozen=True):
    """A page of tasks."""

    tasks: list[RunnerTaskLine]
    pagination: RunnerPagination


class RunnerExecution(Struct, frozen=True, rename="camel"):
    """An execution; "running": it waits for a node, or has one."""

    execution_id: str
    status: Literal["running", "completed", "failed", "cancelled"]


class RunnerDeleted(Struct, frozen=True):
    """What is gone."""

    id: str


class RunnerBatchMade(Struct, frozen=True, rename="camel"):
    """A batch that was stored; it waits for `execute`."""

    id: str
    status: TaskStatus
    task_count: int
    created_at: Time


class RunnerProgress(Struct, frozen=True):
    """How many tasks are where."""

    total: int
    completed: int
    failed: int
    pending: int
    running: int
    cancelled: int


class RunnerBatchTaskView(Struct, frozen=True, rename="camel"):
    """A task of a batch."""

    id: str
    status: TaskStatus
    result: Annotated[str | None, Meta(description="The text that the model wrote.")]
    error: RunnerFailure | None
    execution_id: str | None


class RunnerBatchView(Struct, frozen=True, rename="camel"):
    """A batch; `tasks` is a page of them."""

    id: str
    name: str
    description: str
    status: TaskStatus
    progress: RunnerProgress
    tasks: list[RunnerBatchTaskView]
    pagination: RunnerPagination
    cost: Annotated[str, Meta(description="USDC, of the tasks that have ended.")]
    created_at: Time
    started_at: Time | None
    completed_at: Time | None


class RunnerScheduleView(Struct, frozen=True, rename="camel"):
    """A scheduled task."""

    id: str
    name: str
    schedule: Annotated[str, Meta(description="By UTC, unless it was made natively.")]
    is_active: bool
    is_dry_run: bool
    input_file: str | None
    output_file: str | None
    created_at: Time
    last_run: Time | None
    next_run: Time | None


class RunnerScheduleList(Struct, frozen=True):
    """A page of scheduled tasks."""

    tasks: list[RunnerScheduleView]
    pagination: RunnerPagination


class RunnerCounts(Struct, frozen=True):
    """Your tasks, by status."""

    total: int
    completed: int
    failed: int
    pending: int
    running: int
    cancelled: int


class RunnerPerformance(Struct, frozen=True, rename="camel"):
    """Of tasks that ended in the last 24 hours: seconds from start to end, completed of completed and failed,
    and how many ended in a minute."""

    average_execution_time: float
    success_rate: _Share
    throughput: float


class RunnerSystem(Struct, frozen=True, rename="camel"):
    """The coordinator's machine."""

    cpu_usage: _Share
    memory_usage: _Share
    active_connections: int


class RunnerMetrics(Struct, frozen=True):
    """Your tasks, and the machine that serves you."""

    tasks: RunnerCounts
    performance: RunnerPerformance
    system: RunnerSystem


class RunnerTaskMetrics(Struct, frozen=True, rename="camel"):
    """Of your tasks that ended within the period."""

    period: Literal["hour", "day", "week", "month"]
    status: str | None
    model: str | None
    total: int
    completed: int
    failed: int
    cancelled: int
    average_execution_time: float
    average_wait_time: float
    success_rate: _Share
    throughput: float
    total_cost: Annotated[float, Meta(description="USDC.")]


class RunnerStatus(Struct, frozen=True, rename="camel"):
    """How the coordinator is."""

    status: Literal["healthy", "degraded", "unhealthy"]
    version: str
    uptime: Annotated[int, Meta(description="Seconds.")]
    services: Annotated[
        dict[str, str], Meta(description="`openai` is the market, whose nodes compute the models.")
    ]
    last_health_check: Time


class RunnerServiceStatus(Struct, frozen=True):
    """How a part is."""

    service: str
    status: Literal["healthy", "degraded", "unhealthy"]
    details: dict[str, Any]
