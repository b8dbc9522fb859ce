"""The container engine, from trio: everything a node does with containers. The first `JobEngine`.

What is said to the engine goes through `docker.py`; what it says is parsed in `views.py`.
"""

import logging
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

import trio

from neurogrid_marketplace.image_name import ImageName
from neurogrid_marketplace.registry_auth import RegistryAuth
from neurogrid_node.container.docker import CALL_TIMEOUT_S, DockerClient
from neurogrid_node.container.errors import (
    ContainerGone,
    EngineConflict,
    EngineError,
    EngineLost,
    EngineRefused,
    EngineUnavailable,
    ImageNotFound,
    PullFailed,
    PullStalled,
)
from neurogrid_node.container.execs import Execs
from neurogrid_node.container.exits import ExitBoard, Waiter
from neurogrid_node.container.job_engine import LOG_BYTES_MAX, Abilities
from neurogrid_node.container.link_profile import LinkSpec, link_arguments
from neurogrid_node.container.log_cursor import LOG_START, LogCursor
from neurogrid_node.container.logs import LogBuffer, LogChunk
from neurogrid_node.container.outcome import Exit
from neurogrid_node.container.profile import create_arguments, profile_report
from neurogrid_node.container.pull import PullMeter, PullProgress
from neurogrid_node.container.spec import BENCHMARK, DOCTOR, LABEL_NODE, ContainerSpec, ImageInfo
from neurogrid_node.container.stream import BlockingStream, read_stream, reader_thread
from neurogrid_node.container.usage import Usage, add_sample
from neurogrid_node.container.views import (
    ContainerView,
    LeaseContainer,
    container_view,
    engine_info,
    forsaken_containers,
    image_info,
    image_names,
    in_runtime,
    lease_containers,
    named_containers,
)

_log = logging.getLogger(__name__)

# Measured with 24 jobs: 3.9 jobs/s at 2 starts at once, 5.0 at 4, and no more at 8, only later.
_STARTS_AT_ONCE: Final = 4
_GRACE_S_MAX: Final = 60
_RECONNECT_DELAY_S: Final = 0.2
_USAGE_INTERVAL_S: Final = 1.0
# Doctor and benchmark are done with a container within two minutes.
FORSAKEN_AFTER_S: Final = 600
_EVENTS: Final = ("start", "kill", "die", "destroy")
# One engine on the daemon's own machine: nothing is out of its reach.
_ABILITIES: Final = Abilities(
    gpus=True, freeze=True, links=True, hard_disk=True, usage=True, oom=True, logins=True
)


@asynccontextmanager
async def connect_engine(
    node_id: str,
    *,
    url: str | None = None,
    grace_s: float = 30,
    call_timeout_s: int = CALL_TIMEOUT_S,
    runtime: str = "",
) -> AsyncIterator["Engine"]:
    """Connect to the engine of this machine; leaving closes the connection, containers run on.

    Args:
        node_id: this node's peer id; its containers carry it as a label.
        url: such as ``unix:///run/docker.sock``; None takes DOCKER_HOST or the usual socket.
        grace_s: how long an engine that went away may take to come back.
        call_timeout_s: how long it may say nothing to a call.
        runtime: what jobs run in, such as ``runsc``; "" for the engine's default.

    Raises:
        EngineUnavailable: nothing answers, it is too old, or has no such runtime; the message says what to do.
    """
    client = await DockerClient.connect(url, call_timeout_s)
    try:
        engine = Engine(client, node_id, grace_s=grace_s, runtime=runtime)
        async with trio.open_nursery() as nursery:
            await nursery.start(engine.run)
            yield engine
            nursery.cancel_scope.cancel()
    finally:
        client.close()


class Engine:
    """One connected engine, for one node's containers. Made by `connect_engine`.

    `run` is what tells `wait` of ends; `connect_engine` keeps it running.
    """

    def __init__(
        self, client: DockerClient, node_id: str, *, grace_s: float, runtime: str = ""
    ) -> None:
        self.info = in_runtime(engine_info(client.info), runtime)
        self.node_id = node_id
        self.abilities = _ABILITIES
        self.execs = Execs(client)
        self._client = client
        self._api = client.api
        self._grace_s = grace_s
        self._runtime = runtime
        # As the clock was when we began: one that is set later would move it past running containers.
        self._booted_at_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self._board = ExitBoard()
        self._starts = trio.CapacityLimiter(_STARTS_AT_ONCE)
        self.connections = 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the engine's events for ever; reports itself started once they are followed."""
        token = trio.lowlevel.current_trio_token()
        label = f"{LABEL_NODE}={self.node_id}"

        def connected() -> None:
            self.connections += 1
            self._board.connected()

        def open_events() -> BlockingStream[dict[str, Any]]:
            events = self._client.open_events(label, _EVENTS)
            trio.from_thread.run_sync(connected, trio_token=token)
            return events

        def handle(event: dict[str, Any]) -> bool:
            trio.from_thread.run_sync(self._board.record, event, trio_token=token)
            return True

        async def report_started() -> None:
            await self._board.until_connected()
            task_status.started()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(report_started)
            while True:
                with suppress(EngineError):
                    await read_stream(open_events, handle, limiter=self._client.streams)
                self._board.disconnected()
                await trio.sleep(_RECONNECT_DELAY_S)

    # Images

    async def image(self, reference: str) -> ImageInfo | None:
        """The image as it is on this machine, or None."""
        try:
            return image_info(
                reference, await self._client.look(self._api.inspect_image, reference)
            )
        except ContainerGone:  # the engine's 404
            return None

    async def images(self) -> tuple[str, ...]:
        """The names of all images on this machine, for an offer."""
        return image_names(await self._client.look(self._api.images))

    async def pull(
        self,
        reference: str,
        report: Callable[[PullProgress], None],
        *,
        stall_timeout_s: float,
        max_bytes: int | None = None,
        auth: RegistryAuth | None = None,
    ) -> ImageInfo:
        """Fetch an image: however long it takes, while bytes keep coming.

        Args:
            report: called in the trio thread after each message of the engine.
            stall_timeout_s: the longest silence.
            max_bytes: compressed size that fits on this machine; None does not check.
            auth: whom the registry is asked as; None: as anybody, whoever the owner is logged in as.

        Raises:
            ImageNotFound, PullStalled, NoDiskForImage, PullFailed: see errors.py.
        """
        meter = PullMeter(max_bytes=max_bytes)
        token = trio.lowlevel.current_trio_token()
        scope = trio.CancelScope(deadline=trio.current_time() + stall_timeout_s)

        def progressed(progress: PullProgress, is_alive: bool) -> None:
            if is_alive:
                scope.deadline = trio.current_time() + stall_timeout_s
            report(progress)

        def handle(message: dict[str, Any]) -> bool:
            progress = meter.feed(message)
            # A retry is not progress: an unreachable registry is retried for minutes.
            is_alive = not str(message.get("status", "")).startswith(("Retrying", "Waiting"))
            trio.from_thread.run_sync(progressed, progress, is_alive, trio_token=token)
            return True

        with scope:
            await read_stream(
                partial(self._client.open_pull, reference, auth),
                handle,
                limiter=self._client.streams,
            )
        if scope.cancelled_caught:
            raise PullStalled(
                f"no byte of {reference} for {stall_timeout_s:g} s: check the node's network and "
                "the registry, then try again (complete layers are kept)"
            )
        image = await self.image(reference)
        if image is None:
            raise PullFailed(f"{reference} was pulled, and yet the engine does not have it")
        return image

    async def tag(self, image_id: str, name: ImageName) -> None:
        """Let an image that is here be known by this name; whatever had it has it no more."""
        await self._client.change(
            self._api.tag, image_id, repository=name.full_repository, tag=name.tag
        )

    async def image_ids(self) -> frozenset[str]:
        """Of all images that are here, with names and without."""
        found = await self._client.look(self._api.images)
        return frozenset(str(entry["Id"]) for entry in found)

    async def remove_image(self, name: str) -> None:
        """Take this name away, and the image with its last one; never by force.

        Raises:
            ContainerGone: there is no such name.
            EngineConflict: a container needs it.
        """
        await self._client.change(self._api.remove_image, name)

    # One container's life

    def profile_report(self, spec: ContainerSpec) -> dict[str, Any]:
        """What the job is allowed, for the signed receipt."""
        return {
            **profile_report(spec),
            "runtime": "".join(self.info.job_runtimes),
            "user_namespace": self.info.is_remapped,
        }

    async def create(self, spec: ContainerSpec) -> str:
        """Create the lease's container without starting it; its id.

        The name is the lease's, so a second call finds what the first one made.

        Raises:
            EngineRefused: ``container_conflict`` when the name is taken by something else.
            ImageNotFound: the image was removed meanwhile.
        """
        arguments = create_arguments(spec)
        if self._runtime:
            arguments["HostConfig"]["Runtime"] = self._runtime
        return await self._create(
            spec.container_name, arguments, spec.lease_id, spec.image.image_id
        )

    async def create_link(self, spec: LinkSpec) -> str:
        """Create the container of a job's link, as `create` does the lease's own."""
        return await self._create(
            spec.container_name, link_arguments(spec), spec.lease_id, spec.image_id
        )

    async def start(self, container_id: str) -> None:
        """Start it; returns when its process runs. Starting a running one does nothing, but one that
        has ended runs again: look first where it may have.

        Raises:
            CommandFailed: the image has no such program, or may not run it. (Usually that is only
                seen as exit code 127 or 126, because our init starts first.)
            EngineRefused: ``gpu_runtime_missing``, or whatever else the engine says.
        """
        async with self._starts:
            await self._client.change(self._api.start, container_id)

    async def wait(self, container_id: str) -> Exit:
        """How it ended, once it has. Survives an engine that restarts.

        Raises:
            EngineLost: the engine has not answered for the grace period.
            ContainerGone: it was removed.
        """
        with self._board.waiting(container_id) as waiter:
            while True:
                ended = self._board.clean_exit(container_id)
                if ended is not None:
                    return ended
                waiter.changed = trio.Event()
                try:
                    view = await self.inspect(container_id)
                except EngineUnavailable:
                    await trio.sleep(_RECONNECT_DELAY_S)
                else:
                    if view.ended is not None:
                        return self._with_interruption(view.ended, waiter)
                    if self._board.is_connected:
                        await waiter.changed.wait()
                await self._until_connected()

    async def pause(self, container_id: str) -> None:
        """Freeze every process of it. One that is paused, or has ended, is left alone."""
        with suppress(EngineConflict):
            await self._client.change(self._api.pause, container_id)

    async def unpause(self, container_id: str) -> None:
        """Let it go on. One that is not paused is left alone."""
        with suppress(EngineConflict):
            await self._client.change(self._api.unpause, container_id)

    async def stop(self, container_id: str, *, grace_s: float) -> None:
        """Ask it to end, and kill it after ``grace_s`` (rounded up to whole seconds).

        Returns when it has ended. One that has ended, or is gone, is left alone.
        """
        if not 0 <= grace_s <= _GRACE_S_MAX:
            raise ValueError(f"a grace period is 0 to {_GRACE_S_MAX} s, not {grace_s}")
        self._board.expect_kill(container_id)
        with suppress(ContainerGone, EngineConflict):
            await self._client.change(self._api.stop, container_id, timeout=math.ceil(grace_s))

    async def kill(self, container_id: str) -> None:
        """End it now. One that has ended, or is gone, is left alone."""
        self._board.expect_kill(container_id)
        with suppress(ContainerGone, EngineConflict):
            await self._client.change(self._api.kill, container_id)

    async def remove(self, container_id: str) -> None:
        """Remove it, running or not. One that is gone, or being removed, is no error."""
        self._board.expect_kill(container_id)
        with suppress(ContainerGone, EngineConflict):
            await self._client.change(self._api.remove_container, container_id, force=True, v=True)
        self._board.forget(container_id)

    async def inspect(self, container_id: str) -> ContainerView:
        """What the engine says about it now.

        Raises:
            ContainerGone: there is no such container.
        """
        return container_view(await self._client.look(self._api.inspect_container, container_id))

    async def list_leases(self) -> tuple[LeaseContainer, ...]:
        """Every container of this node, ended ones too: what a restarted daemon adopts."""
        found = await self._client.look(
            self._api.containers, all=True, filters={"label": f"{LABEL_NODE}={self.node_id}"}
        )
        return lease_containers(found)

    async def list_links(self, name_prefix: str) -> tuple[LeaseContainer, ...]:
        """Every link of a kind of this node, ended ones too."""
        found = await self._client.look(
            self._api.containers, all=True, filters={"label": f"{LABEL_NODE}={self.node_id}"}
        )
        return named_containers(found, name_prefix)

    async def remove_forsaken(self) -> None:
        """Remove what programs without a node's id have left here when they were killed: nobody adopts it."""
        for program in (DOCTOR, BENCHMARK):
            found = await self._client.look(
                self._api.containers, all=True, filters={"label": f"{LABEL_NODE}={program}"}
            )
            for container_id in forsaken_containers(found, time.time() - FORSAKEN_AFTER_S):
                _log.warning("removing container %s of a killed %s", container_id, program)
                await self.remove(container_id)

    # Watching it run

    async def follow_usage(self, container_id: str) -> AsyncIterator[Usage]:
        """A sample a second, the first one at once, until the container ends."""
        usage = Usage()
        while True:
            next_at = trio.current_time() + _USAGE_INTERVAL_S
            try:
                sample = add_sample(
                    usage,
                    await self._client.look(
                        self._api.stats, container_id, stream=False, one_shot=True
                    ),
                )
            except ContainerGone:
                return
            except EngineUnavailable:
                await self._until_connected()
            else:
                if sample is None:
                    return
                usage = sample
                yield usage
            # 20.10 answers at its own next tick, up to a second later: then there is no wait here.
            await trio.sleep_until(next_at)

    @asynccontextmanager
    async def follow_logs(
        self, container_id: str, *, cursor: LogCursor = LOG_START, max_bytes: int = LOG_BYTES_MAX
    ) -> AsyncIterator[AsyncIterator[LogChunk]]:
        """Its output so far and as it comes, until it ends: ``async with ... as chunks``.

        A job that prints faster than it is read loses the middle (profile.py bounds what
        the engine keeps), never the end.

        Args:
            cursor: that of the last chunk that was handled.
            max_bytes: the rest is cut off, and the last chunk says so.

        The thread behind it has ended when the context is left.
        """
        buffer = LogBuffer(cursor=cursor, max_bytes=max_bytes)
        open_logs = partial(self._client.open_logs, container_id, cursor)
        async with reader_thread(open_logs, buffer.put, buffer.end, limiter=self._client.streams):
            try:
                yield buffer
            finally:
                buffer.end()

    async def _create(
        self, name: str, arguments: dict[str, Any], lease_id: str, image_id: str
    ) -> str:
        try:
            made = await self._client.change(
                self._api.create_container_from_config, arguments, name
            )
        except EngineConflict:
            found = await self.inspect(name)
            if (found.lease_id, found.image_id) != (lease_id, image_id):
                raise EngineRefused(
                    f"something else has the name {name}: remove that container",
                    code="container_conflict",
                ) from None
            return found.container_id
        except ContainerGone as error:  # the engine's 404
            raise ImageNotFound(f"its image is not here any more: {error}") from error
        return str(made["Id"])

    def _with_interruption(self, ended: Exit, waiter: Waiter) -> Exit:
        """An end that the engine or the machine brought about is not the job's doing."""
        # What ended before the machine did has a time before the boot.
        is_rebooted = 0 < ended.started_at_ns < self._booted_at_ns and not (
            ended.started_at_ns <= ended.finished_at_ns < self._booted_at_ns
        )
        was_killed = self._board.was_killed(ended.container_id)
        return replace(ended, is_interrupted=waiter.interrupted or was_killed or is_rebooted)

    async def _until_connected(self) -> None:
        with trio.move_on_after(self._grace_s) as scope:
            await self._board.until_connected()
        if scope.cancelled_caught:
            raise EngineLost(
                f"the container engine has not answered for {self._grace_s:g} s; its containers "
                "may be running: start it again (systemctl start docker)"
            )
