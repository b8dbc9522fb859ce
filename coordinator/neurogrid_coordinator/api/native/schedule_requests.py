"""What the native API takes of scheduled tasks."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from neurogrid_marketplace.canonical import Json

from ...batches.schedule_rules import Missed, Overlap
from ...services.batch_intake import BatchWanted
from ...services.batch_tasks import Source
from ...services.errors import InvalidRequest
from ...services.schedules import ScheduleWanted
from ...store.accounts import Account
from .batch_requests import BatchRequest
from .batch_sources import BatchSources, batch_wanted

Name = Annotated[str, Meta(min_length=1, max_length=200, examples=["Daily report"])]
CronText = Annotated[
    str,
    Meta(
        max_length=200,
        description="Minute, hour, day of the month, month, day of the week, as cron has them.",
        examples=["0 9 * * MON-FRI"],
    ),
]
ZoneName = Annotated[
    str, Meta(max_length=80, description="Of the IANA database.", examples=["Europe/Berlin"])
]
OneTask = Annotated[
    dict[str, Any], Meta(description="Fields of `POST /tasks`: one task each time.")
]
OutputFile = Annotated[
    str,
    Meta(
        max_length=1024,
        description="Where each run's results are written as CSV, in your folder on the coordinator, if its "
        "operator lets you; the newest takes the place of the one before.",
    ),
]
EndsAt = Annotated[datetime, Meta(tz=True, description="Nothing runs after it.")]
MissedPolicy = Annotated[
    Missed,
    Meta(
        description="What becomes of times that passed while the coordinator was away: none, the last one, or "
        "all (at most 100) are made up for."
    ),
]
OverlapPolicy = Annotated[
    Overlap,
    Meta(description="What becomes of a run that is due while an earlier one has not ended."),
]


class ScheduleRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """One task, or a batch, that is run again and again."""

    name: Name
    schedule: CronText
    time_zone: ZoneName = "UTC"
    task: OneTask | None = None
    batch: Annotated[
        BatchRequest | None,
        Meta(description="As for `POST /batches`; its file is read anew each time."),
    ] = None
    output_file: OutputFile = ""
    output_artifact: Annotated[
        bool, Meta(description="Keep each run's results as CSV among your artifacts.")
    ] = False
    dry_run: Annotated[
        bool, Meta(description="Say in the history what would have run; nothing is started.")
    ] = False
    missed: MissedPolicy = Missed.ONCE
    overlap: OverlapPolicy = Overlap.SKIP
    is_active: bool = True
    ends_at: EndsAt | None = None


class SchedulePatch(Struct, frozen=True, forbid_unknown_fields=True):
    """What is changed; the rest stays."""

    name: Name | UnsetType = UNSET
    schedule: CronText | UnsetType = UNSET
    time_zone: ZoneName | UnsetType = UNSET
    task: OneTask | UnsetType = UNSET
    batch: BatchRequest | UnsetType = UNSET
    output_file: OutputFile | UnsetType = UNSET
    output_artifact: bool | UnsetType = UNSET
    dry_run: bool | UnsetType = UNSET
    missed: MissedPolicy | UnsetType = UNSET
    overlap: OverlapPolicy | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    ends_at: EndsAt | UnsetType | None = UNSET


def schedule_wanted(body: ScheduleRequest, key: str | None = None) -> ScheduleWanted:
    """The request in the product's terms.

    Raises:
        InvalidRequest: it has neither a task nor a batch, or both; or a batch with an id of its own.
    """
    if (body.task is None) == (body.batch is None):
        raise InvalidRequest("task: needs one of task and batch", "task")
    return ScheduleWanted(
        name=body.name,
        cron=body.schedule,
        time_zone=body.time_zone,
        template=_template(body.task, body.batch),
        request_sha256=hashlib.sha256(msgspec.json.encode(body, order="sorted")).hexdigest(),
        output_file=body.output_file,
        output_artifact=body.output_artifact,
        dry_run=body.dry_run,
        missed=body.missed,
        overlap=body.overlap,
        is_active=body.is_active,
        ends_at_ms=None if body.ends_at is None else _unix_ms(body.ends_at),
        idempotency_key=key,
    )


def changes_wanted(body: SchedulePatch) -> dict[str, Any]:
    """Fields of a stored schedule and their new values.

    Raises:
        InvalidRequest: as `schedule_wanted`.
    """
    given = {
        name: value
        for name in body.__struct_fields__
        if (value := getattr(body, name)) is not UNSET
    }
    task, batch = given.pop("task", None), given.pop("batch", None)
    if task is not None and batch is not None:
        raise InvalidRequest("task: needs one of task and batch", "task")
    if task is not None or batch is not None:
        given["template"] = _template(task, batch)
    if "schedule" in given:
        given["cron"] = given.pop("schedule")
    if "ends_at" in given:
        ends_at = given.pop("ends_at")
        given["ends_at_ms"] = None if ends_at is None else _unix_ms(ends_at)
    return given


class Templates:
    """Reads the batches that stored schedules stand for."""

    def __init__(self, sources: BatchSources) -> None:
        self._sources = sources

    async def read(
        self, account: Account, template: Mapping[str, Json], key: str | None
    ) -> tuple[BatchWanted, Source]:
        """The batch, and where its tasks come from now.

        Raises:
            InvalidRequest, NotFound: see `BatchSources.of`.
        """
        body = msgspec.convert(template, BatchRequest)
        place = "batch." if body.tasks is None or len(body.tasks) != 1 else ""
        return batch_wanted(body, key, place), await self._sources.of(account, body, place)


def _template(task: dict[str, Any] | None, batch: BatchRequest | None) -> dict[str, Json]:
    if batch is not None and (batch.id is not None or not batch.execute):
        raise InvalidRequest("batch: each run has another id, and is started", "batch.id")
    body = batch if batch is not None else BatchRequest(tasks=(task or {},))
    made: dict[str, Json] = msgspec.to_builtins(body)
    return {name: value for name, value in made.items() if value is not None}


def _unix_ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
