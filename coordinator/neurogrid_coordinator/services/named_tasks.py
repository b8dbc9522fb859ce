"""Tasks by their owners' own ids.

A named task is a request that is kept with an id of its owner's. It is queued at once; each execution of it is a task
like any other, and the newest is the one that counts. Tasks of batches answer to their ids here too.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.task import TERMINAL, Phase

from ..store import batch_items, named_tasks, tasks
from ..store import batches as batch_rows
from ..store.accounts import Account
from ..store.batch_items import ItemRow
from ..store.database import Database
from ..store.leases import of_task as leases_of
from ..store.named_tasks import EntryFilter, EntryOrder, EntryRow, EntryState, NamedRow
from ..store.tasks import TaskRow
from .batch_tasks import ReadTask, merged
from .errors import Conflict, IdempotencyMismatch, InvalidRequest, TaskNotFound
from .models import Models
from .submission import Submission
from .task_changes import TaskChanges
from .tasks import Tasks, delete_settled, require_unneeded, settled

LIST_MAX = 100
CLIENT_ID_CHARS_MAX = 200
METADATA_BYTES_MAX = 16 * 1024
# No job of these has begun, so that they may still be asked for otherwise.
_UNTOUCHED = frozenset({Phase.WAITING, Phase.QUEUED, Phase.MATCHING, Phase.AWARDED})


@dataclass(frozen=True, slots=True)
class NamedWanted:
    """A named task, as asked for.

    Attributes:
        request: fields of `POST /tasks`.
        client_id: its owner's own id; "" for the id of its first task.
        label: which of its owner's batches it says that it belongs to; "" for none.
        metadata: whatever its owner keeps with it.
    """

    request: Mapping[str, Json]
    client_id: str = ""
    label: str = ""
    metadata: Mapping[str, Json] = field(default_factory=dict)
    idempotency_key: str | None = None

    @property
    def sha256(self) -> str:
        """Of all that is asked for."""
        whole = [self.client_id, self.label, self.request, self.metadata]
        return hashlib.sha256(msgspec.json.encode(whole, order="sorted")).hexdigest()


@dataclass(frozen=True, slots=True)
class NamedTask:
    """A task by its owner's id.

    Attributes:
        request: all fields, also those that its batch says.
        task: the newest; None where it is of a batch and has had none.
        code, message: of a batch's that has no task, why it ended.
    """

    client_id: str
    label: str
    state: EntryState
    request: Mapping[str, Json]
    metadata: Mapping[str, Json]
    executions: int
    task: TaskRow | None
    created_at_ms: int
    updated_at_ms: int
    ended_at_ms: int | None
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class NamedPage:
    """Some named tasks; ``total`` counts all that match."""

    entries: tuple[EntryRow, ...]
    total: int


class NamedTasks:
    """What clients do with tasks that have an id of theirs.

    Args:
        read_task: see `BatchTasks`.
    """

    def __init__(
        self,
        *,
        database: Database,
        tasks: Tasks,
        changes: TaskChanges,
        models: Models,
        read_task: ReadTask,
    ) -> None:
        self._database = database
        self._tasks = tasks
        self._changes = changes
        self._models = models
        self._read_task = read_task

    async def create(self, account: Account, wanted: NamedWanted) -> tuple[NamedTask, bool]:
        """Store a task, which is queued, with its id; the task, and whether it is new.

        Raises:
            InvalidRequest: a value is wrong.
            Conflict: another one has this id.
            IdempotencyMismatch: the key was used for another request.
            others: see `Tasks.submit`.
        """
        _require_id(wanted.client_id)
        _require_metadata(wanted.metadata)
        repeated = await self._database.read(lambda conn: _repeated(conn, account, wanted))
        if repeated is not None:
            return repeated, False
        made: list[NamedRow] = []

        def also(conn: Connection, task: TaskRow) -> None:
            # Looked for once more: it may have been sent twice at the same moment.
            if _repeated(conn, account, wanted) is not None:
                raise _SentTwice
            row = NamedRow(
                id=named_tasks.new_row_id(),
                account_id=account.id,
                client_id=wanted.client_id or task.id,
                label=wanted.label,
                request=dict(wanted.request),
                metadata=dict(wanted.metadata),
                idempotency_key=wanted.idempotency_key,
                request_sha256=wanted.sha256,
                task_id=task.id,
                executions=1,
                created_at_ms=task.created_at_ms,
                updated_at_ms=task.created_at_ms,
            )
            named_tasks.insert_new(conn, row)
            made.append(row)

        submission = self._submission(account, wanted.request)
        await self._models.keep(account, submission)
        try:
            detail, _ = await self._tasks.submit(account, submission, also)
        except _SentTwice:
            repeated = await self._database.read(lambda conn: _repeated(conn, account, wanted))
            assert repeated is not None, "stored with this key"
            return repeated, False
        return _named(made[-1], detail.row), True

    async def get(self, account: Account, client_id: str) -> NamedTask:
        """The account's task with this id, or its newest batch's.

        Raises:
            TaskNotFound: there is none.
        """

        def read(conn: Connection) -> NamedTask:
            row = named_tasks.get(conn, account.id, client_id)
            if row is not None:
                return _named(row, _task(conn, row))
            found = _of_batch(conn, account, client_id)
            if found is None:
                raise TaskNotFound(client_id)
            return found

        return await self._database.read(read)

    async def list(
        self,
        account: Account,
        which: EntryFilter,
        *,
        order: EntryOrder = EntryOrder.AGE,
        descending: bool = True,
        limit: int = 10,
        offset: int = 0,
    ) -> NamedPage:
        """The account's tasks that fit, those of its batches too."""
        entries, total = await self._database.read(
            lambda conn: named_tasks.list_entries(
                conn,
                account.id,
                which,
                order=order,
                descending=descending,
                limit=min(limit, LIST_MAX),
                offset=offset,
            )
        )
        return NamedPage(tuple(entries), total)

    async def update(
        self,
        account: Account,
        client_id: str,
        changes: Mapping[str, Json],
        metadata: Mapping[str, Json] | None = None,
    ) -> NamedTask:
        """Change what is asked for: of what has not begun itself, of what has ended its next execution.

        Args:
            changes: fields of the request and their new values; None takes a field out.
            metadata: names and values beside those that there are; None takes a name out.

        Raises:
            TaskNotFound: see `get`.
            Conflict: it runs, or is a batch's.
            others: see `TaskChanges.change`.
        """
        row, task = await self._database.read(lambda conn: _owned(conn, account, client_id))
        request = _changed(row.request, changes)
        merged_metadata = _changed(row.metadata, metadata or {})
        _require_metadata(merged_metadata)
        if request != row.request:
            wanted = self._submission(account, request)
            if task.phase not in TERMINAL:
                return await self._amend(account, row, task, wanted, request, merged_metadata)
            # What can't be done is refused now, and not when it is executed.
            self._tasks.draft(wanted, wanted.own_sizes)

        def write(conn: Connection) -> NamedTask:
            now, its_task = _owned(conn, account, client_id)
            _require_same(row, now)
            named_tasks.change(conn, now, _now_ms(), request=request, metadata=merged_metadata)
            changed = named_tasks.get(conn, account.id, client_id)
            assert changed is not None, "changed a moment ago"
            return _named(changed, its_task)

        return await self._database.write(write)

    async def execute(self, account: Account, client_id: str) -> NamedTask:
        """Have it run, once more if it has ended; one that waits or runs is left alone.

        Raises:
            TaskNotFound: see `get`.
            Conflict: it is a batch's, or was executed at the same moment.
            others: see `Tasks.submit`.
        """
        row, task = await self._database.read(lambda conn: _owned(conn, account, client_id))
        if task.phase not in TERMINAL:
            return _named(row, task)
        wanted = self._submission(account, row.request)
        return await self._submit_again(account, row, wanted, row.request, row.metadata)

    async def delete(self, account: Account, client_id: str) -> None:
        """Cancel it if it has not ended, and forget it. A task whose payment is under way stays until that is settled,
        in the list of all tasks.

        Raises:
            TaskNotFound: see `get`.
            Conflict: it is a batch's, or another task waits for what it leaves.
        """

        def forget(conn: Connection) -> str:
            row, task = _owned(conn, account, client_id)
            require_unneeded(conn, task.id)
            named_tasks.remove(conn, row)
            return task.id

        task_id = await self._database.write(forget)
        await self._tasks.cancel(account, task_id)
        now_ms = _now_ms()

        def clear(conn: Connection) -> None:
            runs = tasks.group_of(conn, task_id)
            if all(settled(run, leases_of(conn, run.id)) for run in runs):
                delete_settled(conn, account, [task_id], now_ms)

        await self._database.write(clear)

    async def _amend(
        self,
        account: Account,
        row: NamedRow,
        task: TaskRow,
        wanted: Submission,
        request: dict[str, Json],
        metadata: dict[str, Json],
    ) -> NamedTask:
        """Ask otherwise for one that has not begun, and keep the request, in one transaction."""
        if task.phase not in _UNTOUCHED:
            raise Conflict(
                f"{row.client_id} has begun; change it when it has ended, or delete it",
                {"status": named_tasks.state_of(task.phase).value},
            )

        def also(conn: Connection) -> None:
            now, _ = _owned(conn, account, row.client_id)
            _require_same(row, now)
            named_tasks.change(conn, now, _now_ms(), request=request, metadata=metadata)

        same_model = wanted.model is not None and wanted.model.model_id == task.model
        # It has its place among the requests at its model already.
        keep = self._models.put if same_model else self._models.keep
        await keep(account, wanted)
        await self._changes.change(account, task.id, lambda _: wanted, also)
        return await self.get(account, row.client_id)

    async def _submit_again(
        self,
        account: Account,
        row: NamedRow,
        wanted: Submission,
        request: dict[str, Json],
        metadata: dict[str, Json],
    ) -> NamedTask:
        now_ms = _now_ms()

        def also(conn: Connection, task: TaskRow) -> None:
            if not named_tasks.executed(conn, row, task.id, now_ms):
                raise Conflict(
                    f"{row.client_id} was changed or executed at the same moment; look at it again"
                )
            named_tasks.change(conn, row, now_ms, request=request, metadata=metadata)

        await self._models.keep(account, wanted)
        await self._tasks.submit(account, wanted, also)
        return await self.get(account, row.client_id)

    def _submission(self, account: Account, request: Mapping[str, Json]) -> Submission:
        wanted = self._read_task(msgspec.json.encode(request), account.wallet, "")
        if wanted.names_urls:
            raise InvalidRequest(
                "inputs: a task with an id of yours names files by hash; upload them with "
                "PUT /api/v1/artifacts/{sha256}",
                "inputs",
            )
        return wanted


class _SentTwice(Exception):
    """The same request was carried out meanwhile."""


def _repeated(conn: Connection, account: Account, wanted: NamedWanted) -> NamedTask | None:
    key = wanted.idempotency_key
    row = named_tasks.by_idempotency_key(conn, account.id, key) if key is not None else None
    if row is not None:
        if row.request_sha256 != wanted.sha256:
            raise IdempotencyMismatch(
                f"the idempotency key {key!r} was used for task {row.client_id}, which was another request"
            )
        return _named(row, _task(conn, row))
    if wanted.client_id and named_tasks.get(conn, account.id, wanted.client_id) is not None:
        raise Conflict(
            f"there is a task {wanted.client_id} already; delete it, or choose another id",
            {"field": "id"},
        )
    return None


def _owned(conn: Connection, account: Account, client_id: str) -> tuple[NamedRow, TaskRow]:
    row = named_tasks.get(conn, account.id, client_id)
    if row is not None:
        return row, _task(conn, row)
    found = named_tasks.batch_item(conn, account.id, client_id)
    if found is None:
        raise TaskNotFound(client_id)
    raise Conflict(
        f"{client_id} is a task of batch {found[0]}, which is executed, cancelled and deleted as a whole",
        {"batch_id": found[0]},
    )


def _require_same(seen: NamedRow, now: NamedRow) -> None:
    if (seen.request, seen.metadata, seen.task_id) != (now.request, now.metadata, now.task_id):
        raise Conflict(
            f"{seen.client_id} was changed or executed at the same moment; look at it again"
        )


def _task(conn: Connection, row: NamedRow) -> TaskRow:
    task = tasks.get(conn, row.task_id)
    assert task is not None, "a named task refers to its newest task"
    return task


def _named(row: NamedRow, task: TaskRow) -> NamedTask:
    return NamedTask(
        client_id=row.client_id,
        label=row.label,
        state=named_tasks.state_of(task.phase),
        request=row.request,
        metadata=row.metadata,
        executions=row.executions,
        task=task,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
        ended_at_ms=task.ended_at_ms,
    )


def _of_batch(conn: Connection, account: Account, client_id: str) -> NamedTask | None:
    found = named_tasks.batch_item(conn, account.id, client_id)
    if found is None:
        return None
    batch_id, position = found
    batch = batch_rows.get(conn, batch_id)
    (item,) = batch_items.page(conn, batch_id, limit=1, after=position - 1)
    assert batch is not None, "its item is there"
    return _item(batch.defaults, batch.client_id or batch.id, batch.created_at_ms, item, conn)


def _item(
    defaults: Mapping[str, Json], label: str, created_at_ms: int, item: ItemRow, conn: Connection
) -> NamedTask:
    return NamedTask(
        client_id=item.client_id,
        label=label,
        state=named_tasks.state_of_item(item.state, item.phase),
        request=merged(defaults, item.request),
        metadata={},
        executions=item.attempts,
        task=tasks.get(conn, item.task_id) if item.task_id else None,
        created_at_ms=created_at_ms,
        updated_at_ms=item.ended_at_ms or created_at_ms,
        ended_at_ms=item.ended_at_ms,
        code=item.code,
        message=item.message,
    )


def _changed(before: Mapping[str, Json], changes: Mapping[str, Json]) -> dict[str, Json]:
    """With these values; None takes a name out. Of parameters name by name, like a batch's."""
    after: dict[str, Json] = dict(before)
    for name, value in changes.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = value
    return after


def _require_id(client_id: str) -> None:
    if client_id and (
        len(client_id) > CLIENT_ID_CHARS_MAX or not client_id.isprintable() or "/" in client_id
    ):
        raise InvalidRequest(
            f"id: has at most {CLIENT_ID_CHARS_MAX} printable characters, and no slash", "id"
        )


def _require_metadata(metadata: Mapping[str, Json]) -> None:
    if len(msgspec.json.encode(metadata)) > METADATA_BYTES_MAX:
        raise InvalidRequest(f"metadata: at most {METADATA_BYTES_MAX} bytes", "metadata")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
