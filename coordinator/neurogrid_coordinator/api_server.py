"""The server of the REST API: one for as long as the process runs, whoever answers."""

import asyncio

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from .api.job_socket import STALL_LIMIT_S
from .http_config import HttpConfig
from .http_connections import Connections, bounded
from .http_server import SHUTDOWN_S, Place, Server, connection_limits, listen


class ApiServer:
    """Listens from the first `answer_with` on.

    Attributes:
        connections: all there are.

    Args:
        stopping: set when it was told to stop.
    """

    def __init__(self, config: HttpConfig, stopping: asyncio.Event) -> None:
        self._config = config
        self._stopping = stopping
        self._app: ASGIApp | None = None
        self._place: Place | None = None
        self._serving: asyncio.Task[None] | None = None
        self.connections = Connections(connection_limits(config))

    def listen(self) -> Place:
        """Where it is reached, from now on. Raises OSError: the address is taken."""
        if self._place is None:
            self._place = listen(self._config)
        return self._place

    def answer_with(self, app: ASGIApp) -> None:
        """Have this application answer from now on; what another one has begun, it ends."""
        self._app = app
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve(), name="http")

    async def ended(self) -> None:
        """Wait until it was told to stop, and has."""
        assert self._serving is not None, "it answers"
        await asyncio.shield(self._serving)

    async def aclose(self) -> None:
        """Stop at once."""
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)

    async def _serve(self) -> None:
        http_protocol, socket_protocol = bounded(self.connections)
        server = Server(
            uvicorn.Config(
                self._front,
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
            self._stopping,
        )
        await server.serve(sockets=[self.listen().listener])

    async def _front(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None, "it serves when there is one"
        await self._app(scope, receive, send)
