"""Schedules, which the API calls scheduled tasks, and their runs."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct, field

from .listed import Listed

RunStatus = Literal["pending", "running", "completed", "failed", "cancelled", "skipped", "dry_run"]


class Schedule(Struct, frozen=True, kw_only=True):
    """A task or a batch that is run again and again; ``batch``: what each run is."""

    id: str
    name: str
    schedule: str
    time_zone: str
    is_active: bool
    created_at: datetime
    dry_run: bool = False
    missed: str = ""
    overlap: str = ""
    batch: dict[str, Any] = {}
    output_file: str = ""
    output_artifact: bool = False
    ends_at: datetime | None = None
    last_run: datetime | None = None
    next_run: datetime | None = None


class SchedulePage(Listed[Schedule], Struct, frozen=True, kw_only=True):
    """Some of the account's schedules; ``total`` counts all that match."""

    scheduled_tasks: list[Schedule]
    total: int
    limit: int = 0
    offset: int = 0


class SchedulePreview(Struct, frozen=True, kw_only=True):
    """What a schedule would do; ``most``: what its tasks could cost each time, USDC."""

    next_runs: list[datetime]
    tasks: int
    most: Decimal = field(name="most_usdc")


class NextRuns(Struct, frozen=True, kw_only=True):
    """When a schedule runs next."""

    id: str
    next_runs: list[datetime]


class ScheduleRun(Struct, frozen=True, kw_only=True):
    """A run of a schedule; ``message``: why it was skipped or failed, or what a dry run would do."""

    id: str
    schedule_id: str
    due_at: datetime
    status: RunStatus
    by_hand: bool = False
    batch_id: str | None = None
    cost: Decimal | None = field(name="cost_usdc", default=None)
    message: str | None = None
    output_sha256: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


class ScheduleRunPage(Listed[ScheduleRun], Struct, frozen=True, kw_only=True):
    """Some runs of a schedule, the latest first; ``total`` counts those that are remembered."""

    runs: list[ScheduleRun]
    total: int
    limit: int = 0
    offset: int = 0


class ScheduleEnd(Struct, frozen=True, kw_only=True):
    """A schedule that was deleted."""

    id: str
    result: str
