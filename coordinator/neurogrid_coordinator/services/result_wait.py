"""Tasks that somebody waits for: submit one, wait until it has ended, and read what its program left."""

import asyncio
from contextlib import suppress

from neurogrid_marketplace.task import TERMINAL, Phase

from ..files.artifacts import BlobStore, content
from ..store.accounts import Account
from ..store.feed import Feed
from ..store.tasks import TaskRow
from .submission import Submission
from .tasks import Tasks

_LOOK_EVERY_S = 2.0


class ResultWait:
    """Submits tasks and waits.

    Args:
        wait_s: how long, at most; time in the queue included.
        stopping: set when the coordinator stops; nobody waits for a result then.
    """

    def __init__(self, tasks: Tasks, feed: Feed, wait_s: float, stopping: asyncio.Event) -> None:
        self._tasks = tasks
        self._feed = feed
        self._wait_s = wait_s
        self._stopping = stopping

    async def run(
        self, account: Account, wanted: Submission, wait_s: float | None = None
    ) -> TaskRow:
        """Submit a task and wait until it has ended, however it ends.

        Who gets no answer has no task: where waiting ends before the task does, because `wait_s` are over, the
        coordinator stops or the caller is cancelled, the task is cancelled too. (After a crash it runs on.)

        Args:
            wait_s: of this one, if it is less.

        Raises:
            as `Tasks.submit` does.
        """
        detail, _ = await self._tasks.submit(account, wanted)
        row = detail.row
        watch: list[asyncio.Future[object]] = [
            asyncio.ensure_future(self._until_ended(account, row.id)),
            asyncio.ensure_future(self._stopping.wait()),
        ]
        try:
            await asyncio.wait(
                watch,
                timeout=min(self._wait_s, wait_s or self._wait_s),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if watch[0].done():
                watch[0].result()
        finally:
            for each in watch:
                each.cancel()
            row = await asyncio.shield(self._tasks.cancel(account, row.id))
        return row

    async def _until_ended(self, account: Account, task_id: str) -> None:
        async with self._feed.subscribe() as changed:
            while (await self._tasks.get(account, task_id)).row.phase not in TERMINAL:
                # Another coordinator on the same database may be who ends it; the feed is this one's.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await changed.wait()


async def output_bytes(
    row: TaskRow, blobs: BlobStore, path: str, size_bytes_max: int
) -> bytes | None:
    """An output file of a completed task; None: there is none, or it is larger, or no longer kept.

    Raises:
        StoreUnavailable: it can't be read now.
    """
    if row.phase is not Phase.COMPLETED or row.state.result is None:
        return None
    for output in row.state.result.outputs:
        if output.path == path and output.size_bytes <= size_bytes_max:
            return await content(blobs, output.sha256, size_bytes_max)
    return None
