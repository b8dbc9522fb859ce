"""Counts what models have read and made, once their tasks have completed, by what their programs say of it."""

import asyncio
import logging
from typing import Final

from neurogrid_marketplace.model_catalogue import RESULT_BYTES_MAX, RESULT_FILE
from neurogrid_marketplace.model_requests import read_result, units_of

from .files.artifacts import BlobStore, StoreUnavailable
from .services.result_wait import output_bytes
from .store import tasks, unit_counts
from .store.database import Database, Overloaded
from .store.feed import Feed

_log = logging.getLogger(__name__)

# Between two looks at what is new; and before what could not be read is read again.
_PAUSE_S: Final = 1.0
_AGAIN_S: Final = 10.0


async def keep_counting(database: Database, feed: Feed, blobs: BlobStore) -> None:
    """For ever; cancel it to stop."""
    async with feed.subscribe() as changed:
        while True:
            try:
                await count_all(database, blobs)
            except (Overloaded, StoreUnavailable) as error:
                _log.info("answers of models are counted later: %s", error)
                await asyncio.sleep(_AGAIN_S)
                continue
            except Exception:  # noqa: BLE001 - what is not counted now is on the list still
                _log.exception("counting answers of models")
                await asyncio.sleep(_AGAIN_S)
                continue
            await changed.wait()
            await asyncio.sleep(_PAUSE_S)


async def count_all(database: Database, blobs: BlobStore) -> None:
    """Count every answer that is not counted yet.

    Raises:
        Overloaded, StoreUnavailable: not all of them can be, now.
    """
    after = ""
    while page := await database.read(unit_counts.uncounted, after):
        for task_id in page:
            await _count(database, blobs, task_id)
        after = page[-1]


async def _count(database: Database, blobs: BlobStore, task_id: str) -> None:
    row = await database.read(tasks.get, task_id)
    assert row is not None, "tasks are never deleted"
    data = await output_bytes(row, blobs, RESULT_FILE, RESULT_BYTES_MAX)
    result = None if data is None else await asyncio.to_thread(read_result, data)
    await database.write(
        unit_counts.count_answer, task_id, row.model or "", row.state.since_ms, units_of(result)
    )
