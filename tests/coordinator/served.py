"""The api of a test world behind a real socket, for clients that are not asyncio or not HTTP."""

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from coordinator.api_world import OpenJobStream, World, open_world
from neurogrid_coordinator.server.http_connections import ConnectionLimits, Connections, bounded

T = TypeVar("T")


@asynccontextmanager
async def served(world: World) -> AsyncGenerator[str]:
    """Serve the world's api; yields ``host:port``."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        limits = ConnectionLimits(connections=1000, per_address=0, trusted=(), head_s=60)
        http, sockets = bounded(Connections(limits))
        config = uvicorn.Config(
            world.app,
            http=http,
            ws=sockets,
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=1,
            # No client of a test comes back to a connection that has just been closed for its silence.
            timeout_keep_alive=600,
            ws_per_message_deflate=False,
        )
        server = uvicorn.Server(config)
        # uvicorn would take over the signals of pytest's process.
        server.capture_signals = _no_signals  # type: ignore[method-assign]  # see above
        running = asyncio.create_task(server.serve([listening]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        try:
            host, port = listening.getsockname()
            yield f"{host}:{port}"
        finally:
            world.stopping.set()
            server.should_exit = True
            await running


@contextmanager
def _no_signals() -> Iterator[None]:
    yield


class ServedWorld:
    """A served world whose loop runs in a thread, for synchronous clients.

    Attributes:
        address: ``http://host:port``.
    """

    def __init__(
        self,
        folder: Path,
        loop: asyncio.AbstractEventLoop,
        open_job_stream: OpenJobStream | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        self._folder = folder
        self._changes = changes or {}
        self._open_job_stream = open_job_stream
        self._loop = loop
        self._stop = asyncio.Event()
        self.ready = threading.Event()
        self.address = ""
        self.world: World

    async def serve(self) -> None:
        """Until `stop`."""
        async with (
            open_world(self._folder, self._open_job_stream, **self._changes) as self.world,
            served(self.world) as address,
        ):
            self.address = f"http://{address}"
            self.ready.set()
            await self._stop.wait()

    def run(self, make: Callable[[World], Coroutine[Any, Any, T]]) -> T:
        """Run something in the world's loop."""
        future = asyncio.run_coroutine_threadsafe(make(self.world), self._loop)
        return future.result(timeout=60)

    def stop(self) -> None:
        """End `serve`."""
        self._loop.call_soon_threadsafe(self._stop.set)


@contextmanager
def served_in_thread(
    folder: Path, open_job_stream: OpenJobStream | None = None, **changes: Any
) -> Iterator[ServedWorld]:
    """A world that is served while the block runs; ``changes`` are of its `Settings`."""
    folder.mkdir(exist_ok=True)
    loop = asyncio.new_event_loop()
    served_world = ServedWorld(folder, loop, open_job_stream, changes)

    def serve() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(served_world.serve())

    thread = threading.Thread(target=serve, name="api")
    thread.start()
    try:
        assert served_world.ready.wait(60), "the api did not start"
        yield served_world
    finally:
        served_world.stop()
        thread.join(60)
