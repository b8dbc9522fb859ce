"""Schedules: batches that run at times."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json

from ..batches.schedule_rules import Cron, InvalidCron, InvalidTimeZone, Missed, Overlap
from ..files.uploads import Uploads, UploadsRefused
from ..store import batches as batch_rows
from ..store import schedules
from ..store.accounts import Account
from ..store.batches import BatchRow
from ..store.database import Database
from ..store.feed import Feed
from ..store.ids import new_id
from ..store.schedules import RunRow, ScheduleOrder, ScheduleRow
from .batch_intake import BatchIntake, BatchWanted
from .batch_tasks import Source
from .errors import (
    Conflict,
    IdempotencyMismatch,
    InvalidRequest,
    InvalidSchedule,
    ScheduleNotFound,
)

LIST_MAX = 100
OF_ACCOUNT_MAX = 100
NEXT_MAX = 100
_TIMES = frozenset({"cron", "time_zone", "ends_at_ms", "is_active"})

# Reads a schedule's template: whose, the template, an idempotency key for the batch.
ReadTemplate = Callable[
    [Account, Mapping[str, Json], str | None], Awaitable[tuple[BatchWanted, Source]]
]


@dataclass(frozen=True, slots=True)
class ScheduleWanted:
    """A schedule, as asked for.

    Attributes:
        template: the request for the batch that each run is.
        output_file: where results are written in the account's folder; "" for nowhere.
        output_artifact: keep them as a file of the account.
        dry_run: say what would run; nothing is started.
    """

    name: str
    cron: str
    template: Mapping[str, Json]
    request_sha256: str
    time_zone: str = "UTC"
    output_file: str = ""
    output_artifact: bool = False
    dry_run: bool = False
    missed: Missed = Missed.ONCE
    overlap: Overlap = Overlap.SKIP
    is_active: bool = True
    ends_at_ms: int | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a schedule would do: when, how many tasks each time, and what those could cost at most."""

    next_runs_ms: tuple[int, ...]
    tasks: int
    most_micro_usdc: int


@dataclass(frozen=True, slots=True)
class SchedulePage:
    """Some schedules; ``total`` counts all that match."""

    schedules: tuple[ScheduleRow, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Run:
    """A run; ``batch``: None where nothing was started, or its batch is gone."""

    row: RunRow
    batch: BatchRow | None


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs of a schedule; ``total`` counts all that are remembered."""

    schedule: ScheduleRow
    runs: tuple[Run, ...]
    total: int


class Schedules:
    """What clients do with schedules.

    Args:
        feed: wakes who runs them (`scheduler`), too.
    """

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        intake: BatchIntake,
        read_template: ReadTemplate,
        uploads: Uploads,
    ) -> None:
        self._database = database
        self._feed = feed
        self._intake = intake
        self._read_template = read_template
        self._uploads = uploads

    async def create(self, account: Account, wanted: ScheduleWanted) -> tuple[ScheduleRow, bool]:
        """Store a schedule; the schedule, and whether it is new. Its batch is looked at as one that is sent now.

        Raises:
            InvalidSchedule, InvalidRequest: a value is wrong, or there are too many.
            NotFound: an artifact that it names is not there.
            IdempotencyMismatch: the key was used for another request.
        """
        repeated = await self._database.read(lambda conn: _repeated(conn, account, wanted))
        if repeated is not None:
            return repeated, False
        await self.preview(account, wanted, 0)
        now_ms = _now_ms()
        row = ScheduleRow(
            id=new_id("sched"),
            account_id=account.id,
            name=wanted.name,
            cron=wanted.cron,
            time_zone=wanted.time_zone,
            template=dict(wanted.template),
            output_file=wanted.output_file,
            output_artifact=wanted.output_artifact,
            dry_run=wanted.dry_run,
            missed=wanted.missed,
            overlap=wanted.overlap,
            is_active=wanted.is_active,
            ends_at_ms=wanted.ends_at_ms,
            next_run_at_ms=_next(wanted, wanted.is_active, now_ms),
            last_run_at_ms=None,
            idempotency_key=wanted.idempotency_key,
            request_sha256=wanted.request_sha256,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
        )

        def write(conn: Connection) -> tuple[ScheduleRow, bool]:
            repeated = _repeated(conn, account, wanted)
            if repeated is not None:
                return repeated, False
            if schedules.count(conn, account.id) >= OF_ACCOUNT_MAX:
                raise InvalidRequest(f"an account has at most {OF_ACCOUNT_MAX} scheduled tasks")
            schedules.insert_new(conn, row)
            return row, True

        return await self._database.write(write)

    async def preview(self, account: Account, wanted: ScheduleWanted, count: int = 5) -> Preview:
        """What it would do; nothing is stored.

        Raises:
            InvalidSchedule, InvalidRequest, NotFound: as `create`.
        """
        _require_times(Cron(wanted.cron, wanted.time_zone))
        self._require_output(wanted.output_file)
        batch, source = await self._read_template(account, wanted.template, None)
        tasks, most = await self._intake.preview(account, batch, source)
        times = Cron(wanted.cron, wanted.time_zone).several_after(
            _now_ms(), count, wanted.ends_at_ms
        )
        return Preview(times, tasks, most)

    async def get(self, account: Account, schedule_id: str) -> ScheduleRow:
        """One schedule of this account.

        Raises:
            ScheduleNotFound: there is none, or it is somebody else's.
        """
        return await self._database.read(lambda conn: _owned(conn, account, schedule_id))

    async def list(
        self,
        account: Account,
        *,
        is_active: bool | None = None,
        text: str | None = None,
        order: ScheduleOrder = ScheduleOrder.AGE,
        descending: bool = True,
        limit: int = 50,
        offset: int = 0,
    ) -> SchedulePage:
        """The account's schedules; ``text``: occurs in the name."""

        def read(conn: Connection) -> SchedulePage:
            rows, total = schedules.list_rows(
                conn,
                account.id,
                is_active=is_active,
                text=text,
                order=order,
                descending=descending,
                limit=min(limit, LIST_MAX),
                offset=offset,
            )
            return SchedulePage(tuple(rows), total)

        return await self._database.read(read)

    async def next_runs(self, account: Account, schedule_id: str, count: int) -> tuple[int, ...]:
        """Its next due times; none where it is not active.

        Raises:
            ScheduleNotFound: see `get`.
        """
        row = await self.get(account, schedule_id)
        if not row.is_active:
            return ()
        return row.times.several_after(_now_ms(), min(count, NEXT_MAX), row.ends_at_ms)

    async def update(
        self, account: Account, schedule_id: str, changes: Mapping[str, Any]
    ) -> ScheduleRow:
        """Change a schedule. What runs goes on as it is.

        Args:
            changes: fields of `ScheduleRow` and their new values.

        Raises:
            ScheduleNotFound: see `get`.
            InvalidSchedule, InvalidRequest, NotFound: as `create`.
        """
        before = await self.get(account, schedule_id)
        after = replace(before, **changes)
        _require_times(after.times)
        self._require_output(after.output_file)
        if "template" in changes:
            batch, source = await self._read_template(account, after.template, None)
            await self._intake.preview(account, batch, source)
        return await self._change(account, schedule_id, changes)

    async def set_active(self, account: Account, schedule_id: str, is_active: bool) -> ScheduleRow:
        """Have it run at its times, or not. What was due while it did not is not made up for.

        Raises:
            ScheduleNotFound: see `get`.
        """
        return await self._change(account, schedule_id, {"is_active": is_active})

    async def _change(
        self, account: Account, schedule_id: str, changes: Mapping[str, Any]
    ) -> ScheduleRow:
        now_ms = _now_ms()

        def write(conn: Connection) -> ScheduleRow:
            row = _locked(conn, account, schedule_id, now_ms)
            changed = replace(row, **changes)
            if any(getattr(row, name) != getattr(changed, name) for name in _TIMES):
                changed = replace(changed, next_run_at_ms=_next(changed, changed.is_active, now_ms))
            if row.is_active and not changed.is_active:
                schedules.end_due(conn, now_ms, "the schedule was disabled", row.id)
            schedules.save(conn, changed)
            return changed

        changed = await self._database.write(write)
        self._feed.notify()
        return changed

    async def delete(self, account: Account, schedule_id: str) -> ScheduleRow:
        """Delete a schedule. Batches that it has started go on, and stay.

        Raises:
            ScheduleNotFound: see `get`.
        """
        now_ms = _now_ms()

        def write(conn: Connection) -> ScheduleRow:
            row = _locked(conn, account, schedule_id, now_ms)
            schedules.end_due(conn, now_ms, "the schedule was deleted", row.id)
            gone = replace(row, is_active=False, next_run_at_ms=None, deleted_at_ms=now_ms)
            schedules.save(conn, gone)
            return gone

        return await self._database.write(write)

    async def run_now(self, account: Account, schedule_id: str) -> Run:
        """Run it once more, now, whether it is active or not.

        Raises:
            ScheduleNotFound: see `get`.
            Conflict: another run was asked for in the same millisecond.
        """
        now_ms = _now_ms()

        def write(conn: Connection) -> Run:
            row = _locked(conn, account, schedule_id, now_ms)
            run = schedules.add_run(conn, row, now_ms, by_hand=True, now_ms=now_ms)
            if run is None:
                raise Conflict("it runs already at this very moment")
            return Run(run, None)

        run = await self._database.write(write)
        self._feed.notify()
        return run

    async def runs(
        self, account: Account, schedule_id: str, *, limit: int = 50, offset: int = 0
    ) -> RunPage:
        """What became of its due times, the latest first.

        Raises:
            ScheduleNotFound: see `get`.
        """

        def read(conn: Connection) -> RunPage:
            row = _owned(conn, account, schedule_id)
            rows, total = schedules.list_runs(
                conn, row.id, limit=min(limit, LIST_MAX), offset=offset
            )
            found = [
                Run(run, batch_rows.get(conn, run.batch_id) if run.batch_id else None)
                for run in rows
            ]
            return RunPage(row, tuple(found), total)

        return await self._database.read(read)

    def _require_output(self, path: str) -> None:
        if not path:
            return
        try:
            self._uploads.check_writable(path)
        except UploadsRefused as error:
            raise InvalidRequest(f"output_file: {error}", "output_file") from error


def _require_times(times: Cron) -> None:
    try:
        times.check()
    except InvalidTimeZone as error:
        raise InvalidRequest(f"time_zone: {error}", "time_zone") from error
    except InvalidCron as error:
        raise InvalidSchedule(f"schedule: {error}", "schedule") from error


def _next(row: ScheduleRow | ScheduleWanted, is_active: bool, now_ms: int) -> int | None:
    if not is_active:
        return None
    return Cron(row.cron, row.time_zone).after(now_ms, row.ends_at_ms)


def _repeated(conn: Connection, account: Account, wanted: ScheduleWanted) -> ScheduleRow | None:
    key = wanted.idempotency_key
    row = schedules.by_idempotency_key(conn, account.id, key) if key is not None else None
    if row is not None and row.request_sha256 != wanted.request_sha256:
        raise IdempotencyMismatch(
            f"the idempotency key {key!r} was used for scheduled task {row.id}, which was another request"
        )
    return row


def _owned(conn: Connection, account: Account, schedule_id: str) -> ScheduleRow:
    row = schedules.get(conn, schedule_id, account.id)
    if row is None:
        raise ScheduleNotFound(schedule_id)
    return row


def _locked(conn: Connection, account: Account, schedule_id: str, now_ms: int) -> ScheduleRow:
    row = schedules.lock(conn, _owned(conn, account, schedule_id).id, now_ms)
    if row is None or row.deleted_at_ms is not None:
        raise ScheduleNotFound(schedule_id)
    return row


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
