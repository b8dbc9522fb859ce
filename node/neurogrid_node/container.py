"""The container engine, from trio: the node's only door to Docker, and the only import of it.

docker-py blocks, so each call runs in a worker thread of a bounded pool, and each stream (events,
logs, pulls) in a thread that ends when it is cancelled (`container_stream.py`). Calls that change
something are carried through once begun, so that a cancelled task never leaves it half known.

Every operation may be repeated: creating finds the container that exists, removing one that is
gone succeeds. A restarted daemon lists its containers and goes on.
"""

import json
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, Generic, TypeVar

import docker
import docker.auth
import docker.errors
import docker.types
import docker.utils
import trio

from neurogrid_node.container_errors import (
    ContainerGone,
    EngineConflict,
    EngineError,
    EngineLost,
    EngineRefused,
    EngineUnavailable,
    PullFailed,
    PullStalled,
    engine_answer,
)
from neurogrid_node.container_exits import ExitBoard
from neurogrid_node.container_logs import LogBuffer, LogChunk
from neurogrid_node.container_outcome import Exit
from neurogrid_node.container_profile import (
    LABEL_NODE,
    ContainerSpec,
    ImageInfo,
    create_arguments,
)
from neurogrid_node.container_pull import PullMeter, PullProgress, pull_error
from neurogrid_node.container_stream import BlockingStream, read_stream, reader_thread
from neurogrid_node.container_usage import Usage, add_sample
from neurogrid_node.container_views import (
    ContainerView,
    EngineInfo,
    LeaseContainer,
    container_view,
    engine_info,
    image_info,
    lease_containers,
)

T = TypeVar("T")

# Of 20.10, the engine of Debian 12: private cgroup namespaces, device requests and one-shot
# statistics came before or with it.
_API_VERSION_MIN: Final = (1, 41)
# Measured with 24 jobs: 3.9 jobs/s at 2 starts at once, 5.0 at 4, and no more at 8, only later.
_STARTS_AT_ONCE: Final = 4
_CALLS_AT_ONCE: Final = 16
# Events, and a log and a pull for each lease.
_STREAMS_AT_ONCE: Final = 256
# A start on a busy machine with GPUs to prepare can take tens of seconds.
_CALL_TIMEOUT_S: Final = 120
_GRACE_S_MAX: Final = 60
_RECONNECT_DELAY_S: Final = 0.2
# Events are asked for from a little before now: repeated ones are harmless, and the engine answers
# before it listens.
_EVENT_OVERLAP_S: Final = 2
_USAGE_INTERVAL_S: Final = 1.0
# What a follower forwards of one job at most.
LOG_BYTES_MAX: Final = 64 << 20
# The engine writes up to six bytes for one of ours before it rotates at 8 MiB.
_LOG_BYTES_UNROTATED: Final = 1 << 20


async def connect_engine(node_id: str, *, url: str | None = None, grace_s: float = 30) -> "Engine":
    """Connect to the engine of this machine.

    Args:
        node_id: this node's peer id; its containers carry it as a label.
        url: such as ``unix:///run/docker.sock``; None takes DOCKER_HOST or the usual socket.
        grace_s: how long an engine that went away may take to come back.

    Raises:
        EngineUnavailable: nothing answers, or it is too old; the message says what to do.
    """

    def connect() -> tuple[docker.APIClient, dict[str, Any]]:
        api = docker.APIClient(
            base_url=url or docker.utils.kwargs_from_env().get("base_url"),
            version="auto",
            timeout=_CALL_TIMEOUT_S,
            max_pool_size=_CALLS_AT_ONCE + _STREAMS_AT_ONCE,
        )
        return api, api.info()

    try:
        api, info = await trio.to_thread.run_sync(connect, abandon_on_cancel=True)
    except (docker.errors.DockerException, OSError) as error:
        raise EngineUnavailable(_connection_advice(error)) from error
    version = tuple(int(part) for part in api.api_version.split("."))
    if version < _API_VERSION_MIN:
        api.close()
        raise EngineUnavailable(
            f"the engine speaks API {api.api_version}: install Docker 20.10 or newer"
        )
    return Engine(api, engine_info(info), node_id, grace_s=grace_s)


def _connection_advice(error: Exception) -> str:
    words = str(error)
    if "Permission denied" in words:
        return (
            "no permission to use the container engine: run the node as root, or add its user to "
            f"the group docker (usermod -aG docker USER) and log in again ({words})"
        )
    if "No such file" in words or "FileNotFound" in words:
        return (
            "no container engine found: install one (apt-get install docker.io) and start it "
            f"(systemctl start docker), or set DOCKER_HOST ({words})"
        )
    return (
        "the container engine does not answer: start it (systemctl start docker) and look at "
        f"journalctl -u docker ({words})"
    )


class Engine:
    """One connected engine, for one node's containers. Made by `connect_engine`.

    `run` must be running (``await nursery.start(engine.run)``) for `wait` to learn of ends.
    """

    def __init__(
        self, api: docker.APIClient, info: EngineInfo, node_id: str, *, grace_s: float
    ) -> None:
        self.info = info
        self.node_id = node_id
        self._api = api
        self._grace_s = grace_s
        self._board = ExitBoard()
        self._calls = trio.CapacityLimiter(_CALLS_AT_ONCE)
        self._starts = trio.CapacityLimiter(_STARTS_AT_ONCE)
        self._streams = trio.CapacityLimiter(_STREAMS_AT_ONCE)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the engine's events for ever; reports itself started once they are followed."""
        token = trio.lowlevel.current_trio_token()
        is_first = True

        def open_events() -> BlockingStream[dict[str, Any]]:
            events = self._api.events(
                since=int(time.time()) - _EVENT_OVERLAP_S,
                filters={
                    "type": "container",
                    "event": ["start", "die"],
                    "label": f"{LABEL_NODE}={self.node_id}",
                },
                decode=True,
            )
            trio.from_thread.run_sync(connected, trio_token=token)
            return _Closable(events)

        def connected() -> None:
            nonlocal is_first
            self._board.connected()
            if is_first:
                task_status.started()
            is_first = False

        def handle(event: dict[str, Any]) -> bool:
            trio.from_thread.run_sync(self._board.record, event, trio_token=token)
            return True

        while True:
            with suppress(EngineError), _translated():
                await read_stream(open_events, handle, limiter=self._streams)
            self._board.disconnected()
            await trio.sleep(_RECONNECT_DELAY_S)

    def close(self) -> None:
        """Close the connections. Containers run on."""
        self._api.close()

    # Images

    async def image(self, reference: str) -> ImageInfo | None:
        """The image as it is on this machine, or None."""
        try:
            return image_info(reference, await self._look(self._api.inspect_image, reference))
        except ContainerGone:  # the engine's 404
            return None

    async def pull(
        self,
        reference: str,
        report: Callable[[PullProgress], None],
        *,
        stall_timeout_s: float,
        max_bytes: int | None = None,
    ) -> ImageInfo:
        """Fetch an image: however long it takes, while bytes keep coming.

        Args:
            report: called in the trio thread after each message of the engine.
            stall_timeout_s: the longest silence.
            max_bytes: compressed size that fits on this machine; None does not check.

        Raises:
            ImageNotFound, PullStalled, NoDiskForImage, PullFailed: see container_errors.py.
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

        with scope, _translated():
            await read_stream(partial(self._open_pull, reference), handle, limiter=self._streams)
        if scope.cancelled_caught:
            raise PullStalled(
                f"no byte of {reference} for {stall_timeout_s:g} s: check the node's network and "
                "the registry, then try again (complete layers are kept)"
            )
        image = await self.image(reference)
        if image is None:
            raise PullFailed(f"{reference} was pulled, and yet the engine does not have it")
        return image

    def _open_pull(self, reference: str) -> BlockingStream[dict[str, Any]]:
        # docker-py's own pull() cannot be closed, and closing it is what stops a download.
        repository, tag = docker.utils.parse_repository_tag(reference)
        registry, _ = docker.auth.resolve_repository_name(repository)
        credentials = docker.auth.get_config_header(self._api, registry)
        response = self._api.post(
            f"{self._api.base_url}/v{self._api.api_version}/images/create",
            params={"fromImage": repository, "tag": tag or "latest"},
            headers={"X-Registry-Auth": credentials} if credentials else {},
            stream=True,
            timeout=None,
        )
        if response.status_code != 200:
            raise pull_error(response.json().get("message", f"HTTP {response.status_code}"))
        messages = (json.loads(line) for line in response.iter_lines() if line)
        return _Closable(docker.types.CancellableStream(messages, response))

    # One container's life

    async def create(self, spec: ContainerSpec) -> str:
        """Create the lease's container without starting it; its id.

        The name is the lease's, so a second call finds what the first one made.

        Raises:
            EngineRefused: ``container_conflict`` when the name is taken by something else.
        """
        try:
            made = await self._change(
                self._api.create_container_from_config, create_arguments(spec), spec.container_name
            )
        except EngineConflict:
            found = await self.inspect(spec.container_name)
            if (found.lease_id, found.image_id) != (spec.lease_id, spec.image.image_id):
                raise EngineRefused(
                    f"something else has the name {spec.container_name}: remove that container",
                    code="container_conflict",
                ) from None
            return found.container_id
        return str(made["Id"])

    async def start(self, container_id: str) -> None:
        """Start it; returns when its process runs. Starting a running one does nothing.

        Raises:
            CommandFailed: the image has no such program, or may not run it. (Usually that is only
                seen as exit code 127 or 126, because our init starts first.)
            EngineRefused: ``gpu_runtime_missing``, or whatever else the engine says.
        """
        async with self._starts:
            await self._change(self._api.start, container_id)

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
                        return replace(view.ended, engine_lost=waiter.interrupted)
                    if self._board.is_connected:
                        await waiter.changed.wait()
                await self._until_connected()

    async def pause(self, container_id: str) -> None:
        """Freeze every process of it. One that is paused, or has ended, is left alone."""
        with suppress(EngineConflict):
            await self._change(self._api.pause, container_id)

    async def unpause(self, container_id: str) -> None:
        """Let it go on. One that is not paused is left alone."""
        with suppress(EngineConflict):
            await self._change(self._api.unpause, container_id)

    async def stop(self, container_id: str, *, grace_s: float) -> None:
        """Ask it to end, and kill it after ``grace_s`` (rounded up to whole seconds).

        Returns when it has ended. One that has ended, or is gone, is left alone.
        """
        if not 0 <= grace_s <= _GRACE_S_MAX:
            raise ValueError(f"a grace period is 0 to {_GRACE_S_MAX} s, not {grace_s}")
        with suppress(ContainerGone, EngineConflict):
            await self._change(self._api.stop, container_id, timeout=math.ceil(grace_s))

    async def kill(self, container_id: str) -> None:
        """End it now. One that has ended, or is gone, is left alone."""
        with suppress(ContainerGone, EngineConflict):
            await self._change(self._api.kill, container_id)

    async def remove(self, container_id: str) -> None:
        """Remove it, running or not. One that is gone, or being removed, is no error."""
        with suppress(ContainerGone, EngineConflict):
            await self._change(self._api.remove_container, container_id, force=True, v=True)
        self._board.forget(container_id)

    async def inspect(self, container_id: str) -> ContainerView:
        """What the engine says about it now.

        Raises:
            ContainerGone: there is no such container.
        """
        return container_view(await self._look(self._api.inspect_container, container_id))

    async def list_leases(self) -> tuple[LeaseContainer, ...]:
        """Every container of this node, ended ones too: what a restarted daemon adopts."""
        found = await self._look(
            self._api.containers, all=True, filters={"label": f"{LABEL_NODE}={self.node_id}"}
        )
        return lease_containers(found)

    # Watching it run

    async def follow_usage(self, container_id: str) -> AsyncIterator[Usage]:
        """A sample a second, the first one at once, until the container ends."""
        usage = Usage()
        while True:
            next_at = trio.current_time() + _USAGE_INTERVAL_S
            try:
                sample = add_sample(
                    usage,
                    await self._look(self._api.stats, container_id, stream=False, one_shot=True),
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
        self, container_id: str, *, since_ns: int = 0, max_bytes: int = LOG_BYTES_MAX
    ) -> AsyncIterator[AsyncIterator[LogChunk]]:
        """Its output so far and as it comes, until it ends: ``async with ... as chunks``.

        A job that prints faster than it is read loses the middle (container_profile.py bounds what
        the engine keeps), never the end.

        Args:
            since_ns: `LogChunk.until_ns` of the last chunk that was handled; 0 for all.
            max_bytes: the rest is cut off, and the last chunk says so.

        The thread behind it has ended when the context is left.
        """
        async with aclosing(self._log_chunks(container_id, since_ns, max_bytes)) as chunks:
            yield chunks

    async def _log_chunks(
        self, container_id: str, since_ns: int, max_bytes: int
    ) -> AsyncGenerator[LogChunk, None]:
        """Pass after pass: the engine's follower (20.10) stops when the log file is rotated."""
        may_have_rotated = since_ns > 0
        while True:
            had_ended = (await self.inspect(container_id)).ended is not None
            buffer = LogBuffer(since_ns=since_ns, max_bytes=max_bytes)
            async with self._reading_logs(container_id, since_ns, buffer):
                while (chunk := await buffer.take()) is not None:
                    yield chunk
                    since_ns = chunk.until_ns
                    max_bytes -= len(chunk.text.encode())
                    if chunk.is_truncated:
                        return
                    may_have_rotated |= buffer.total_bytes > _LOG_BYTES_UNROTATED
            if had_ended or not may_have_rotated:
                return

    @asynccontextmanager
    async def _reading_logs(
        self, container_id: str, since_ns: int, buffer: LogBuffer
    ) -> AsyncIterator[None]:
        def open_logs() -> BlockingStream[bytes]:
            # A float keeps a quarter of a microsecond at this size: ask from a little before; the
            # buffer drops what was seen.
            since = (since_ns - 1000) / 1e9 if since_ns else None
            return _Closable(
                self._api.logs(container_id, stream=True, follow=True, timestamps=True, since=since)
            )

        with _translated():
            async with reader_thread(open_logs, buffer.put, buffer.end, limiter=self._streams):
                try:
                    yield
                finally:
                    buffer.end()

    async def _until_connected(self) -> None:
        with trio.move_on_after(self._grace_s) as scope:
            await self._board.until_connected()
        if scope.cancelled_caught:
            raise EngineLost(
                f"the container engine has not answered for {self._grace_s:g} s; its containers "
                "may be running: start it again (systemctl start docker)"
            )

    async def _change(self, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """A call that changes something: carried through even when the task is cancelled."""
        with _translated():
            return await trio.to_thread.run_sync(
                partial(call, *arguments, **options), limiter=self._calls
            )

    async def _look(self, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """A call that only reads: abandoned when the task is cancelled (its thread ends itself)."""
        with _translated():
            return await trio.to_thread.run_sync(
                partial(call, *arguments, **options), limiter=self._calls, abandon_on_cancel=True
            )


class _Closable(Generic[T]):
    """A docker-py stream whose `close` may come at any time."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[T]:
        return iter(self._stream)

    def close(self) -> None:
        # docker-py looks for the socket in objects that the reader releases at its end, and
        # shuts it down a second time: both mean that the stream is closed already.
        with suppress(AttributeError, OSError):
            self._stream.close()


@contextmanager
def _translated() -> Iterator[None]:
    """docker-py's errors, and those of requests beneath it (which are OSErrors), as ours."""
    try:
        yield
    except docker.errors.APIError as error:
        raise engine_answer(error.status_code or 0, error.explanation or str(error)) from error
    except (docker.errors.DockerException, OSError) as error:
        raise EngineUnavailable(_connection_advice(error)) from error
