"""Writes what waiting tasks ask their models, with words that other tasks have left (marketplace `prompts`).

A task is on the list from the transaction that ends the last task it needs, until the one that fixes its inputs; so it is
written whoever dies in between, and once more is the same file.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final

from neurogrid_marketplace.job import InputFile
from neurogrid_marketplace.model_catalogue import REQUEST_FILE
from neurogrid_marketplace.prompts import SOURCE_BYTES_MAX, PromptUnfit, with_words, words_of
from neurogrid_marketplace.task_events import DependencyUnmet

from .files.artifacts import BlobStore, StoreUnavailable, content
from .services.artifacts import Artifacts, Upload
from .services.errors import PayloadTooLarge, Unavailable
from .services.result_wait import output_bytes
from .store import accounts, needs, tasks
from .store.database import Database, Overloaded
from .store.feed import Feed
from .store.tasks import TaskRow
from .tasks.steps import Step, fix_request

_log = logging.getLogger(__name__)

# Others of this database may have stored one, of which this process hears nothing.
_LOOK_EVERY_S: Final = 5.0
_AGAIN_S: Final = 5.0
# So long after something has happened, the list is looked at: once for all that happens meanwhile.
_GATHER_S: Final = 0.05
# A request has at most a prompt, and JSON's escapes of it.
_REQUEST_BYTES_MAX: Final = 16 * 1024 * 1024
_CODE: Final = "PROMPT_UNFIT"


class RequestWriter:
    """See the module.

    Args:
        follow: performs what a step asks for.
    """

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        blobs: BlobStore,
        artifacts: Artifacts,
        follow: Callable[[Step], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._feed = feed
        self._blobs = blobs
        self._artifacts = artifacts
        self._follow = follow
        self._now_ms = now_ms

    async def run(self) -> None:
        """For ever; cancel it to stop."""
        async with self._feed.subscribe() as changed:
            while True:
                try:
                    await self.write_all()
                except (Overloaded, StoreUnavailable, Unavailable) as error:
                    _log.info("requests to models are written later: %s", error)
                    await asyncio.sleep(_AGAIN_S)
                    continue
                except Exception:  # noqa: BLE001 - what is not written now is on the list still
                    _log.exception("writing requests to models")
                    await asyncio.sleep(_AGAIN_S)
                    continue
                try:
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await changed.wait()
                except TimeoutError:
                    continue
                # Everything that happens to any task wakes this; the list is nearly always empty.
                await asyncio.sleep(_GATHER_S)

    async def write_all(self) -> None:
        """Write all that can be written.

        Raises:
            Overloaded, StoreUnavailable, Unavailable: not now.
        """
        while page := await self._database.read(needs.unwritten):
            for task_id in page:
                await self._write(task_id)

    async def _write(self, task_id: str) -> None:
        row = await self._database.read(tasks.get, task_id)
        assert row is not None, "tasks are never deleted"
        fixed: InputFile | DependencyUnmet
        try:
            fixed = await self._kept(row, await self._request(row))
        except PromptUnfit as error:
            fixed = DependencyUnmet(_CODE, f"{error}.")
        except PayloadTooLarge as error:
            fixed = DependencyUnmet(_CODE, f"What it would ask can't be kept: {error.message}.")
        step = await self._database.write(fix_request, task_id, fixed, self._now_ms())
        if step is not None:
            self._follow(step)

    async def _request(self, row: TaskRow) -> bytes:
        """Raises PromptUnfit: what others have left can't stand in it."""
        words: dict[str, str] = {}
        for part in row.state.needs.prompt:
            source = await self._database.read(tasks.get, part.task_id)
            assert source is not None, "tasks are never deleted"
            left = await output_bytes(source, self._blobs, part.output, SOURCE_BYTES_MAX)
            if left is None:
                raise PromptUnfit(
                    f"{part.output} of {part.task_id} has more than {SOURCE_BYTES_MAX} bytes, or is no longer kept"
                )
            words[part.name] = await asyncio.to_thread(words_of, left, part)
        (template,) = (item for item in row.job.inputs if item.path == REQUEST_FILE)
        asked = await content(self._blobs, template.sha256, _REQUEST_BYTES_MAX)
        if asked is None:
            raise PromptUnfit("what it was to ask is no longer kept")
        return await asyncio.to_thread(with_words, asked, words)

    async def _kept(self, row: TaskRow, request: bytes) -> InputFile:
        account = await self._database.read(accounts.get, row.account_id)
        assert account is not None, "a task refers to its account"
        digest = hashlib.sha256(request).hexdigest()

        async def chunks() -> AsyncIterator[bytes]:
            yield request

        await self._artifacts.put(account, Upload(digest, chunks(), len(request)))
        return InputFile(REQUEST_FILE, digest, len(request))
