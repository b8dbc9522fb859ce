"""Runs schedules: the asyncio shell around `schedule_rules`.

That a due time has come is one transaction: its run is stored and the schedule looks ahead. A run's batch is
made with the run's id as its idempotency key. So there is one run for a due time and one batch for a run,
whoever is killed when, and however many coordinators look.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import copyfileobj

from sqlalchemy import Connection

from neurogrid_marketplace.money import format_usdc

from ..files.artifacts import BlobStore, DiskFull, StoreUnavailable
from ..files.uploads import Uploads, UploadsRefused
from ..services.artifacts import Artifacts, Upload
from ..services.batch_intake import BatchIntake
from ..services.errors import Refused, Unavailable
from ..services.pulse import Pulse
from ..services.schedules import ReadTemplate
from ..store import accounts, batches, schedules
from ..store.accounts import Account
from ..store.database import Database, Overloaded
from ..store.feed import Feed
from ..store.schedules import RunRow, ScheduleRow
from .batch_rules import ENDED, BatchState
from .schedule_rules import Begin, InvalidCron, RunState, begin, due

_log = logging.getLogger(__name__)

LOOK_S = 1.0
_PAUSE_S = 0.2
# Schedules that are found due, and runs that are looked at, in one look.
_AT_ONCE = 200
# A clock that was set back by more than this: what was ahead of it is looked for anew.
_SET_BACK_MS = 5000
_NOTE_CHARS_MAX = 1000
_END_OF_BATCH: Mapping[BatchState, RunState] = {
    BatchState.COMPLETED: RunState.COMPLETED,
    BatchState.FAILED: RunState.FAILED,
    BatchState.CANCELLED: RunState.CANCELLED,
}

# What became of a batch's tasks, as the bytes of a CSV file.
Results = Callable[[Account, str], AsyncGenerator[bytes]]


class Scheduler:
    """Every schedule, and every run that has not ended.

    Args:
        read_template: the batch that a run is.
        results: of a batch, for who wants them as a file.
    """

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        intake: BatchIntake,
        read_template: ReadTemplate,
        results: Results,
        artifacts: Artifacts,
        blobs: BlobStore,
        uploads: Uploads,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._feed = feed
        self._intake = intake
        self._read_template = read_template
        self._results = results
        self._artifacts = artifacts
        self._blobs = blobs
        self._uploads = uploads
        self._now_ms = now_ms
        self._ahead_ms: float | None = None
        self.pulse = Pulse()

    async def run(self) -> None:
        """Run schedules for ever; cancel it to stop."""
        async with self._feed.subscribe() as changed:
            while True:
                try:
                    await self.watch_clock(time.monotonic() * 1000)
                    await self.look()
                    self.pulse.beat()
                except Overloaded as error:
                    _log.debug("schedules wait: %s", error)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await changed.wait()
                await asyncio.sleep(_PAUSE_S)

    async def watch_clock(self, monotonic_ms: float) -> None:
        """Where the clock was set back, no schedule waits for what was ahead of it."""
        ahead_ms = self._now_ms() - monotonic_ms
        set_back = self._ahead_ms is not None and ahead_ms < self._ahead_ms - _SET_BACK_MS
        self._ahead_ms = ahead_ms
        if set_back:
            _log.warning("the clock was set back: schedules look ahead anew")
            await self._database.write(look_ahead, self._now_ms())

    async def look(self) -> None:
        """Find what is due, start it, and see what has ended."""
        if await self._database.read_briefly(schedules.are_idle, self._now_ms()):
            return
        for schedule_id in await self._database.read(schedules.due, self._now_ms(), _AT_ONCE):
            await self._database.write(_fire, schedule_id, self._now_ms())
        for run in await self._database.read(schedules.open_runs, _AT_ONCE):
            try:
                if run.state is RunState.DUE:
                    await self._start(run)
                else:
                    await self._follow(run)
            except Overloaded:
                raise
            except (Unavailable, StoreUnavailable, DiskFull) as error:
                _log.debug("run %s waits: %s", run.id, error)
            except Exception:  # noqa: BLE001 - the boundary of one run: the others go on
                _log.exception("run %s of %s", run.id, run.schedule_id)

    async def _start(self, run: RunRow) -> None:
        found = await self._database.read(_of_run, run)
        if found is None:
            return
        schedule, account, what = found
        if what is Begin.WAIT:
            return
        if what is Begin.SKIP:
            await self._end(run, RunState.SKIPPED, "an earlier run had not ended")
            return
        try:
            wanted, source = await self._read_template(
                account, schedule.template, f"scheduled-run:{run.id}"
            )
            if schedule.dry_run:
                tasks, most = await self._intake.preview(account, wanted, source)
                would = f"would have run {tasks} tasks for at most {format_usdc(most)} USDC"
                await self._end(run, RunState.DRY, would)
                return
            due_at = datetime.fromtimestamp(run.due_at_ms / 1000, UTC).isoformat("T", "seconds")
            wanted = replace(
                wanted,
                client_id=None,
                execute=True,
                name=f"{schedule.name[:170]} {due_at}",
                # The same run is the same batch, also if its template was changed before a kill was noticed.
                request_sha256=run.id,
            )
            batch, _ = await self._intake.create(account, wanted, source)
        except Unavailable:
            raise
        except Refused as error:
            await self._end(run, RunState.FAILED, error.message)
            return
        await self._database.write(schedules.started, run.id, batch.row.id, self._now_ms())

    async def _follow(self, run: RunRow) -> None:
        assert run.batch_id is not None, "it was started"
        batch = await self._database.read(batches.get, run.batch_id)
        if batch is None or batch.deleted_at_ms is not None:
            await self._end(run, RunState.CANCELLED, "its batch was deleted")
            return
        if batch.state not in ENDED:
            return
        schedule = await self._database.read(schedules.get, run.schedule_id)
        account = await self._database.read(accounts.get, run.account_id)
        assert schedule is not None, "a run refers to its schedule"
        assert account is not None, "a run refers to its account"
        note, sha256 = "", None
        if schedule.output_artifact or schedule.output_file:
            note, sha256 = await self._write_results(schedule, account, batch.id)
        await self._end(run, _END_OF_BATCH[batch.state], note, sha256)

    async def _write_results(
        self, schedule: ScheduleRow, account: Account, batch_id: str
    ) -> tuple[str, str | None]:
        """Keep the results as a file; what went wrong, and its SHA-256. Doing it twice changes nothing."""
        try:
            upload = Upload(None, self._results(account, batch_id))
            sha256 = (await self._artifacts.put(account, upload)).sha256
            if schedule.output_file:
                async with self._blobs.file(sha256) as path:
                    await asyncio.to_thread(self._copy_out, account.id, schedule.output_file, path)
        except Unavailable:
            raise
        except (Refused, UploadsRefused, OSError) as error:
            return f"its results could not be kept: {error}"[:_NOTE_CHARS_MAX], None
        return "", sha256

    def _copy_out(self, account_id: str, path: str, blob: Path) -> None:
        with blob.open("rb") as source, self._uploads.replace(account_id, path) as target:
            copyfileobj(source, target)

    async def _end(
        self, run: RunRow, state: RunState, note: str = "", output_sha256: str | None = None
    ) -> None:
        await self._database.write(
            schedules.ended,
            run,
            state,
            self._now_ms(),
            note=note[:_NOTE_CHARS_MAX],
            output_sha256=output_sha256,
        )
        self._feed.notify()


def look_ahead(conn: Connection, now_ms: int) -> None:
    """Have every schedule wait for what comes after now, whatever it waited for."""
    for found in schedules.active(conn):
        row = schedules.lock(conn, found.id, now_ms)
        if row is not None and row.next_run_at_ms is not None:
            schedules.save(
                conn, replace(row, next_run_at_ms=row.times.after(now_ms, row.ends_at_ms))
            )


def _fire(conn: Connection, schedule_id: str, now_ms: int) -> None:
    """Store the runs whose due time has come, and look ahead."""
    row = schedules.lock(conn, schedule_id, now_ms)
    if row is None or row.next_run_at_ms is None or row.next_run_at_ms > now_ms:
        return
    try:
        found = due(row.times, row.missed, row.next_run_at_ms, now_ms, row.ends_at_ms)
        next_ms = row.times.after(now_ms, row.ends_at_ms)
    except InvalidCron:
        # It was good when it was stored: the machine's time zones are others now.
        _log.exception("%s is disabled", schedule_id)
        schedules.save(conn, replace(row, is_active=False, next_run_at_ms=None))
        return
    if found.newest_missed_ms is not None:
        note = f"missed {found.missed} or more runs, the last of them this one"
        schedules.add_run(
            conn, row, found.newest_missed_ms, state=RunState.SKIPPED, note=note, now_ms=now_ms
        )
    for due_at_ms in found.run_ms:
        schedules.add_run(conn, row, due_at_ms, now_ms=now_ms)
    last_ms = found.run_ms[-1] if found.run_ms else row.last_run_at_ms
    schedules.save(
        conn,
        replace(row, next_run_at_ms=next_ms, last_run_at_ms=last_ms, is_active=next_ms is not None),
    )


def _of_run(conn: Connection, run: RunRow) -> tuple[ScheduleRow, Account, Begin] | None:
    schedule = schedules.get(conn, run.schedule_id)
    account = accounts.get(conn, run.account_id)
    if schedule is None or account is None:
        return None
    if run.by_hand or schedule.dry_run:
        return schedule, account, Begin.START
    what = begin(
        schedule.overlap,
        going=schedules.runs_before(conn, run, RunState.STARTED),
        waiting_before=schedules.runs_before(conn, run, RunState.DUE),
    )
    return schedule, account, what
