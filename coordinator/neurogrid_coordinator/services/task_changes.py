"""Tasks that are asked for otherwise while they wait, and ones that are executed once more when they have ended."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from neurogrid_marketplace import amending
from neurogrid_marketplace.amending import Standing
from neurogrid_marketplace.task import TERMINAL, Phase

from ..money.client_funds import ClientFunds
from ..store import batch_items, events, request_records, tasks
from ..store.accounts import Account
from ..store.database import Database
from ..store.feed import Feed
from ..store.tasks import NewTask, TaskRow
from . import intake
from .balances import Balances
from .errors import Conflict, InvalidRequest
from .intake import Draft
from .kept_requests import submission_of
from .models import Models
from .submission import Submission
from .task_details import TaskDetail, detail, owned
from .tasks import Tasks

# An auction is decided within its window and an award within two seconds; a little more.
DECIDING_S = 5.0
# Fields of `Submission.record` that requests call otherwise.
_FIELD_NAMES = {
    "requirements": "resource_requirements",
    "where": "constraints",
    "finish_by_ms": "deadline",
    "runs_late": "deadline_policy",
    "job_hash": "request",
    "model": "request",
}

Change = Callable[[Submission], Submission]


def _nothing(_conn: Connection) -> None:
    """Beside most changes nothing else is stored."""


@dataclass(frozen=True, slots=True)
class _Amendment:
    """A task's row, and what it is asked for from now on."""

    row: TaskRow
    draft: Draft
    changed: tuple[str, ...]


class _Deciding(Exception):
    """An auction of it is open, or an award unanswered; says in which phase it is."""


class _Meanwhile(Exception):
    """It is asked for otherwise than a moment ago."""


class TaskChanges:
    """What clients do to the requests of tasks.

    Args:
        deciding_s: how long the outcome of an auction is waited for.
    """

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        tasks: Tasks,
        models: Models,
        balances: Balances,
        deciding_s: float = DECIDING_S,
    ) -> None:
        self._database = database
        self._feed = feed
        self._tasks = tasks
        self._models = models
        self._balances = balances
        self._deciding_s = deciding_s

    async def change(
        self,
        account: Account,
        task_id: str,
        change: Change,
        also: Callable[[Connection], None] = _nothing,
    ) -> TaskDetail:
        """Ask otherwise for a task that waits, in one transaction with the money that is held for it.

        It keeps its place in the queue. An auction that is open is waited for, a few seconds long.

        Args:
            change: makes the new request of the present one; may be called several times.
            also: what is stored in the same transaction; what it raises leaves nothing.

        Raises:
            NotFound: see `Tasks.get`.
            Conflict: it has begun, is a batch's, or belongs to another task.
            others: as `Tasks.submit`, and what ``change`` raises.
        """
        async with self._feed.subscribe() as news:
            over_s = time.monotonic() + self._deciding_s
            while True:
                try:
                    return await self._change_now(account, task_id, change, also)
                except _Meanwhile:
                    continue
                except _Deciding as error:
                    left_s = over_s - time.monotonic()
                    if left_s <= 0:
                        raise Conflict(
                            f"an auction for {task_id} is being decided; send the change again in a moment",
                            {"phase": str(error)},
                        ) from error
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(left_s):
                            await news.wait()

    async def execute(
        self,
        account: Account,
        task_id: str,
        change: Change | None = None,
        idempotency_key: str | None = None,
    ) -> tuple[TaskDetail, bool]:
        """Have a task that has ended run once more, as another task; that one, and whether it is new.

        One that waits or runs is under way already: it is returned as it is.

        Args:
            change: what the next execution is asked for otherwise; None: nothing.

        Raises:
            NotFound: see `Tasks.get`.
            Conflict: it belongs to another task, its inputs are sealed, or it goes on and was to be changed.
            others: as `Tasks.submit`, and what ``change`` raises.
        """
        there = await self._tasks.get(account, task_id)
        row = there.row
        _require_own(row)
        if row.phase not in TERMINAL:
            if change is not None:
                raise Conflict(
                    f"{task_id} has not ended: while it waits, PATCH it; what runs stays as it is",
                    {"phase": row.phase.value},
                )
            return there, False
        if row.state.sealed:
            raise Conflict(
                f"the inputs of {task_id} are sealed for it alone: submit it again, which makes another key",
                {"task_id": task_id},
            )
        wanted = replace(
            submission_of(row),
            # By their ids: in a workflow they have names, which mean nothing outside it.
            depends_on=row.state.needs.task_ids,
            outputs_wanted=row.state.needs.outputs,
            execution_of=row.id,
            idempotency_key=idempotency_key,
        )
        if change is not None:
            wanted = change(wanted)
        await self._models.admit(account, wanted)
        return await self._tasks.submit(account, wanted)

    async def _change_now(
        self,
        account: Account,
        task_id: str,
        change: Change,
        also: Callable[[Connection], None],
    ) -> TaskDetail:
        """Once.

        Raises:
            _Deciding: it is not known yet whether it may be changed.
            _Meanwhile: somebody else has changed it; nothing was done.
        """

        def look(conn: Connection) -> tuple[_Amendment, int]:
            runs = _changeable(conn, account, task_id)
            amendment = self._amendment(runs[0], change, _now_ms())
            return amendment, _growth(runs, _amended(runs, amendment, _now_ms()))

        seen, growth = await self._database.read(look)
        if seen.changed:
            await self._tasks.require_possible(seen.draft)
        funds = await self._balances.funds(account) if growth > 0 else None

        def store(conn: Connection) -> tuple[TaskDetail, list[TaskRow]]:
            runs = _changeable(conn, account, task_id)
            now_ms = _now_ms()
            amendment = self._amendment(runs[0], change, now_ms)
            after = _amended(runs, amendment, now_ms)
            grows = _growth(runs, after) > 0
            if amendment.draft.demand != seen.draft.demand or (grows and funds is None):
                raise _Meanwhile
            also(conn)
            if not amendment.changed:
                return detail(conn, runs[0]), []
            if grows and funds is not None:
                _require_budget(conn, account, funds, runs, after, now_ms)
            spec = request_records.amended(runs[0].spec, amendment.draft.record)
            for run, asked in zip(runs, after, strict=True):
                tasks.save_request(conn, run, asked, spec, now_ms)
            events.append(
                conn,
                task_id,
                account.id,
                now_ms,
                events.UPDATED,
                {
                    "phase": runs[0].phase.value,
                    "changed": [*amendment.changed],
                    "message": f"asked for otherwise: {', '.join(amendment.changed)}",
                },
            )
            changed = tasks.group_of(conn, task_id)
            return detail(conn, changed[0]), changed

        there, changed = await self._database.write(store)
        for run in changed:
            self._tasks.announce(run)
        return there

    def _amendment(self, row: TaskRow, change: Change, now_ms: int) -> _Amendment:
        asked = submission_of(row)
        wanted = change(asked)
        sizes = wanted.own_sizes | {item.sha256: item.size_bytes for item in row.job.inputs}
        before = self._tasks.draft(asked, sizes, task_id=row.id)
        draft = self._tasks.draft(wanted, sizes, task_id=row.id)
        job = draft.job
        if job == before.job:
            # With what other tasks have left for it meanwhile.
            job = row.job
        elif asked.outputs_wanted or wanted.outputs_wanted:
            raise InvalidRequest("inputs: of a task that takes others' outputs they stay", "inputs")
        demand = replace(
            draft.demand,
            job_hash=job.hash(),
            input_bytes=sum(item.size_bytes for item in job.inputs),
        )
        _require_patience(row, draft, now_ms)
        names = request_records.differences(row.spec, draft.record)
        changed = tuple(dict.fromkeys(_FIELD_NAMES.get(name, name) for name in names))
        return _Amendment(row, replace(draft, job=job, demand=demand), changed)


def _changeable(conn: Connection, account: Account, task_id: str) -> list[TaskRow]:
    """The task and those that belong to it.

    Raises:
        _Deciding, NotFound, Conflict: see `TaskChanges.change`.
    """
    row = owned(conn, account, task_id)
    _require_own(row)
    batch_id = batch_items.batch_of_task(conn, account.id, task_id)
    if batch_id is not None:
        raise Conflict(
            f"{task_id} is a task of batch {batch_id}, whose budget counts on it as it is",
            {"batch_id": batch_id},
        )
    runs = tasks.group_of(conn, task_id)
    found = amending.standing(run.state for run in runs)
    if found is Standing.DECIDING:
        raise _Deciding(row.phase.value)
    if found is Standing.BEGUN:
        over = row.phase in TERMINAL
        what = "execute it with the change" if over else "cancel it and submit another"
        raise Conflict(
            f"{task_id} has {'ended' if over else 'begun'}, and only what waits can be changed: {what}",
            {"phase": row.phase.value},
        )
    return runs


def _require_own(row: TaskRow) -> None:
    if row.belongs_to is not None:
        raise Conflict(
            f"this run belongs to {row.belongs_to}: change or execute that task, and it goes along",
            {"task_id": row.belongs_to},
        )


def _require_patience(row: TaskRow, draft: Draft, now_ms: int) -> None:
    queued_ms = row.state.queue_until_ms - row.state.queue_timeout_ms
    waited_s = (now_ms - queued_ms) // 1000
    shorter = draft.queue_timeout_s * 1000 < row.state.queue_timeout_ms
    if shorter and row.phase is Phase.QUEUED and draft.queue_timeout_s <= waited_s:
        raise InvalidRequest(
            f"queue_timeout_seconds: it has waited {waited_s} s already; say more, or cancel it",
            "queue_timeout_seconds",
        )


def _amended(runs: Sequence[TaskRow], amendment: _Amendment, now_ms: int) -> list[NewTask]:
    draft = amendment.draft
    wanted = draft.wanted
    return [
        NewTask(
            account_id=run.account_id,
            name=wanted.name,
            kind=wanted.row_kind,
            priority=wanted.priority,
            spec=draft.record,
            job=draft.job,
            state=amending.amended(
                run.state,
                draft.demand,
                queue_timeout_ms=draft.queue_timeout_s * 1000,
                runs_late=wanted.runs_late,
                now_ms=now_ms,
            ),
            model=None if wanted.model is None else wanted.model.model_id,
        )
        for run in runs
    ]


def _growth(before: Sequence[TaskRow], after: Sequence[NewTask]) -> int:
    """How much more is to be held, micro-USDC."""
    return _held(after) - sum(run.hold_micro_usdc for run in before)


def _held(runs: Sequence[NewTask]) -> int:
    return sum(tasks.hold_micro_usdc(run.state) for run in runs)


def _require_budget(
    conn: Connection,
    account: Account,
    funds: ClientFunds,
    before: Sequence[TaskRow],
    after: Sequence[NewTask],
    now_ms: int,
) -> None:
    intake.require_raise(
        conn,
        account,
        funds,
        before_micro_usdc=sum(run.hold_micro_usdc for run in before),
        after_micro_usdc=_held(after),
        now_ms=now_ms,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
