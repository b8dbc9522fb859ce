"""The requests of a batch: where they come from, what they inherit, and each as a task that might be stored."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from typing import BinaryIO

import msgspec

from neurogrid_marketplace.canonical import Json

from ..batches.batch_csv import CsvRefused, CsvTask, read_tasks
from ..files.uploads import UploadsRefused
from ..store import artifacts
from ..store.accounts import Account
from ..store.database import Database
from .errors import InvalidRequest
from .intake import Draft
from .submission import Submission
from .tasks import Tasks

# Rows that are looked at together; between a few of them other requests get their turn.
PIECE_ROWS = 250
TURN_ROWS = 10
_NAME_CHARS_MAX = 200
# Of these a task adds to what the batch says; any other field takes the place of the batch's.
_MERGED = ("env", "resource_requirements", "parameters")

# Reads a task's request: JSON, the account's wallet, what its fields' paths begin with.
ReadTask = Callable[[bytes, str, str], Submission]
Keep = Callable[[Account, Submission], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A task of a batch, as asked for.

    Attributes:
        client_id: "" where its owner gives it none.
        place: what its fields' paths in the request begin with.
        task_id: of the task that it will be; None for a new one.
    """

    client_id: str
    request: Mapping[str, Json]
    place: str
    task_id: str | None = None


# A batch's tasks, some at a time.
Source = AsyncIterator[Sequence[Wanted]]


async def listed(
    tasks: Sequence[Mapping[str, Json]], place: str = ""
) -> AsyncGenerator[Sequence[Wanted]]:
    """Tasks that stand in the request, whose fields' paths begin with ``place``.

    Raises:
        InvalidRequest: an id is no text.
    """
    for start in range(0, len(tasks), PIECE_ROWS):
        piece = []
        for index, task in enumerate(tasks[start : start + PIECE_ROWS], start):
            client_id = task.get("id", "")
            where = f"{place}tasks[{index}]."
            if not isinstance(client_id, str) or ("id" in task and not client_id):
                raise InvalidRequest(f"{where}id: must be a text that is not empty", f"{where}id")
            request = {name: value for name, value in task.items() if name != "id"}
            piece.append(Wanted(client_id, request, where))
        yield piece


async def from_csv(
    opened: Callable[[], AbstractContextManager[BinaryIO]], fields: Collection[str], field: str
) -> AsyncGenerator[Sequence[Wanted]]:
    """Tasks that are the rows of a file.

    Args:
        opened: opens it.
        fields: that a task has.
        field: of the request that names the file.

    Raises:
        InvalidRequest: it can't be read, or is no table of tasks.
    """
    with ExitStack() as stack:
        try:
            file = await asyncio.to_thread(lambda: stack.enter_context(opened()))
            rows = read_tasks(file, fields)
            while piece := await asyncio.to_thread(_some, rows):
                yield [Wanted(row.client_id, row.request, f"line {row.line}: ") for row in piece]
        except (CsvRefused, UploadsRefused) as error:
            raise InvalidRequest(f"{field}: {error}", field) from error


def merged(defaults: Mapping[str, Json], request: Mapping[str, Json]) -> dict[str, Json]:
    """A task's whole request: its own fields, and the batch's where it has none."""
    whole = {**defaults, **request}
    for name in _MERGED:
        shared, own = defaults.get(name), request.get(name)
        if isinstance(shared, Mapping) and isinstance(own, Mapping):
            whole[name] = {**shared, **own}
    return whole


class BatchTasks:
    """Makes tasks of batches' requests.

    Args:
        read_task: as the API takes a single task.
        keep: of a task that asks a model, keeps what it asks as a file of the account (`services.models`).
    """

    def __init__(self, database: Database, tasks: Tasks, read_task: ReadTask, keep: Keep) -> None:
        self._database = database
        self._tasks = tasks
        self._read_task = read_task
        self._keep = keep

    async def drafts(
        self, account: Account, defaults: Mapping[str, Json], name: str, rows: Sequence[Wanted]
    ) -> AsyncGenerator[tuple[Wanted, Draft]]:
        """Each row as the task that it would be now.

        Args:
            name: of the batch; a task without a name is named after it.

        Raises:
            InvalidRequest: one is wrong, or has an input that is not here.
        """
        read: list[tuple[Wanted, Submission]] = []
        for index, row in enumerate(rows):
            if index % TURN_ROWS == 0:
                await asyncio.sleep(0)
            read.append((row, self._submission(account, defaults, name, row)))
        digests = {item.sha256 for _, wanted in read for item in wanted.inputs}
        sizes: dict[str, int] = {}
        if digests:
            sizes = await self._database.read(
                lambda conn: artifacts.sizes(conn, account.id, digests)
            )
        for index, (row, wanted) in enumerate(read):
            if index % TURN_ROWS == 0:
                await asyncio.sleep(0)
            yield row, self._tasks.draft(wanted, sizes | wanted.own_sizes, row.place, row.task_id)

    async def draft(
        self, account: Account, defaults: Mapping[str, Json], name: str, row: Wanted
    ) -> Draft:
        """One row as the task that is to be stored now.

        Raises:
            InvalidRequest: see `drafts`; or its deadline can't be kept any more.
            RateLimited: the account has as many requests at its model as it may have at once.
        """
        drafts = [draft async for _, draft in self.drafts(account, defaults, name, [row])]
        await self._tasks.require_possible(drafts[0], row.place)
        await self._keep(account, drafts[0].wanted)
        return drafts[0]

    def _submission(
        self, account: Account, defaults: Mapping[str, Json], name: str, row: Wanted
    ) -> Submission:
        whole = merged(defaults, row.request)
        if not whole.get("name"):
            whole["name"] = f"{name}/{row.client_id}"[:_NAME_CHARS_MAX]
        wanted = self._read_task(msgspec.json.encode(whole), account.wallet, row.place)
        if wanted.names_urls:
            index = next(item.index for item in wanted.inputs if item.url is not None)
            field = f"{row.place}inputs[{index}].url"
            raise InvalidRequest(
                f"{field}: a task of a batch names files by hash; upload it with "
                "PUT /api/v1/artifacts/{sha256}",
                field,
            )
        # Each waits its turn anyway, and who fits may be away only now: its queue_timeout_seconds says how long.
        return replace(wanted, wait_for_node=True)


def _some(rows: Iterator[CsvTask]) -> list[CsvTask]:
    return list(islice(rows, PIECE_ROWS))
