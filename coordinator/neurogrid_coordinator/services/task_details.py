"""Tasks with all that became of them. Who looks at one again and again is shown what was read before, until its rows are others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection

from neurogrid_marketplace.demand import VerifyMode
from neurogrid_marketplace.dependencies import waiting_on
from neurogrid_marketplace.task import Phase

from ..store import events, leases, tasks
from ..store.accounts import Account
from ..store.events import TaskEvent
from ..store.leases import LeaseRow
from ..store.tasks import TaskRow
from .errors import NotFound

# Tasks that are remembered, and how much text their rows may have: most have some 7,000 characters, a job's command alone
# may have 160,000.
_KNOWN_MAX = 256
_CHARS_MAX = 16 * 1024


class TaskDetail(msgspec.Struct, frozen=True):
    """A task with what became of it.

    Attributes:
        timeline: its milestones, oldest first.
        further_runs: the runs that verify it.
        members: of a gang: all, by rank; none before the first attempt.
        waits: which tasks it waits for, in words; "" where it waits for none.
    """

    row: TaskRow
    leases: tuple[LeaseRow, ...] = ()
    timeline: tuple[TaskEvent, ...] = ()
    waits: str = ""
    further_runs: tuple[TaskRow, ...] = ()
    members: tuple[TaskRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A task's detail, and the rows that it was read from.

    Attributes:
        rows: of the task, of its leases, of its milestones, as they are stored.
    """

    rows: tuple[Sequence[Any], Sequence[Any], Sequence[Any]]
    detail: TaskDetail

    @property
    def chars(self) -> int:
        """How much text its rows have."""
        values = (value for some in self.rows for row in some for value in row)
        return sum(len(value) for value in values if isinstance(value, str))

    @property
    def stands_alone(self) -> bool:
        """Whether it depends on these rows alone."""
        state = self.detail.row.state
        is_one_run = state.verification.mode is VerifyMode.NONE and state.membership is None
        return is_one_run and state.phase is not Phase.WAITING


class KnownTasks:
    """What was read of the tasks that were looked at last."""

    def __init__(self) -> None:
        # The one that was looked at last is last.
        self._found: dict[str, Found] = {}

    def of(self, task_id: str) -> Found | None:
        """What was read of this task when it was looked at last, if that is remembered."""
        return self._found.get(task_id)

    def keep(self, found: Found) -> None:
        """This was read a moment ago."""
        before = self._found.pop(found.detail.row.id, None)
        if found is before or (found.stands_alone and found.chars <= _CHARS_MAX):
            self._found[found.detail.row.id] = found
            if len(self._found) > _KNOWN_MAX:
                del self._found[next(iter(self._found))]


def find(conn: Connection, account: Account, task_id: str, known: Found | None) -> Found:
    """The account's task with what became of it.

    Args:
        known: what was read of it before; it is returned where the same is stored now.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    row = tasks.stored(conn, task_id, account.id)
    if not row:
        raise _not_found(task_id)
    rows = (row, leases.stored_of_task(conn, task_id), events.stored_milestones(conn, task_id))
    if known is not None and known.rows == rows:
        return known
    return Found(
        rows, _detail(conn, tasks.read(row), leases.read(rows[1]), events.read_milestones(rows[2]))
    )


def owned(conn: Connection, account: Account, task_id: str) -> TaskRow:
    """The account's task: here a task's tenancy is checked, and in `find`.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    row = tasks.get(conn, task_id, account.id)
    if row is None:
        raise _not_found(task_id)
    return row


def detail(conn: Connection, row: TaskRow) -> TaskDetail:
    """The task with its leases and milestones."""
    return _detail(conn, row, leases.of_task(conn, row.id), events.milestones(conn, row.id))


def _detail(
    conn: Connection,
    row: TaskRow,
    its_leases: Sequence[LeaseRow],
    milestones: Sequence[TaskEvent],
) -> TaskDetail:
    return TaskDetail(
        row,
        tuple(its_leases),
        tuple(milestones),
        waits(conn, row),
        _further_runs(conn, row),
        _members(conn, row),
    )


def _further_runs(conn: Connection, row: TaskRow) -> tuple[TaskRow, ...]:
    if row.state.verification.mode is VerifyMode.NONE or row.belongs_to is not None:
        return ()
    return tuple(tasks.group_of(conn, row.id)[1:])


def _members(conn: Connection, row: TaskRow) -> tuple[TaskRow, ...]:
    """The members of its gang by rank, where it is rank 0 and there has been an attempt."""
    membership = row.state.membership
    if membership is None or row.belongs_to is not None or not membership.attempt:
        return ()
    return tuple(tasks.group_of(conn, row.id))


def waits(conn: Connection, row: TaskRow) -> str:
    """Which tasks it waits for, in words; "" where it waits for none."""
    if row.phase is not Phase.WAITING:
        return ""
    return waiting_on(tasks.states_of(conn, row.state.needs.task_ids))


def _not_found(task_id: str) -> NotFound:
    return NotFound(f"there is no task {task_id[:80]}", {"task_id": task_id[:80]})
