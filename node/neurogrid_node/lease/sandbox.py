"""All leases' jobs on this machine: containers with everything around them.

Performs what `executor` asks for; knows nothing of the market. Every operation may be repeated after
a crash and finds what the first try left. How a job gets ready is in `preparation`, how it is
followed in `watching`.
"""

import json
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import trio

from neurogrid_marketplace.canonical import sha256_hex
from neurogrid_marketplace.checkpoint import Checkpoint
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.lease import Collected, NodeLease, Ran, Served
from neurogrid_marketplace.messages import Start
from neurogrid_marketplace.service import Service
from neurogrid_marketplace.usage import LeaseUsage

from ..container.errors import ContainerGone
from ..container.job_engine import JobEngine
from ..container.spec import CONTAINER_NAME_PREFIX
from ..egress.jobs import JobNetworks
from ..files.artifacts import ArtifactRefused, Artifacts
from ..files.workspace import DiskError, OutputRefused, Workspaces
from ..gang.gangs import Gangs
from ..journal import Journal, JournalThread
from ..market.reclaiming import notice
from .checkpoints import Checkpoints
from .gpus import LeaseGpus
from .job_log import JobLog
from .job_state import JobState
from .lease_usage import lease_usage
from .preparation import Preparation, Prepared
from .progress import Progress
from .watching import Watcher

_log = logging.getLogger(__name__)

# A job that is told to stop has this long to write down what it knows.
STOP_GRACE_S = 3.0
_OUTPUTS_MAX = 1000


class Sandbox:
    """All leases' jobs on this machine."""

    def __init__(
        self,
        *,
        engine: JobEngine,
        workspaces: Workspaces,
        preparation: Preparation,
        watcher: Watcher,
        gangs: Gangs,
        gpus: LeaseGpus,
        checkpoints: Checkpoints,
        networks: JobNetworks,
        journal: JournalThread,
        http: httpx.AsyncClient,
        logs: Path,
        own_hosts: Callable[[str], Sequence[str]],
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            logs: directory of the log files.
            own_hosts: of a coordinator, see `artifact_host.find_host`.
        """
        self._engine = engine
        self._workspaces = workspaces
        self._preparation = preparation
        self._watcher = watcher
        self._gangs = gangs
        self._gpus = gpus
        self._checkpoints = checkpoints
        self._networks = networks
        self._journal = journal
        self._http = http
        self._logs = logs
        self._own_hosts = own_hosts
        self._now_ms = now_ms
        self._jobs: dict[str, JobState] = {}

    # --- what others ask ---------------------------------------------------------------------

    def progress(self, lease_id: str) -> Progress:
        """What the program, or the preparation, says of itself."""
        job = self._jobs.get(lease_id)
        if job is None:
            return Progress()
        return Progress(job.log.progress.permille, job.log.progress.note or job.note)

    def is_ready(self, lease_id: str) -> bool:
        """Whether its service was well when it was looked at last."""
        job = self._jobs.get(lease_id)
        return job is not None and job.ready

    def memory_peak_bytes(self, lease_id: str) -> int:
        """The most memory seen in use."""
        job = self._jobs.get(lease_id)
        return job.usage.memory_peak_bytes if job else 0

    def usage(self, lease_id: str) -> LeaseUsage | None:
        """What its job uses; None before it runs, and where nobody can tell."""
        job = self._jobs.get(lease_id)
        if job is None:
            return None
        return lease_usage(job.usage, self._networks.use(lease_id), self._gpus.states(lease_id))

    def served(self, lease_id: str) -> Served | None:
        """A job is paid by the time."""
        return None

    def ends(self, lease_id: str) -> None:
        """Who comes into a job from outside is asked for the lease's own state."""

    def asks_for_checkpoint(self, lease_id: str) -> bool:
        """Whether the program has asked for one since this was asked last."""
        job = self._jobs.get(lease_id)
        if job is None or not job.log.asks_for_checkpoint:
            return False
        job.log.asks_for_checkpoint = False
        return True

    async def log_grown(self, lease_id: str, beyond_bytes: int) -> None:
        """Wait for more log than that."""
        await (await self._job(lease_id)).log.grown(beyond_bytes)

    async def read_log(self, lease_id: str, offset: int, max_bytes: int) -> str:
        """A piece of the log."""
        return await (await self._job(lease_id)).log.read(offset, max_bytes)

    # --- what a runner does ------------------------------------------------------------------

    async def prepare(self, lease: NodeLease, start: Start, *, resumed: bool) -> Prepared:
        """Escrow, image, files; then create and start the container.

        Raises:
            PrepareError: with the outcome to report.
        """
        job = await self._job(lease.lease_id)
        return await self._preparation.prepare(lease, start, job, resumed=resumed)

    async def watch(self, lease_id: str, service: Service | None = None) -> Ran:
        """Follow a container to its end; one that is gone, or never ran, has ended too.

        Raises:
            EngineError: the engine is away for the moment; ask again.
        """
        job = await self._job(lease_id)
        return await self._watcher.watch(
            lease_id, self._name(lease_id), job, self._now_ms(), service
        )

    async def pause(self, lease_id: str) -> None:
        """Freeze it; one that has ended, or is gone, is left alone."""
        async with (await self._job(lease_id)).steering:
            try:
                await self._engine.pause(self._name(lease_id))
            except ContainerGone:
                return

    async def resume(self, lease_id: str) -> None:
        """Let it go on; one that has ended, or is gone, is left alone."""
        async with (await self._job(lease_id)).steering:
            try:
                await self._engine.unpause(self._name(lease_id))
            except ContainerGone:
                return

    async def warn(self, lease_id: str, stops_at_ms: int) -> None:
        """Let the job know when it will be stopped."""
        await self._workspaces.warn(lease_id, notice(stops_at_ms))

    async def stop(self, lease_id: str) -> None:
        """Ask it to end, then end it. A paused one has to be woken to hear it."""
        await self.resume(lease_id)
        await self._engine.stop(self._name(lease_id), grace_s=STOP_GRACE_S)

    async def checkpoint(self, lease: NodeLease, start: Start, number: int) -> Checkpoint | None:
        """Take a checkpoint of the running job, and upload it; None if there is none.

        Raises:
            EngineError: the engine went away, and may have left the job frozen.
        """
        job, name = await self._job(lease.lease_id), self._name(lease.lease_id)
        return await self._checkpoints.take(lease, start, job, name, number)

    async def collect(
        self, lease: NodeLease, start: Start, *, keep: bool, checkpoint: int = 0
    ) -> Collected:
        """Check and upload the outputs; ``keep`` False leaves them.

        Waits for a coordinator that is away for as long as that takes: the deadline is the caller's.

        Args:
            checkpoint: number of the one that is to be taken of what the run has left; 0 for none.
        """
        job = await self._job(lease.lease_id)
        profile = await self._journal.call(Journal.profile, lease.lease_id)
        outputs: tuple[OutputFile, ...] = ()
        refused: Outcome | None = None
        message = ""
        if keep:
            try:
                outputs = await self._upload(lease, start)
            except OutputRefused as error:
                refused, message = Outcome.OUTPUT_REFUSED, str(error)
            except ArtifactRefused as error:
                # The result stays true without its files, but the client can't have them.
                refused, message = Outcome.RESULT_INVALID, str(error)
        left = None
        if checkpoint:
            left = await self._checkpoints.take_final(lease, start, job, checkpoint)
        return Collected(
            outputs=outputs,
            logs_sha256=await job.log.sha256(),
            logs_bytes=job.log.size_bytes,
            profile_hash=sha256_hex(json.loads(profile)),
            refused=refused,
            message=message,
            checkpoint=left,
            network=self._networks.use(lease.lease_id),
        )

    async def clear(self, lease_id: str) -> None:
        """Remove the container, its links and its files, and clean its GPUs; the log stays until `forget`.

        Raises:
            EngineError, DiskError, OSError: something is still there; ask again.
        """
        job = self._jobs.get(lease_id)
        await self._engine.remove((job and job.container_id) or self._name(lease_id))
        await self._networks.leave(lease_id)
        await self._gangs.leave(lease_id)
        await self._workspaces.destroy(lease_id)
        await self._gpus.scrub(lease_id)

    async def forget(self, lease_id: str) -> None:
        """Remove the rest, after `clear`."""
        self._jobs.pop(lease_id, None)
        await trio.Path(self._log_path(lease_id)).unlink(missing_ok=True)

    async def sweep(self, keep: set[str]) -> None:
        """At start: remove what the journal does not know. What cannot be removed is logged.

        Raises:
            EngineError: the engine is away.
        """
        for found in await self._engine.list_leases():
            if found.lease_id not in keep:
                _log.warning("removing container of forgotten lease %s", found.lease_id)
                await self._engine.remove(found.container_id)
        await self._networks.sweep(keep)
        await self._gangs.sweep(keep)
        for lease_id in await self._workspaces.list():
            if lease_id not in keep:
                try:
                    await self._workspaces.destroy(lease_id)
                except (DiskError, OSError) as error:
                    _log.error("files of forgotten lease %s: %s", lease_id, error)
        for path in self._logs.glob("*.log"):
            if path.stem not in keep:
                path.unlink(missing_ok=True)

    # --- steps -------------------------------------------------------------------------------

    async def _upload(self, lease: NodeLease, start: Start) -> tuple[OutputFile, ...]:
        files = await self._workspaces.collect(lease.lease_id)
        if len(files) > _OUTPUTS_MAX:
            raise OutputRefused(
                "too_many_files", f"{len(files)} output files; at most {_OUTPUTS_MAX}: pack them"
            )
        artifacts = Artifacts(
            self._http,
            start.artifacts_url,
            start.artifacts_token,
            coordinator=lease.coordinator,
            own_hosts=self._own_hosts(lease.coordinator),
            # A coordinator that is away is waited for: the work is done, only its files are missing.
            patience_s=math.inf,
        )
        outputs = []
        for file in files:
            output = OutputFile(file.path, file.sha256, file.size_bytes)
            await artifacts.put(output, file.host_path)
            outputs.append(output)
        return tuple(outputs)

    async def _job(self, lease_id: str) -> JobState:
        job = self._jobs.get(lease_id)
        if job is None:
            log = JobLog(lease_id, self._log_path(lease_id), self._journal)
            job = self._jobs[lease_id] = JobState(log)
        await job.log.open()
        return job

    def _name(self, lease_id: str) -> str:
        return f"{CONTAINER_NAME_PREFIX}{lease_id}"

    def _log_path(self, lease_id: str) -> Path:
        return self._logs / f"{lease_id}.log"
