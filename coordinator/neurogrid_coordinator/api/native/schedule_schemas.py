"""What the native API answers of scheduled tasks: shapes and documentation."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from ...batches.schedule_rules import Missed, Overlap
from .schemas import Amount, Time

RunStatus = Literal["pending", "running", "completed", "failed", "cancelled", "skipped", "dry_run"]


class ScheduleView(Struct, frozen=True):
    """A scheduled task."""

    id: str
    name: str
    schedule: str
    time_zone: str
    is_active: bool
    dry_run: bool
    missed: Missed
    overlap: Overlap
    batch: Annotated[
        dict[str, Any], Meta(description="What each run is; one task is a batch of one.")
    ]
    output_file: str
    output_artifact: bool
    ends_at: Time | None
    last_run: Annotated[Time | None, Meta(description="The last time that was due and run.")]
    next_run: Annotated[Time | None, Meta(description="null where none comes.")]
    created_at: Time


class ScheduleListView(Struct, frozen=True):
    """A page of scheduled tasks; ``total`` counts all that match."""

    scheduled_tasks: list[ScheduleView]
    total: int
    limit: int
    offset: int


class NextRunsView(Struct, frozen=True):
    """When it runs next."""

    id: str
    next_runs: list[Time]


class SchedulePreview(Struct, frozen=True):
    """What a scheduled task would do."""

    next_runs: list[Time]
    tasks: Annotated[int, Meta(description="Each time, by its file as it is now.")]
    most_usdc: Annotated[Amount, Meta(description="What those could cost each time at most.")]


class RunView(Struct, frozen=True):
    """A run of a scheduled task."""

    id: str
    schedule_id: str
    due_at: Time
    by_hand: bool
    status: RunStatus
    batch_id: Annotated[str | None, Meta(description="For `GET /batches/{batch_id}`.")]
    cost_usdc: Annotated[Amount | None, Meta(description="Of its tasks that have ended.")]
    message: Annotated[
        str | None, Meta(description="Why it was skipped or failed; what a dry run would do.")
    ]
    output_sha256: Annotated[str | None, Meta(description="Of its results: an artifact of yours.")]
    started_at: Time | None
    ended_at: Time | None


class RunListView(Struct, frozen=True):
    """A page of runs, the latest first; ``total`` counts those that are remembered."""

    runs: list[RunView]
    total: int
    limit: int
    offset: int


class ScheduleEndView(Struct, frozen=True):
    """What was done: ``result`` is "deleted"."""

    id: str
    result: str
