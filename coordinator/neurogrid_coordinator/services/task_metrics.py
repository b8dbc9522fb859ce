"""What a task's job uses while it runs, and has used when it has ended, as its nodes have measured it."""

from dataclasses import dataclass

from sqlalchemy import Connection

from neurogrid_marketplace.resources import Requirements

from ..store import usage
from ..store.accounts import Account
from ..store.database import Database
from ..store.tasks import TaskRow
from ..tasks.usage_series import SAMPLES_MAX, Sample, Totals, cpu_percent, totals
from .task_details import owned


@dataclass(frozen=True, slots=True)
class Point:
    """A sample, and how much of its processors the job used since the one before; None of a run's first."""

    sample: Sample
    cpu_percent: float | None


@dataclass(frozen=True, slots=True)
class TaskMetrics:
    """What a task's job uses.

    Attributes:
        totals: of all its runs.
        points: the newest, oldest first.
        total: how many there are.
    """

    row: TaskRow
    totals: Totals
    points: tuple[Point, ...]
    total: int

    @property
    def needs(self) -> Requirements:
        """What it asked for."""
        return self.row.state.demand.requirements


class Metrics:
    """What clients are told of what their jobs use."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_task(
        self, account: Account, task_id: str, limit: int = SAMPLES_MAX
    ) -> TaskMetrics:
        """What one task uses, with at most so many of its newest samples.

        Raises:
            NotFound: there is no such task of the account.
        """

        def read(conn: Connection) -> tuple[TaskRow, list[Sample]]:
            row = owned(conn, account, task_id)
            return row, usage.of_task(conn, row.id)

        row, samples = await self._database.read(read)
        cpu_millis = row.state.demand.requirements.cpu_millis
        points = [
            Point(sample, cpu_percent(before, sample, cpu_millis))
            for before, sample in zip([None, *samples], samples, strict=False)
        ]
        shown = tuple(points[-limit:]) if limit else ()
        return TaskMetrics(row, totals(samples), shown, len(points))
