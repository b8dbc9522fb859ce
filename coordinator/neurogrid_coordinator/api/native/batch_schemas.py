"""What the native API answers of batches: shapes and documentation."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from .schemas import Amount, TaskStatus, Time


class BatchProgress(Struct, frozen=True):
    """How many tasks are in each status; ``pending``: wait here or for a node."""

    total: int
    completed: int
    failed: int
    cancelled: int
    pending: int
    running: int


class BatchView(Struct, frozen=True):
    """A batch."""

    id: str
    client_id: Annotated[str | None, Meta(description="Your own id for it.")]
    name: str
    description: str
    status: Annotated[
        TaskStatus,
        Meta(
            description="`pending`: not started. Ended, it is `failed` when a task failed, else `cancelled` "
            "when one was cancelled, else `completed`."
        ),
    ]
    cancelling: Annotated[bool, Meta(description="Nothing of it begins any more.")]
    progress: BatchProgress
    cost_usdc: Annotated[Amount, Meta(description="Of its tasks that have ended.")]
    most_usdc: Annotated[Amount, Meta(description="What all could cost, each tried once.")]
    max_cost: Annotated[Amount | None, Meta(description="Its budget.")]
    max_concurrency: int
    retries: int
    defaults: dict[str, Any]
    waits_for: Annotated[str | None, Meta(description="What keeps it from going on, in words.")]
    created_at: Time
    started_at: Time | None
    completed_at: Time | None


class BatchListView(Struct, frozen=True):
    """A page of batches; ``total`` counts all that match."""

    batches: list[BatchView]
    total: int
    limit: int
    offset: int


class BatchTaskFailure(Struct, frozen=True):
    """Why it failed or was cancelled."""

    code: str
    message: str


class BatchTaskView(Struct, frozen=True):
    """A task of a batch."""

    id: Annotated[str, Meta(description="Yours; its number where you gave none.")]
    status: TaskStatus
    phase: Annotated[str | None, Meta(description="Of its task; null before it has one.")]
    task_id: Annotated[str | None, Meta(description="For `GET /tasks/{task_id}`: the newest.")]
    node_id: str | None
    attempts: Annotated[int, Meta(description="How many tasks it has had.")]
    cost_usdc: Annotated[Amount, Meta(description="Of all of them that have ended.")]
    error: BatchTaskFailure | None
    completed_at: Time | None


class BatchTaskListView(Struct, frozen=True):
    """A page of a batch's tasks, in its order; ``total`` counts all that match."""

    batch_id: str
    tasks: list[BatchTaskView]
    total: int
    limit: int
    offset: int


class BatchEndView(Struct, frozen=True):
    """What was done: ``result`` is "cancelled", "cancelling" or "deleted"."""

    id: str
    result: str
    status: TaskStatus
