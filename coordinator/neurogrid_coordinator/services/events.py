"""What happened to an account's tasks, and to what else it has, as a stream that can be resumed."""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.task import TERMINAL, Phase

from ..event_kinds import public_name, stored_names
from ..store import events, tasks
from ..store.accounts import Account
from ..store.database import Database
from ..store.events import PAGE_MAX, PROGRESS, TaskEvent
from ..store.feed import Feed
from ..store.tasks import TaskRow
from .event_tail import EventTail
from .task_details import owned

# Of events that nobody is told of, before a list says how far it has looked.
_PAGES_MAX = 100
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


@dataclass(frozen=True, slots=True)
class Notice:
    """An event that is about no task.

    Attributes:
        seq, name: as of `Happening`.
        subject_id: what it is about: a batch, a schedule, a webhook.
        data: to be shown as it is.
    """

    seq: int
    name: str
    at_ms: int
    subject_id: str
    data: dict[str, Json]


def happening_at(conn: Connection, seq: int) -> Happening | Notice | None:
    """The event at this place, as `Events.of_account` would tell it now; None where there is none.

    Of a task only its progress is told as it was then, and the rest as it is now.
    """
    event = events.get(conn, seq)
    return None if event is None else _told(event, tasks.get(conn, event.task_id))


class Events:
    """Streams of events."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed
        self._tail = EventTail(database, feed, _news, _news_of)

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

    async def beginning(self, after_seq: int | None) -> tuple[int, bool]:
        """After which event somebody begins who has seen ``after_seq`` last; and whether that is an event that we
        do not know, as when the database is of an older backup. None: with what is to come."""
        newest = await self.newest()
        if after_seq is None or after_seq > newest:
            return newest, after_seq is not None
        return after_seq, False

    async def page(
        self, account: Account, after_seq: int, limit: int, kinds: Collection[str] = ()
    ) -> tuple[list[Happening | Notice], int]:
        """Some of the account's events after ``after_seq``, oldest first, and how far that is: less than
        ``after_seq`` where that is an event that we do not know.

        Args:
            kinds: public names of those that are wanted; none for all. An empty list means that there are no
                more of them now.
        """
        stored = stored_names(kinds)

        def read(conn: Connection) -> tuple[list[Happening | Notice], int]:
            seq = after_seq
            told: list[Happening | Notice] = []
            for _ in range(_PAGES_MAX):
                page = events.after(conn, seq, account_id=account.id, kinds=stored, limit=limit)
                told = [one for _, one in _all_told(conn, page)]
                seq = page[-1].seq if page else seq
                # What is not told of, such as runs that only verify, may fill a page.
                if told or len(page) < limit:
                    break
            return told, seq if told else min(seq, events.last_seq(conn))

        return await self._database.read(read)

    def of_account(
        self,
        account: Account,
        after_seq: int,
        tell: Callable[[Sequence[Happening | Notice]], bool] | None = None,
    ) -> AsyncGenerator[Happening | Notice]:
        """Events of the account after ``after_seq``, as they come; never ends.

        Args:
            tell: see `EventTail.follow`.
        """
        return self._tail.follow(account.id, after_seq, tell)


def _news(
    conn: Connection, seq: int, account_ids: frozenset[str]
) -> tuple[list[tuple[str, Happening | Notice]], int]:
    page = events.after(conn, seq)
    found = _all_told(conn, [event for event in page if event.account_id in account_ids])
    return found, page[-1].seq if page else seq


def _news_of(conn: Connection, seq: int, account_id: str) -> tuple[list[Happening | Notice], int]:
    page = events.after(conn, seq, account_id=account_id)
    return [told for _, told in _all_told(conn, page)], page[-1].seq if page else seq


def _all_told(conn: Connection, page: Sequence[TaskEvent]) -> list[tuple[str, Happening | Notice]]:
    """Events that their account hears of, each with it."""
    rows = {event.task_id: tasks.get(conn, event.task_id) for event in page}
    told = ((event.account_id, _told(event, rows[event.task_id])) for event in page)
    return [(account_id, one) for account_id, one in told if one is not None]


def _told(event: TaskEvent, row: TaskRow | None) -> Happening | Notice | None:
    if not event.kind.startswith("task."):
        return Notice(event.seq, public_name(event.kind), event.at_ms, event.task_id, event.data)
    if row is None or row.belongs_to is not None:
        return None
    phase = _phase(event, row.phase, row)
    permille, note = _progress(event, row.progress_permille, row.progress_note)
    return _happening(event, phase, permille, note, row)


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
