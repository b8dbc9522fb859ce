"""Batches and their tasks."""

from datetime import datetime
from decimal import Decimal

from msgspec import Struct, field

from .listed import Listed
from .tasks import ENDED, TaskStatus


class BatchProgress(Struct, frozen=True, kw_only=True):
    """How many tasks of a batch are in each status."""

    total: int
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    pending: int = 0
    running: int = 0

    @property
    def ended(self) -> int:
        """How many have ended."""
        return self.completed + self.failed + self.cancelled


class Batch(Struct, frozen=True, kw_only=True):
    """Many tasks, of which a few at a time are in the market.

    Attributes:
        client_id: its owner's own id for it.
        cost: of its tasks that have ended, USDC; most: what all could cost, each tried once.
        waits_for: what keeps it from going on, in words.
    """

    id: str
    status: TaskStatus
    progress: BatchProgress
    created_at: datetime
    client_id: str | None = None
    name: str = ""
    description: str = ""
    cancelling: bool = False
    cost: Decimal = field(name="cost_usdc", default=Decimal(0))
    most: Decimal = field(name="most_usdc", default=Decimal(0))
    max_cost: Decimal | None = None
    max_concurrency: int = 0
    retries: int = 0
    waits_for: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether all of its tasks have ended."""
        return self.status in ENDED


class BatchPage(Listed[Batch], Struct, frozen=True, kw_only=True):
    """Some of the account's batches; ``total`` counts all that match."""

    batches: list[Batch]
    total: int
    limit: int = 0
    offset: int = 0


class BatchTaskError(Struct, frozen=True, kw_only=True):
    """Why a task of a batch failed or was cancelled."""

    code: str
    message: str


class BatchTask(Struct, frozen=True, kw_only=True):
    """A task of a batch; ``task_id``: of its newest task, None before it has one."""

    id: str
    status: TaskStatus
    phase: str | None = None
    task_id: str | None = None
    node_id: str | None = None
    attempts: int = 0
    cost: Decimal = field(name="cost_usdc", default=Decimal(0))
    error: BatchTaskError | None = None
    completed_at: datetime | None = None


class BatchTaskPage(Listed[BatchTask], Struct, frozen=True, kw_only=True):
    """Some tasks of a batch, in its order; ``total`` counts all that match."""

    batch_id: str
    tasks: list[BatchTask]
    total: int
    limit: int = 0
    offset: int = 0


class BatchEnd(Struct, frozen=True, kw_only=True):
    """What became of a batch that was to go: "cancelled", "cancelling" or "deleted"."""

    id: str
    result: str
    status: TaskStatus
