"""What document 000 takes and answers of tasks: shapes and documentation."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from neurogrid_marketplace.demand import MAX_TIMEOUT_S
from neurogrid_marketplace.model_catalogue import ModelName
from neurogrid_marketplace.needs import MAX_NEEDS

from ...batches.batch_rules import CONCURRENCY, CONCURRENCY_MAX
from ..native.model_schemas import Prompt
from ..native.schemas import Time

BATCH_TASKS_MAX = 1000
_Level = Annotated[int, Meta(ge=1, le=10)]
_Timeout = Annotated[
    float,
    Meta(
        ge=1000,
        le=1000 * MAX_TIMEOUT_S,
        description="Milliseconds: the longest it may run; the catalogue's, if left out.",
    ),
]
_TaskId = Annotated[str, Meta(pattern=r"^task_[0-9a-f]{32}\Z")]
BOLT_TASK_RULES = {
    "model": "the id of a model, see GET /api/v1/models",
    "options.dependencies[]": "a task's id",
    "tasks[].model": "the id of a model, see GET /api/v1/models",
    "tasks[].options.dependencies[]": "a task's id",
}


class BoltPriority(Struct, frozen=True, forbid_unknown_fields=True):
    """How urgent it is, and why. ``level`` goes before `priority`."""

    level: _Level | None = None
    reason: Annotated[str, Meta(max_length=500, description="For people; kept and shown.")] = ""
    deadline: Annotated[
        Annotated[datetime, Meta(tz=None)] | None,
        Meta(
            description="When it has to have ended, UTC where it names no zone; it is not begun where that can't be "
            "kept any more.",
            examples=["2030-01-15T10:30:00Z"],
        ),
    ] = None


class BoltOptions(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How it is carried out."""

    quality: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(
            description="Of text: 1 always takes the likeliest token (`temperature` is 1 less this). Of images: 40 "
            "steps at 1. Others have one quality. The model's own, if left out."
        ),
    ] = None
    timeout: _Timeout | None = None
    dependencies: Annotated[
        tuple[_TaskId, ...],
        Meta(max_length=MAX_NEEDS, description="Tasks that must have completed before."),
    ] = ()
    custom_priority: BoltPriority = BoltPriority()


class BoltTaskRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A request to a model."""

    model: Annotated[
        ModelName, Meta(description="Its id or an alias; `GET /api/v1/models` lists them.")
    ]
    input: Annotated[
        Prompt,
        Meta(
            min_length=1,
            description="The prompt; of an embedding the text; of speech the SHA-256 of an artifact with the recording.",
        ),
    ]
    priority: Annotated[_Level, Meta(description="10 is the most urgent.")] = 5
    options: BoltOptions = BoltOptions()


class BoltBatchOptions(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How a batch is carried out."""

    parallel: Annotated[bool, Meta(description="false: one after the other.")] = True
    max_concurrent: Annotated[
        int, Meta(ge=1, le=CONCURRENCY_MAX, description="So many may wait or run at a time.")
    ] = CONCURRENCY
    timeout_per_task: Annotated[
        _Timeout | None, Meta(description="Milliseconds, of tasks that say nothing themselves.")
    ] = None


class BoltBatchRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Requests to models, sent together."""

    tasks: Annotated[tuple[BoltTaskRequest, ...], Meta(min_length=1, max_length=BATCH_TASKS_MAX)]
    batch_options: BoltBatchOptions = BoltBatchOptions()


class BoltBatch(Struct, frozen=True, rename="camel"):
    """A batch that is stored."""

    batch_id: Annotated[str, Meta(description="For `GET /api/v1/batches/{batch_id}`.")]
    task_ids: Annotated[
        list[str],
        Meta(description="Of its tasks, in their order: good at once, before their turn comes."),
    ]
    total: int
    status: Literal["pending", "running", "complete", "error"]


class BoltPrediction(Struct, frozen=True, rename="camel"):
    """What is still to come."""

    time_remaining: Annotated[float, Meta(description="Seconds.")]
    resource_needed: Annotated[int, Meta(description="Bytes of memory.")]


class BoltMetrics(Struct, frozen=True, rename="camel"):
    """As in `TaskProgress` (docs/events.md)."""

    quality: Annotated[float, Meta(description="The score of its node, 0 to 1.")]
    latency: Annotated[int, Meta(description="Milliseconds from submission to start.")]
    resource_usage: Annotated[float, Meta(description="Most memory of what it asked for.")]
    prediction: BoltPrediction


class BoltFailure(Struct, frozen=True):
    """Why there is no result."""

    code: str
    message: str


class BoltProgress(Struct, frozen=True, rename="camel"):
    """Where a task is: `TaskProgress`, and `pending` before it has begun."""

    task_id: str
    model: Annotated[str | None, Meta(description="As it was asked for; null: it asks none.")]
    status: Literal["pending", "running", "complete", "error"]
    progress: Annotated[float, Meta(description="0 to 100, as its program says.")]
    metrics: BoltMetrics
    priority: int
    error: BoltFailure | None
    created_at: Time
    started_at: Time | None
    completed_at: Annotated[Time | None, Meta(description="When it ended, however it ended.")]


class BoltTask(BoltProgress, frozen=True, rename="camel"):
    """A task with what came of it."""

    result: Annotated[
        str | None,
        Meta(
            description="The text; of an image its path on this host; of an embedding its numbers as JSON. Null before "
            "it is complete, and of a task that asks no model."
        ),
    ]
    tokens_used: Annotated[
        int | None, Meta(description="Read and written, by its program's word; of text.")
    ]


class BoltStatuses(Struct, frozen=True, rename="camel"):
    """Where tasks are, in the order in which they were asked for."""

    statuses: list[BoltProgress]
    not_found: Annotated[list[str], Meta(description="Ids that are no tasks, or somebody else's.")]
