"""Following a container to its end: its log, its usage, its disk, and how it ended."""

import logging
from contextlib import aclosing
from dataclasses import replace

import trio

from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.lease import Ran
from neurogrid_marketplace.service import Service

from ..container import cgroup_use
from ..container.errors import ContainerGone, EngineError
from ..container.forks import fork_refused
from ..container.job_engine import JobEngine
from ..container.outcome import Verdict, classify
from ..container.usage import beyond
from ..container.views import ContainerState
from ..egress.jobs import JobNetworks
from ..files.workspace import Workspaces
from ..gang.gangs import Gangs
from ..journal import JournalError
from .gpus import LeaseGpus
from .job_state import JobState
from .service_watch import until_given_up

_log = logging.getLogger(__name__)

_RETRY_S = 1.0
# After its end, a container's last output is waited for so long. It is there already; this bounds
# an engine that does not hand it out.
_LOG_TAIL_PATIENCE_S = 30.0


class Watcher:
    """Watches the containers of one engine.

    Args:
        gpus: the leases' GPUs, and whether jobs still have them.
        pids: processes and threads one job may have.
    """

    def __init__(
        self,
        engine: JobEngine,
        workspaces: Workspaces,
        gangs: Gangs,
        networks: JobNetworks,
        gpus: LeaseGpus,
        pids: int,
    ) -> None:
        self._engine = engine
        self._workspaces = workspaces
        self._gangs = gangs
        self._networks = networks
        self._gpus = gpus
        self._pids = pids

    async def watch(
        self, lease_id: str, name: str, job: JobState, now_ms: int, service: Service | None = None
    ) -> Ran:
        """Follow a container to its end.

        Args:
            service: that it is to be well, if it serves.
            name: of the container, as far as it exists.
            now_ms: the time to write down for one that has vanished.

        Raises:
            EngineError: the engine is away; ask again.
        """
        try:
            view = await self._engine.inspect(name)
            job.container_id = view.container_id
            if view.state is ContainerState.CREATED:
                return Ran(Outcome.ENGINE_LOST, -1, "the container was never started", now_ms)
            return await self._follow(lease_id, job, view.pid, service)
        except ContainerGone:
            return Ran(Outcome.ENGINE_LOST, -1, "the container is gone", now_ms)

    async def _follow(self, lease_id: str, job: JobState, pid: int, service: Service | None) -> Ran:
        ended = None
        failure: EngineError | None = None
        async with trio.open_nursery() as nursery:
            log_done = trio.Event()
            nursery.start_soon(self._follow_log, job, log_done)
            nursery.start_soon(self._follow_usage, job)
            nursery.start_soon(self._follow_disk, lease_id, job)
            nursery.start_soon(self._follow_link, self._gangs, lease_id, job, "gang")
            nursery.start_soon(self._follow_link, self._networks, lease_id, job, "network")
            nursery.start_soon(self._follow_gpus, lease_id, pid, job)
            nursery.start_soon(_follow_forks, pid, job)
            if self._engine.abilities.usage:
                nursery.start_soon(_follow_cgroup, pid, job)
            if service is not None:
                nursery.start_soon(self._follow_service, lease_id, service, job)
            try:
                ended = await self._engine.wait(job.container_id)
            except EngineError as error:
                failure = error
            else:
                with trio.move_on_after(_LOG_TAIL_PATIENCE_S):
                    await log_done.wait()
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        assert ended is not None, "it ended, or waiting failed"
        job.ready = False
        if job.link_lost:
            verdict = Verdict(
                Outcome.ENGINE_LOST, f"the link to its {job.link_lost} ended, and so did the job"
            )
        elif ended.code != 0 and (lost := job.gpu_lost or self._gpus.lost(lease_id)):
            # Whatever the program made of it: without its GPU it could do no better.
            verdict = Verdict(Outcome.GPU_LOST, f"it lost a GPU: {lost}")
        elif job.service_failed:
            # The program's own fault, and paid for what it ran, as one that ended with an error.
            verdict = Verdict(Outcome.EXIT_NONZERO, job.service_failed)
        else:
            verdict = classify(
                ended,
                disk_full=job.disk_full or await self._workspaces.is_full(lease_id),
                pids_exhausted=job.fork_refused or job.usage.pids_peak >= self._pids,
            )
            verdict = self._with_errors(lease_id, verdict, ended.started_at_ns // 1_000_000)
        return Ran(
            outcome=verdict.outcome,
            exit_code=ended.code,
            message=verdict.message,
            started_at_ms=ended.started_at_ns // 1_000_000,
            finished_at_ms=ended.finished_at_ns // 1_000_000,
            memory_peak_bytes=job.usage.memory_peak_bytes,
        )

    async def _follow_log(self, job: JobState, done: trio.Event) -> None:
        """Copy the engine's log into ours until it ends or ours is full; failures are retried."""
        try:
            while not job.log.full:
                try:
                    async with self._engine.follow_logs(
                        job.container_id, cursor=job.log.cursor
                    ) as chunks:
                        async for chunk in chunks:
                            await job.log.append(chunk.text, chunk.cursor)
                            if job.log.full:
                                break
                    return
                except ContainerGone:
                    return
                except (EngineError, JournalError, OSError) as error:
                    _log.warning("log of %s: %s", job.container_id[:12], error)
                    await trio.sleep(_RETRY_S)
        finally:
            done.set()

    async def _follow_usage(self, job: JobState) -> None:
        try:
            async for usage in self._engine.follow_usage(job.container_id):
                job.usage = beyond(usage, job.counted)
        except EngineError as error:
            _log.info("usage of %s: %s", job.container_id[:12], error)

    async def _follow_disk(self, lease_id: str, job: JobState) -> None:
        if not await self._workspaces.watch(lease_id):
            return
        job.disk_full = True
        await self._kill(job, f"lease {lease_id} is over its disk")

    async def _follow_link(
        self, links: Gangs | JobNetworks, lease_id: str, job: JobState, what: str
    ) -> None:
        await links.until_lost(lease_id)
        job.link_lost = what
        await self._kill(job, f"lease {lease_id} has lost its {what}")

    async def _follow_gpus(self, lease_id: str, pid: int, job: JobState) -> None:
        job.gpu_lost = await self._gpus.until_lost(lease_id, pid)
        await self._kill(job, f"lease {lease_id} has lost a GPU")

    async def _follow_service(self, lease_id: str, service: Service, job: JobState) -> None:
        def say(is_ready: bool) -> None:
            job.ready = is_ready

        job.service_failed = await until_given_up(self._engine, job.container_id, service, say)
        await self._kill(job, f"lease {lease_id}: {job.service_failed}")

    def _with_errors(self, lease_id: str, verdict: Verdict, since_ms: int) -> Verdict:
        """A program that failed is told what the driver said of it."""
        if verdict.outcome is not Outcome.EXIT_NONZERO:
            return verdict
        errors = self._gpus.errors(lease_id, since_ms)
        return replace(verdict, message=f"{verdict.message}; {errors}") if errors else verdict

    async def _kill(self, job: JobState, why: str) -> None:
        while True:
            try:
                await self._engine.kill(job.container_id)
                return
            except EngineError as error:
                _log.warning("%s: %s", why, error)
                await trio.sleep(_RETRY_S)


async def _follow_cgroup(pid: int, job: JobState) -> None:
    async with aclosing(cgroup_use.follow(pid, job.container_id)) as readings:
        async for counted in readings:
            job.counted = counted
            job.usage = beyond(job.usage, counted)


async def _follow_forks(pid: int, job: JobState) -> None:
    if await fork_refused(pid):
        job.fork_refused = True
