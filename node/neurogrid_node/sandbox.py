"""A lease's container with everything around it: image, files, log, usage, outputs.

Performs what `executor` asks for; knows nothing of the market. Every operation may be repeated after
a crash and finds what the first try left.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import httpx
import trio

from neurogrid_marketplace.canonical import sha256_hex
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.lease import Collected, ContainerRunning, NodeLease, Ran
from neurogrid_marketplace.messages import Start
from neurogrid_marketplace.resources import Requirements

from .artifacts import ArtifactError, Artifacts
from .container import Engine
from .container_errors import (
    CommandFailed,
    ContainerGone,
    EngineError,
    EngineLost,
    ImageError,
    ImageNotFound,
)
from .container_outcome import classify
from .container_profile import (
    CONTAINER_NAME_PREFIX,
    ContainerSpec,
    ImageInfo,
    SpecError,
    profile_report,
)
from .container_usage import Usage
from .container_views import ContainerState
from .earnings import Earnings, EscrowUnseen
from .job_log import JobLog
from .journal import Journal
from .progress import Progress
from .reservations import Reservation
from .workspace import DiskError, OutputRefused, Workspaces

_log = logging.getLogger(__name__)

# A job that is told to stop has this long to write down what it knows.
STOP_GRACE_S = 3.0
_OUTPUTS_MAX = 1000
_LOG_TAIL_PATIENCE_S = 5.0


class SandboxError(Exception):
    """A job could not be made ready to run; ``outcome`` says whose fault that is."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class _Live:
    """What is known of a lease while this process lives."""

    def __init__(self, log: JobLog) -> None:
        self.log = log
        self.usage = Usage()
        self.note = ""
        self.disk_full = False
        self.container_id = ""


class Sandbox:
    """All leases' sandboxes on this machine."""

    def __init__(
        self,
        *,
        engine: Engine,
        workspaces: Workspaces,
        earnings: Earnings,
        journal: Journal,
        journal_slot: trio.CapacityLimiter,
        http: httpx.AsyncClient,
        logs: Path,
        held: Callable[[str], Reservation | None],
        pids: int,
        may_pull: bool,
        stall_timeout_s: float,
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            logs: directory of the log files.
            held: what is reserved for a lease.
            pids: processes and threads one job may have.
        """
        self._engine = engine
        self._workspaces = workspaces
        self._earnings = earnings
        self._journal = journal
        self._slot = journal_slot
        self._http = http
        self._logs = logs
        self._held = held
        self._pids = pids
        self._may_pull = may_pull
        self._stall_timeout_s = stall_timeout_s
        self._now_ms = now_ms
        self._live: dict[str, _Live] = {}

    # --- what others ask ---------------------------------------------------------------------

    def progress(self, lease_id: str) -> Progress:
        """What the program, or the preparation, says of itself."""
        live = self._live.get(lease_id)
        if live is None:
            return Progress()
        return Progress(live.log.progress.permille, live.log.progress.note or live.note)

    def memory_peak_bytes(self, lease_id: str) -> int:
        """The most memory seen in use."""
        live = self._live.get(lease_id)
        return live.usage.memory_peak_bytes if live else 0

    async def log_grown(self, lease_id: str, beyond_bytes: int) -> None:
        """Wait for more log than that."""
        await (await self._of(lease_id)).log.grown(beyond_bytes)

    async def read_log(self, lease_id: str, offset: int, max_bytes: int) -> str:
        """A piece of the log."""
        return await (await self._of(lease_id)).log.read(offset, max_bytes)

    # --- what a runner does ------------------------------------------------------------------

    async def prepare(self, lease: NodeLease, start: Start, *, resumed: bool) -> ContainerRunning:
        """Escrow, image, files; then create and start the container.

        Raises:
            SandboxError: with the outcome to report.
        """
        live = await self._of(lease.lease_id)
        held = self._held(lease.lease_id)
        need = held.need if held else Requirements()
        image: ImageInfo | None = None

        async def get_image() -> None:
            nonlocal image
            image = await self._image(start.job.image, live)

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._earnings.await_escrow, lease, start)
                nursery.start_soon(get_image)
                workspace = await self._workspaces.create(lease.lease_id, need.disk_bytes)
                artifacts = Artifacts(self._http, start.artifacts_url, start.artifacts_token)
                for wanted in start.job.inputs:
                    live.note = f"fetching {wanted.path}"
                    await artifacts.fetch(wanted, workspace.inputs)
            assert image is not None, "the nursery ends when the image is here"
            live.note = ""
            spec = ContainerSpec(
                lease_id=lease.lease_id,
                node_id=self._engine.node_id,
                image=image,
                command=start.job.command or None,
                environment=tuple(start.job.environment.items()),
                cpu_millis=need.cpu_millis,
                memory_bytes=need.memory_bytes,
                pids=self._pids,
                disk_bytes=need.disk_bytes,
                gpu_uuids=tuple(gpu.uuid for gpu in held.gpus) if held else (),
                inputs_path=workspace.inputs,
                outputs_path=workspace.outputs,
                user=self._workspaces.user,
            )
            profile = json.dumps(profile_report(spec), sort_keys=True)
            live.container_id = await self._engine.create(spec)
            if resumed:
                view = await self._engine.inspect(live.container_id)
                if view.ended is not None:
                    # It ran while we were dead: starting it would run the job twice.
                    return ContainerRunning(view.ended.started_at_ns // 1_000_000)
            await self._engine.start(live.container_id)
            started_at_ms = self._now_ms()
            await trio.to_thread.run_sync(
                self._journal.save_profile, lease.lease_id, profile, limiter=self._slot
            )
            return ContainerRunning(started_at_ms)
        except BaseExceptionGroup as group:
            raise _as_sandbox_error(group) from group
        except (ArtifactError, DiskError, EngineError, EscrowUnseen, SpecError, OSError) as error:
            raise _as_sandbox_error(error) from error

    async def watch(self, lease: NodeLease) -> Ran:
        """Follow a container to its end: log, usage, disk; then say how it ended.

        Raises:
            EngineError: the engine is away for the moment; ask again.
        """
        lease_id = lease.lease_id
        live = await self._of(lease_id)
        name = live.container_id or f"{CONTAINER_NAME_PREFIX}{lease_id}"
        try:
            view = await self._engine.inspect(name)
        except ContainerGone:
            return Ran(Outcome.ENGINE_LOST, -1, "the container is gone", self._now_ms())
        live.container_id = view.container_id
        if view.state is ContainerState.CREATED:
            return Ran(Outcome.CANCELLED, -1, "stopped before it started", self._now_ms())
        try:
            async with trio.open_nursery() as nursery:
                log_done = trio.Event()
                nursery.start_soon(self._follow_log, live, log_done)
                nursery.start_soon(self._follow_usage, live)
                nursery.start_soon(self._follow_disk, lease_id, live)
                ended = await self._engine.wait(live.container_id)
                with trio.move_on_after(_LOG_TAIL_PATIENCE_S):
                    await log_done.wait()
                nursery.cancel_scope.cancel()
        except (EngineLost, ContainerGone) as error:
            return Ran(Outcome.ENGINE_LOST, -1, str(error), self._now_ms())
        verdict = classify(
            ended,
            disk_full=live.disk_full or await self._workspaces.is_full(lease_id),
            pids_exhausted=live.usage.pids_peak >= self._pids,
        )
        return Ran(
            outcome=verdict.outcome,
            exit_code=ended.code,
            message=verdict.message,
            started_at_ms=ended.started_at_ns // 1_000_000,
            finished_at_ms=ended.finished_at_ns // 1_000_000,
            memory_peak_bytes=live.usage.memory_peak_bytes,
        )

    async def pause(self, lease_id: str) -> None:
        """Freeze it."""
        await self._engine.pause(self._name(lease_id))

    async def resume(self, lease_id: str) -> None:
        """Let it go on."""
        await self._engine.unpause(self._name(lease_id))

    async def stop(self, lease_id: str) -> None:
        """Ask it to end, then end it. A paused one has to be woken to hear it."""
        name = self._name(lease_id)
        try:
            await self._engine.unpause(name)
        except ContainerGone:
            return
        await self._engine.stop(name, grace_s=STOP_GRACE_S)

    async def collect(self, lease_id: str, start: Start, *, keep: bool) -> Collected:
        """Check and upload the outputs; ``keep`` False leaves them."""
        live = await self._of(lease_id)
        profile = await trio.to_thread.run_sync(self._journal.profile, lease_id, limiter=self._slot)
        outputs: tuple[OutputFile, ...] = ()
        refused: Outcome | None = None
        message = ""
        if keep:
            try:
                outputs = await self._upload(lease_id, start)
            except OutputRefused as error:
                refused, message = Outcome.OUTPUT_REFUSED, str(error)
            except ArtifactError as error:
                # The result stays true without its files, but the client can't have them.
                refused, message = Outcome.RESULT_INVALID, str(error)
        return Collected(
            outputs=outputs,
            logs_sha256=await live.log.sha256(),
            logs_bytes=live.log.size_bytes,
            profile_hash=sha256_hex(json.loads(profile)),
            refused=refused,
            message=message,
        )

    async def remove(self, lease_id: str) -> None:
        """Remove container, files and log; removing twice is no error."""
        await self._engine.remove(self._name(lease_id))
        await self._workspaces.destroy(lease_id)
        self._live.pop(lease_id, None)
        await trio.Path(self._log_path(lease_id)).unlink(missing_ok=True)

    async def sweep(self, keep: set[str]) -> None:
        """At start: remove containers and files of leases that the journal does not know."""
        for found in await self._engine.list_leases():
            if found.lease_id not in keep:
                _log.warning("removing container of forgotten lease %s", found.lease_id)
                await self._engine.remove(found.container_id)
        for lease_id in await self._workspaces.list():
            if lease_id not in keep:
                await self._workspaces.destroy(lease_id)

    # --- steps -------------------------------------------------------------------------------

    async def _image(self, reference: str, live: _Live) -> ImageInfo:
        found = await self._engine.image(reference)
        if found is not None:
            return found
        if not self._may_pull:
            raise SandboxError(Outcome.IMAGE_NOT_FOUND, f"{reference} is not on this node")
        live.note = f"pulling {reference}"

        def report(progress: object) -> None:
            live.note = f"pulling {reference}: {progress}"[:200]

        return await self._engine.pull(reference, report, stall_timeout_s=self._stall_timeout_s)

    async def _follow_log(self, live: _Live, done: trio.Event) -> None:
        try:
            while not live.log.full:
                try:
                    async with self._engine.follow_logs(
                        live.container_id, since_ns=live.log.until_ns
                    ) as chunks:
                        async for chunk in chunks:
                            await live.log.append(chunk.text, chunk.until_ns)
                    return
                except ContainerGone:
                    return
                except EngineError as error:
                    _log.info("log of %s: %s", live.container_id[:12], error)
                    await trio.sleep(1)
        finally:
            done.set()

    async def _follow_usage(self, live: _Live) -> None:
        try:
            async for usage in self._engine.follow_usage(live.container_id):
                live.usage = usage
        except EngineError as error:
            _log.info("usage of %s: %s", live.container_id[:12], error)

    async def _follow_disk(self, lease_id: str, live: _Live) -> None:
        if await self._workspaces.watch(lease_id):
            live.disk_full = True
            await self._engine.kill(live.container_id)

    async def _upload(self, lease_id: str, start: Start) -> tuple[OutputFile, ...]:
        files = await self._workspaces.collect(lease_id)
        if len(files) > _OUTPUTS_MAX:
            raise OutputRefused(
                "too_many_files", f"{len(files)} output files; at most {_OUTPUTS_MAX}: pack them"
            )
        artifacts = Artifacts(self._http, start.artifacts_url, start.artifacts_token)
        outputs = []
        for file in files:
            output = OutputFile(file.path, file.sha256, file.size_bytes)
            await artifacts.put(output, file.host_path)
            outputs.append(output)
        return tuple(outputs)

    async def _of(self, lease_id: str) -> _Live:
        live = self._live.get(lease_id)
        if live is None:
            log = JobLog(lease_id, self._log_path(lease_id), self._journal, self._slot)
            live = self._live[lease_id] = _Live(log)
        await live.log.open()
        return live

    def _name(self, lease_id: str) -> str:
        return f"{CONTAINER_NAME_PREFIX}{lease_id}"

    def _log_path(self, lease_id: str) -> Path:
        return self._logs / f"{lease_id}.log"


def _as_sandbox_error(error: BaseException) -> BaseException:
    """The one error to report out of what went wrong at the same time."""
    if isinstance(error, BaseExceptionGroup):
        # Cancellation must stay what it is; otherwise the first failure names the outcome.
        _, others = error.split(trio.Cancelled)
        if others is None:
            return error
        return _as_sandbox_error(others.exceptions[0])
    match error:
        case SandboxError():
            return error
        case EscrowUnseen():
            return SandboxError(Outcome.ESCROW_UNSEEN, str(error))
        case ImageNotFound():
            return SandboxError(Outcome.IMAGE_NOT_FOUND, str(error))
        case ImageError():
            return SandboxError(Outcome.PULL_STALLED, str(error))
        case CommandFailed():
            return SandboxError(Outcome.COMMAND_NOT_FOUND, str(error))
        case ArtifactError():
            return SandboxError(Outcome.INPUT_UNAVAILABLE, str(error))
        case SpecError():
            return SandboxError(Outcome.START_FAILED, f"{error.code}: {error}")
        case DiskError() | EngineError() | OSError():
            return SandboxError(Outcome.START_FAILED, str(error))
    return error
