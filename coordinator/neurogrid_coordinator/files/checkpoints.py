"""Checkpoints as nodes report them: kept only if all of it is here, in one transaction with the task's state.

Also deletes what nobody needs any more from the disk.
"""

import asyncio
import logging

from sqlalchemy import Connection

from neurogrid_marketplace.checkpoint import MAX_MANIFEST_BYTES, Checkpoint
from neurogrid_marketplace.checkpoint_manifest import Manifest, read_manifest
from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.task import Task

from ..store import checkpoints
from ..store.database import Database, Overloaded
from .artifacts import BlobStore, StoreUnavailable, content

_log = logging.getLogger(__name__)

# How often it is looked for blobs that nobody needs.
_SWEEP_S = 30.0


class CheckpointDesk:
    """Looks at what nodes report: first at the file that lists the others, then, in a transaction, at all of it."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    async def manifest(self, checkpoint: Checkpoint | None) -> bytes | None:
        """The file that lists what a checkpoint consists of; None if it is not here, or there is no checkpoint.

        Raises:
            StoreUnavailable: see there.
        """
        if checkpoint is None:
            return None
        return await content(self._blobs, checkpoint.manifest_sha256, MAX_MANIFEST_BYTES)


def whole(
    conn: Connection, task_id: str, checkpoint: Checkpoint, listed: bytes | None
) -> Manifest | None:
    """The manifest of a checkpoint of which the task has everything; None if something is not here.

    Args:
        listed: as `CheckpointDesk.manifest` found it.
    """
    if listed is None or checkpoints.blob_bytes(conn, task_id, checkpoint.manifest_sha256) is None:
        return None
    try:
        manifest = read_manifest(listed, checkpoint)
    except MalformedMessage as error:
        _log.warning("checkpoint %d of %s: %s", checkpoint.sequence, task_id, error)
        return None
    for file in manifest.files:
        if checkpoints.blob_bytes(conn, task_id, file.sha256) != file.size_bytes:
            _log.warning("checkpoint %d of %s lacks %s", checkpoint.sequence, task_id, file.path)
            return None
    return manifest


def save(conn: Connection, after: Task, checkpoint: Checkpoint, manifest: Manifest) -> None:
    """Keep what it consists of, if the task has kept it; and nothing that it has not."""
    if any(kept.checkpoint == checkpoint for kept in after.checkpoints):
        listed = OutputFile("manifest", checkpoint.manifest_sha256, len(manifest.encoded()))
        checkpoints.add(conn, after.task_id, checkpoint.sequence, listed, manifest.files)
        checkpoints.retain(conn, after.task_id, sequences_of(after))


def sequences_of(task: Task) -> set[int]:
    """The numbers of those that a task keeps."""
    return {kept.checkpoint.sequence for kept in task.checkpoints}


class BlobSweeper:
    """Deletes blobs that nothing refers to any more."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs

    async def run(self) -> None:
        """For ever; cancel it to stop."""
        while True:
            try:
                while await self.sweep() == checkpoints.UNNEEDED_MAX:
                    pass
            except Overloaded:
                _log.debug("the database has more urgent things to do")
            except StoreUnavailable as error:
                _log.warning("blobs that nobody needs stay for now: %s", error)
            await asyncio.sleep(_SWEEP_S)

    async def sweep(self) -> int:
        """Look at some of them; how many."""
        waiting = await self._database.read(checkpoints.unneeded)
        for sha256 in waiting:
            # Whoever makes it somebody's has the turn meanwhile, so nobody can come in between.
            async with self._blobs.turns.of(sha256):
                # As a write, which only who leads may do: one that was replaced meanwhile deletes nothing.
                if not await self._database.write(checkpoints.is_needed, sha256):
                    await self._blobs.remove(sha256)
                await self._database.write(checkpoints.forget_unneeded, sha256)
        return len(waiting)
