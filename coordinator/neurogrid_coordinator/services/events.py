"""What happened to tasks, as a stream that can be resumed."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.task import TERMINAL, Phase

from ..store import events, tasks
from ..store.accounts import Account
from ..store.database import Database
from ..store.events import PAGE_MAX, PROGRESS, TaskEvent
from ..store.feed import Feed
from ..store.tasks import TaskRow
from .tasks import owned

# Document 002's names, where they differ from the phase's.
_PUBLIC_NAMES = {"task.running": "task.started", "task.expired": "task.failed"}
_PHASE_OF_KIND = {f"task.{phase.value}": phase for phase in Phase}


@dataclass(frozen=True, slots=True)
class Happening:
    """An event with the task it is about.

    Attributes:
        seq: position in the order of commits; a stream resumes after it.
        name: public, such as ``task.started``.
        phase, progress_permille, progress_note: of the task after the event.
        task: as it is now, which may be later than the event.
    """

    seq: int
    name: str
    at_ms: int
    phase: Phase
    progress_permille: int
    progress_note: str
    data: dict[str, Json]
    task: TaskRow


def public_name(kind: str) -> str:
    """The name under which clients know a stored event."""
    return _PUBLIC_NAMES.get(kind, kind)


class Events:
    """Streams of events."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed

    async def of_task(
        self, account: Account, task_id: str, after_seq: int = 0
    ) -> AsyncGenerator[Happening]:
        """Every event of a task after ``after_seq``, as they come, until the task has ended.

        Raises:
            NotFound: no such task of this account (when the first event is asked for).
        """
        # Folded from the beginning, so that a resumed stream knows where the task was too.
        seq, phase, permille, note = 0, Phase.QUEUED, 0, ""

        def read(conn: Connection) -> tuple[TaskRow, list[TaskEvent]]:
            row = owned(conn, account, task_id)
            return row, events.after(conn, seq, task_id=task_id)

        async with self._feed.subscribe() as changed:
            while True:
                row, page = await self._database.read(read)
                for event in page:
                    seq, phase = event.seq, _phase(event, phase, row)
                    permille, note = _progress(event, permille, note)
                    if seq > after_seq:
                        yield _happening(event, phase, permille, note, row)
                if len(page) < PAGE_MAX:
                    if row.phase in TERMINAL:
                        return
                    await changed.wait()

    async def newest(self) -> int:
        """The position of the newest event: where somebody begins who wants what is to come."""
        return await self._database.read(events.last_seq)

    async def of_account(self, account: Account, after_seq: int) -> AsyncGenerator[Happening]:
        """Events of all tasks of the account after ``after_seq``, as they come; never ends."""
        async with self._feed.subscribe() as changed:
            seq = after_seq

            def read(conn: Connection) -> list[tuple[TaskEvent, TaskRow | None]]:
                page = events.after(conn, seq, account_id=account.id)
                rows = {event.task_id: tasks.get(conn, event.task_id) for event in page}
                return [(event, rows[event.task_id]) for event in page]

            while True:
                page = await self._database.read(read)
                for event, row in page:
                    seq = event.seq
                    if row is not None and row.belongs_to is None:
                        phase = _phase(event, row.phase, row)
                        permille, note = _progress(event, row.progress_permille, row.progress_note)
                        yield _happening(event, phase, permille, note, row)
                if len(page) < PAGE_MAX:
                    await changed.wait()


def _phase(event: TaskEvent, phase: Phase, row: TaskRow) -> Phase:
    """Where the task was after the event, if it was there before."""
    if event.kind == "task.created":
        return Phase.WAITING if row.state.needs.task_ids else Phase.QUEUED
    return _PHASE_OF_KIND.get(event.kind, phase)


def _progress(event: TaskEvent, permille: int, note: str) -> tuple[int, str]:
    """How far the task was after the event, if it was so far before."""
    if event.kind != PROGRESS:
        return permille, note
    now, words = event.data["progress_permille"], event.data["note"]
    assert isinstance(now, int), "stored by us"
    assert isinstance(words, str), "stored by us"
    return now, words


def _happening(event: TaskEvent, phase: Phase, permille: int, note: str, row: TaskRow) -> Happening:
    return Happening(
        event.seq, public_name(event.kind), event.at_ms, phase, permille, note, event.data, row
    )
