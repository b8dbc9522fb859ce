"""Workflows: tasks that are submitted together and wait for each other; watched and ended together."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.needs import Circular, in_order
from neurogrid_marketplace.task import TERMINAL, Phase

from ..store import artifacts, task_lists, workflows
from ..store.accounts import Account
from ..store.database import Database
from ..store.ids import new_id
from ..store.task_lists import TaskFilter
from ..store.tasks import TaskRow
from ..store.workflows import WorkflowRow
from . import intake
from .balances import Balances
from .errors import IdempotencyMismatch, InvalidRequest, NotFound
from .intake import Draft
from .submission import Submission
from .tasks import CancelResult, Tasks, delete_settled

# All of them are stored in one transaction, while every other write waits.
TASKS_MAX = 256
LIST_MAX = 100


class WorkflowStatus(StrEnum):
    """What a workflow's tasks come to."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class WorkflowWanted:
    """A workflow, as asked for; ``tasks``: by their names in it."""

    tasks: Mapping[str, Submission]
    name: str = ""
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow and its tasks, each after those of them that it depends on."""

    row: WorkflowRow
    tasks: tuple[TaskRow, ...]

    @property
    def status(self) -> WorkflowStatus:
        """What its tasks come to; it has ended when all of them have."""
        phases = [task.phase for task in self.tasks]
        if any(phase not in TERMINAL for phase in phases):
            untouched = (Phase.WAITING, Phase.QUEUED, Phase.MATCHING, Phase.AWARDED, Phase.STARTING)
            pending = all(phase in untouched for phase in phases)
            return WorkflowStatus.PENDING if pending else WorkflowStatus.RUNNING
        if any(phase in (Phase.FAILED, Phase.EXPIRED) for phase in phases):
            return WorkflowStatus.FAILED
        if Phase.CANCELLED in phases:
            return WorkflowStatus.CANCELLED
        return WorkflowStatus.COMPLETED

    @property
    def cost_micro_usdc(self) -> int:
        """What its tasks were charged so far."""
        return sum(task.cost_micro_usdc for task in self.tasks)


@dataclass(frozen=True, slots=True)
class WorkflowPage:
    """Some workflows; ``total`` counts all of the account."""

    workflows: tuple[Workflow, ...]
    total: int


class Workflows:
    """What clients do with workflows.

    Args:
        keep: lets models be asked, and keeps what, of a workflow's tasks that ask some (`Models.keep_all`).
        request_cancel_all: has the orchestrator cancel these tasks, all or none, in this order.
    """

    def __init__(
        self,
        *,
        database: Database,
        tasks: Tasks,
        balances: Balances,
        keep: Callable[[Account, Sequence[Submission]], Awaitable[None]],
        request_cancel_all: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        self._database = database
        self._tasks = tasks
        self._balances = balances
        self._keep = keep
        self._request_cancel_all = request_cancel_all

    async def submit(self, account: Account, wanted: WorkflowWanted) -> tuple[Workflow, bool]:
        """Store all of its tasks, or none; the workflow, and whether it is new.

        Raises:
            InvalidRequest, InsufficientCredits, NodeUnavailable, UnmetDependency,
            IdempotencyMismatch, Unavailable: see `Tasks.submit`; a field's path begins with
                ``tasks.<name>.``.
            RateLimited: see `Models.keep_all`.
        """
        names = _ordered(wanted)
        sizes = await self._database.read(
            lambda conn: artifacts.sizes(conn, account.id, _digests(wanted))
        )
        drafts = {
            name: self._tasks.draft(
                wanted.tasks[name], sizes | wanted.tasks[name].own_sizes, f"tasks.{name}."
            )
            for name in names
        }
        record: dict[str, Json] = {
            "name": wanted.name,
            "tasks": {name: draft.record for name, draft in drafts.items()},
        }
        repeated = await self._database.read(lambda conn: _repeated(conn, account, wanted, record))
        if repeated is not None:
            return repeated, False
        for name, draft in drafts.items():
            await self._tasks.require_possible(draft, f"tasks.{name}.")
        await self._keep(account, [draft.wanted for draft in drafts.values()])
        funds = await self._balances.funds(account)
        now_ms = _now_ms()
        row = WorkflowRow(
            id=new_id("flow"),
            account_id=account.id,
            name=wanted.name,
            idempotency_key=wanted.idempotency_key,
            created_at_ms=now_ms,
            deleted_at_ms=None,
            spec=record,
        )

        def store(conn: Connection) -> tuple[Workflow, bool]:
            # Looked for once more: it may have been submitted twice at the same moment.
            repeated = _repeated(conn, account, wanted, record)
            if repeated is not None:
                return repeated, False
            intake.require_budget(conn, account, funds, list(drafts.values()), now_ms)
            intake.require_room(conn, account, list(drafts.values()))
            workflows.insert_new(conn, row)
            return Workflow(row, tuple(_store(conn, account, drafts, row.id, now_ms))), True

        workflow, created = await self._database.write(store)
        if created:
            for task in workflow.tasks:
                self._tasks.announce(task)
        return workflow, created

    async def get(self, account: Account, workflow_id: str) -> Workflow:
        """One workflow of this account.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        return await self._database.read(lambda conn: _owned(conn, account, workflow_id))

    async def list(self, account: Account, *, limit: int = 50, offset: int = 0) -> WorkflowPage:
        """The account's workflows, newest first."""

        def read(conn: Connection) -> WorkflowPage:
            rows, total = workflows.list_rows(
                conn, account.id, limit=min(limit, LIST_MAX), offset=offset
            )
            return WorkflowPage(tuple(_with_tasks(conn, row) for row in rows), total)

        return await self._database.read(read)

    async def end(self, account: Account, workflow_id: str) -> tuple[CancelResult, Workflow]:
        """Cancel all of its tasks that have not ended; delete it with its tasks if all have.

        Raises:
            NotFound: see `get`.
            Conflict: it can't be deleted yet: money of a task is under way, or another task waits for
                one of its outputs.
        """
        workflow = await self.get(account, workflow_id)
        # The last first: what waits for a task is cancelled with it, not failed by it.
        going = [task.id for task in reversed(workflow.tasks) if task.phase not in TERMINAL]
        if going:
            await self._request_cancel_all(going)
            workflow = await self.get(account, workflow_id)
            ended = all(task.phase in TERMINAL for task in workflow.tasks)
            return CancelResult.CANCELLED if ended else CancelResult.CANCELLING, workflow
        now_ms = _now_ms()

        def delete(conn: Connection) -> None:
            delete_settled(conn, account, [task.id for task in workflow.tasks], now_ms)
            workflows.delete(conn, workflow_id, now_ms)

        await self._database.write(delete)
        return CancelResult.DELETED, workflow


def _ordered(wanted: WorkflowWanted) -> tuple[str, ...]:
    if not 0 < len(wanted.tasks) <= TASKS_MAX:
        raise InvalidRequest(f"tasks: a workflow has 1 to {TASKS_MAX} tasks", "tasks")
    try:
        return in_order({name: task.needed() for name, task in wanted.tasks.items()})
    except Circular as error:
        raise InvalidRequest(
            f"tasks: {' waits for '.join(error.names)}: in a circle nothing can begin",
            f"tasks.{error.names[0]}.depends_on",
        ) from error


def _digests(wanted: WorkflowWanted) -> set[str]:
    return {item.sha256 for task in wanted.tasks.values() for item in task.inputs}


def _repeated(
    conn: Connection, account: Account, wanted: WorkflowWanted, record: dict[str, Json]
) -> Workflow | None:
    key = wanted.idempotency_key
    row = workflows.by_idempotency_key(conn, account.id, key) if key is not None else None
    if row is None:
        return None
    if row.spec != record:
        raise IdempotencyMismatch(
            f"the idempotency key {key!r} was used for workflow {row.id}, which was another request"
        )
    return _with_tasks(conn, row)


def _store(
    conn: Connection, account: Account, drafts: Mapping[str, Draft], workflow_id: str, now_ms: int
) -> list[TaskRow]:
    ids: dict[str, str] = {}
    rows = []
    for name, draft in drafts.items():
        row, _ = intake.store(
            conn, account, draft, now_ms, names=ids, workflow_id=workflow_id, workflow_key=name
        )
        ids[name] = row.id
        rows.append(row)
    return rows


def _owned(conn: Connection, account: Account, workflow_id: str) -> Workflow:
    row = workflows.get(conn, workflow_id, account.id)
    if row is None:
        raise NotFound(
            f"there is no workflow {workflow_id[:80]}", {"workflow_id": workflow_id[:80]}
        )
    return _with_tasks(conn, row)


def _with_tasks(conn: Connection, row: WorkflowRow) -> Workflow:
    which = TaskFilter(row.account_id, workflow_id=row.id)
    # Ids grow in the order in which they were stored: what is needed comes first.
    return Workflow(
        row, tuple(task_lists.list_rows(conn, which, limit=TASKS_MAX, oldest_first=True))
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
