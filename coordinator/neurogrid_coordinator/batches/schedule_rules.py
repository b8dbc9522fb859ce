"""When schedules run, and what becomes of runs that are late or in each other's way; pure, without a clock.

A schedule has a cron expression of five fields and a time zone. Where clocks are set it does as Debian's
cron: what would be at a time that does not exist runs right after the gap, and what is at a time that exists
twice runs once, unless its minutes or hours are a step or a star.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

# A due time that is no older than this was not missed: a restart takes seconds.
ON_TIME_MS = 60_000
# How many missed runs are made up for at most, by `Missed.ALL`.
MADE_UP_MAX = 100
# Runs that wait for an earlier one of the same schedule, by `Overlap.QUEUE`.
WAITING_MAX = 100
_CRON_CHARS_MAX = 200
# Beyond any time zone's change, and before the end of what `datetime` knows.
_LAST = datetime(9000, 1, 1, tzinfo=UTC)


class InvalidCron(ValueError):
    """The expression can't be read, or never comes; the message says why."""


class InvalidTimeZone(InvalidCron):
    """Nothing is known of the time zone."""


class Missed(StrEnum):
    """What becomes of due times that passed while nobody looked."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class Overlap(StrEnum):
    """What becomes of a run that is due while an earlier one goes on."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"


class RunState(StrEnum):
    """Where a run is; ``due``: nothing of it was started yet."""

    DUE = "due"
    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    DRY = "dry_run"


class Begin(StrEnum):
    """What a due run does now."""

    START = "start"
    WAIT = "wait"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Due:
    """Due times that have come: those to run, oldest first, and how many are not run any more."""

    run_ms: tuple[int, ...]
    missed: int
    newest_missed_ms: int | None


@dataclass(frozen=True, slots=True)
class Cron:
    """When something runs."""

    expression: str
    time_zone: str

    def check(self) -> None:
        """Raise `InvalidCron` unless it can be read, and comes at all."""
        if next(self._times(datetime(2000, 1, 1, tzinfo=UTC)), None) is None:
            raise InvalidCron(f"{self.expression[:80]!r} never comes")

    def after(self, after_ms: int, ends_at_ms: int | None = None) -> int | None:
        """The first due time after this one; None if there is none before the end."""
        return next(iter(self.several_after(after_ms, 1, ends_at_ms)), None)

    def several_after(
        self, after_ms: int, count: int, ends_at_ms: int | None = None
    ) -> tuple[int, ...]:
        """The next due times."""
        found = islice(self._times(_utc(after_ms)), count)
        return tuple(at for at in found if ends_at_ms is None or at <= ends_at_ms)

    def newest_between(self, first_ms: int, last_ms: int, count: int) -> tuple[int, ...]:
        """The newest due times from ``first_ms`` to ``last_ms``, both included; oldest first."""
        found: list[int] = []
        for at in self._times(_utc(last_ms + 1), reverse=True):
            if at < first_ms or len(found) == count:
                break
            found.append(at)
        return tuple(reversed(found))

    def _times(self, start: datetime, *, reverse: bool = False) -> Iterator[int]:
        if len(self.expression) > _CRON_CHARS_MAX or len(self.expression.split()) != 5:
            raise InvalidCron(
                f"{self.expression[:80]!r} has not five fields: minute, hour, day, month and day of the "
                'week, as in "0 9 * * MON-FRI"'
            )
        try:
            zone = ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise InvalidTimeZone(
                f'{self.time_zone[:80]!r} is no time zone such as "Europe/Berlin" or "UTC"'
            ) from error
        try:
            for at in CronSim(self.expression, start.astimezone(zone), reverse=reverse):
                if at > _LAST:
                    return
                yield round(at.timestamp() * 1000)
        except CronSimError as error:
            raise InvalidCron(f"{self.expression[:80]!r}: {error}") from error


def due(
    cron: Cron, policy: Missed, next_ms: int, now_ms: int, ends_at_ms: int | None = None
) -> Due:
    """What to do about the due times from ``next_ms`` to now.

    Args:
        next_ms: the first that nobody has looked at.
    """
    last_ms = now_ms if ends_at_ms is None else min(now_ms, ends_at_ms)
    # More than are ever made up for and on time, so that it is known whether there were more.
    found = cron.newest_between(next_ms, last_ms, MADE_UP_MAX + 1 + ON_TIME_MS // 60_000 + 1)
    on_time = tuple(at for at in found if now_ms - at <= ON_TIME_MS)
    missed = tuple(at for at in found if now_ms - at > ON_TIME_MS)
    made_up: tuple[int, ...] = ()
    if policy is Missed.ALL:
        made_up = missed[-MADE_UP_MAX:]
    elif policy is Missed.ONCE and not on_time:
        made_up = missed[-1:]
    left = missed[: len(missed) - len(made_up)]
    return Due((*made_up, *on_time), len(left), left[-1] if left else None)


def begin(policy: Overlap, *, going: int, waiting_before: int) -> Begin:
    """What a due run does now.

    Args:
        going: earlier runs of its schedule that go on.
        waiting_before: earlier runs that wait.
    """
    if policy is Overlap.ALLOW or not going + waiting_before:
        return Begin.START
    if policy is Overlap.SKIP or waiting_before >= WAITING_MAX:
        return Begin.SKIP
    return Begin.WAIT


def _utc(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
