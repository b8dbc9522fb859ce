"""Checkpoints of jobs: taken while they run and of what they left, and put back before they begin.

A running job is frozen only while its files are listed and opened; they are hashed and uploaded while it
goes on. What is uploaded, and in which order, makes a checkpoint that is complete or does not exist: its
files, then its manifest, and only then is anybody told.
"""

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx
import trio

from neurogrid_marketplace.checkpoint import MAX_MANIFEST_BYTES, Checkpoint
from neurogrid_marketplace.checkpoint_manifest import Manifest, manifest_of, read_manifest
from neurogrid_marketplace.job import InputFile, OutputFile
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import Start

from ..container.errors import ContainerGone
from ..container.job_engine import JobEngine
from ..container.views import ContainerState
from ..files.artifacts import CHECKPOINTS, ArtifactError, Artifacts
from ..files.workspace import OpenedFiles, OutputRefused, Workspace, Workspaces
from .job_state import JobState

_log = logging.getLogger(__name__)

# How long one file is tried while the coordinator does not answer: the next checkpoint comes anyway.
_PATIENCE_S = 120
# At once on this machine: each has up to 256 files open, and reads them.
_AT_ONCE = 2
# What a run left is uploaded before its end is reported, and somebody may wait for its place.
FINAL_LIMIT_S = 120
_NOTE_CHARS_MAX = 200
_MANIFEST = "manifest"
_UNFINISHED = "unfinished"


class Checkpoints:
    """Takes and restores the checkpoints of this machine's jobs."""

    def __init__(
        self,
        *,
        engine: JobEngine,
        workspaces: Workspaces,
        http: httpx.AsyncClient,
        own_hosts: Callable[[str], Sequence[str]],
    ) -> None:
        """
        Args:
            own_hosts: of a coordinator, see `artifact_host.find_host`.
        """
        self._engine = engine
        self._workspaces = workspaces
        self._http = http
        self._own_hosts = own_hosts
        self._places = trio.CapacityLimiter(_AT_ONCE)

    async def take(
        self, lease: NodeLease, start: Start, job: JobState, name: str, number: int
    ) -> Checkpoint | None:
        """A checkpoint of a running job, uploaded; None, and a note for people, if there is none.

        Args:
            name: of its container.

        Raises:
            EngineError: the engine went away, perhaps while the job was frozen.
        """
        async with self._places:
            try:
                opened = await self._open_frozen(lease.lease_id, job, name)
                if opened is None:
                    return None
                with opened:
                    return await self._upload(lease, start, opened, number)
            except (OutputRefused, ArtifactError, OSError) as error:
                _missed(lease, job, number, error)
        return None

    async def take_final(
        self, lease: NodeLease, start: Start, job: JobState, number: int
    ) -> Checkpoint | None:
        """A checkpoint of what a run has left, uploaded; None if there is none (in time)."""
        with trio.move_on_after(FINAL_LIMIT_S):
            async with self._places:
                try:
                    with await self._workspaces.open_checkpoint(lease.lease_id) as opened:
                        return await self._upload(lease, start, opened, number)
                except (OutputRefused, ArtifactError, OSError) as error:
                    _missed(lease, job, number, error)
                    return None
        _missed(lease, job, number, TimeoutError(f"not uploaded in {FINAL_LIMIT_S} s"))
        return None

    async def restore(self, lease: NodeLease, start: Start, workspace: Workspace) -> None:
        """Put the files of the checkpoint that the job begins from into its folder, once.

        What a job has made of them since is never overwritten: it may run already when a node that was
        killed comes here again.

        Raises:
            ArtifactError: a file could not be had, or is not what was named.
            MalformedMessage: the manifest is not that of the checkpoint.
        """
        resumed = start.resumed
        if resumed is None or await trio.Path(workspace.resumed / _MANIFEST).exists():
            return
        artifacts = self._artifacts(lease, start)
        wanted = InputFile(_UNFINISHED, resumed.manifest_sha256, MAX_MANIFEST_BYTES)
        await artifacts.fetch(wanted, workspace.resumed)
        unfinished = workspace.resumed / _UNFINISHED
        manifest = read_manifest(await trio.Path(unfinished).read_bytes(), resumed)
        for file in manifest.files:
            place = InputFile(file.path, file.sha256, file.size_bytes)
            await artifacts.fetch(place, workspace.checkpoint)
        await trio.to_thread.run_sync(
            _give_away, workspace.checkpoint, manifest, self._workspaces.owner
        )
        await trio.to_thread.run_sync(os.replace, unfinished, workspace.resumed / _MANIFEST)

    async def _open_frozen(self, lease_id: str, job: JobState, name: str) -> OpenedFiles | None:
        async with job.steering:
            try:
                if (await self._engine.inspect(name)).state is not ContainerState.RUNNING:
                    return None
                with ExitStack() as held:
                    try:
                        await self._engine.pause(name)
                        opened = await self._workspaces.open_checkpoint(lease_id)
                        held.enter_context(opened)
                    finally:
                        with trio.CancelScope(shield=True):
                            await self._engine.unpause(name)
                    held.pop_all()
                    return opened
            except ContainerGone:
                return None

    async def _upload(
        self, lease: NodeLease, start: Start, opened: OpenedFiles, number: int
    ) -> Checkpoint:
        artifacts = self._artifacts(lease, start)
        files: list[OutputFile] = []
        for each in opened.files:
            file = await trio.to_thread.run_sync(each.hashed)
            await artifacts.put(file, each.host_path)
            files.append(file)
        manifest = manifest_of(files)
        checkpoint = manifest.checkpoint(number)
        await artifacts.put_bytes(checkpoint.manifest_sha256, manifest.encoded(), "manifest")
        return checkpoint

    def _artifacts(self, lease: NodeLease, start: Start) -> Artifacts:
        return Artifacts(
            self._http,
            start.artifacts_url,
            start.artifacts_token,
            coordinator=lease.coordinator,
            own_hosts=self._own_hosts(lease.coordinator),
            patience_s=_PATIENCE_S,
            place=CHECKPOINTS,
        )


def _missed(lease: NodeLease, job: JobState, number: int, error: Exception) -> None:
    _log.warning("lease %s: no checkpoint %d: %s", lease.lease_id, number, error)
    job.note = f"checkpoint {number} was not taken: {error}"[:_NOTE_CHARS_MAX]


def _give_away(folder: Path, manifest: Manifest, owner: tuple[int, int]) -> None:
    """Make the restored files the job's own, as if it had written them."""
    if os.geteuid() != 0:
        return
    for file in manifest.files:
        path = folder / file.path
        while path != folder:
            os.chown(path, *owner, follow_symlinks=False)
            path = path.parent
