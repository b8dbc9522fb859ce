"""The server of the REST API: one for as long as the process runs, whoever answers."""

import asyncio
import logging
import socket
from collections.abc import Coroutine

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from ..api.job_socket import STALL_LIMIT_S
from ..reading.readers import Readers
from ..services.submission import Terms
from .http_config import HttpConfig
from .http_connections import BoundedHttp, Connections, bounded
from .http_server import SHUTDOWN_S, Place, Server, connection_limits, listen

_log = logging.getLogger(__name__)


class ApiServer:
    """Listens from the first `answer_with` on.

    Attributes:
        connections: all there are.
        stopping: set when it was told to stop.

    Args:
        stopping: set when it was told to stop.
    """

    def __init__(self, config: HttpConfig, stopping: asyncio.Event) -> None:
        self._config = config
        self.stopping = stopping
        self._server: Server | None = None
        self._app: ASGIApp | None = None
        self._place: Place | None = None
        self._serving: asyncio.Task[None] | None = None
        self.connections = Connections(connection_limits(config))

    def listen(self) -> Place:
        """Where it is reached, from now on. Raises OSError: the address is taken."""
        if self._place is None:
            self._place = listen(self._config)
        return self._place

    def answer_with(self, app: ASGIApp, terms: Terms) -> None:
        """Have this application answer from now on; what another one has begun, it ends.

        Args:
            terms: of tasks, which are the same for all of them.
        """
        self._app = app
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve(terms), name="http")

    async def ended(self) -> None:
        """Wait until it was told to stop, and has."""
        assert self._serving is not None, "it answers"
        await asyncio.shield(self._serving)

    async def aclose(self) -> None:
        """Stop at once."""
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)

    async def _serve(self, terms: Terms) -> None:
        http_protocol, socket_protocol = bounded(self.connections)
        server = Server(
            uvicorn.Config(
                self.app,
                interface="asgi3",
                http=http_protocol,
                ws=socket_protocol,
                log_level="warning",
                access_log=False,
                # Whose request a proxy passes on is read by the api (`client_address`).
                proxy_headers=False,
                timeout_keep_alive=self._config.idle_s,
                timeout_graceful_shutdown=SHUTDOWN_S,
                ws_max_size=64 * 1024,
                # Each listener would have compressors of its own, for messages of half a kilobyte.
                ws_per_message_deflate=False,
                # A client that does not read its command's output answers no ping either.
                ws_ping_timeout=STALL_LIMIT_S,
            ),
            self.stopping,
        )
        self._server = server
        readers = Readers(self._config.readers, terms, self)
        reading = asyncio.create_task(readers.run(), name="reading processes")
        self.connections.lender = readers
        try:
            await server.serve(sockets=[self.listen().listener])
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What every answer has."""
        return self._running.server_state.default_headers

    def carry_out(self, request: Coroutine[None, None, None]) -> None:
        """Do it; the server waits for it when it ends."""
        tasks = self._running.server_state.tasks
        task = asyncio.create_task(request)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def take_back(self, taken: socket.socket, data: bytes, *, stays: bool) -> None:
        """Go on with a connection that was lent, over which this has come."""
        server = self._running
        protocol = server.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn's server makes one
            config=server.config,
            server_state=server.server_state,
            app_state=server.lifespan.state,
        )
        assert isinstance(protocol, BoundedHttp), "our own"
        protocol.given, protocol.stays = data, stays
        try:
            taken.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, taken)
        except OSError as error:
            _log.debug("a connection was over before it was taken back: %s", error)
            taken.close()

    @property
    def _running(self) -> Server:
        assert self._server is not None, "it serves"
        return self._server

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        assert self._app is not None, "it serves when there is one"
        await self._app(scope, receive, send)
