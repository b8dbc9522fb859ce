"""Where the API listens, and a server that ends as it is told to."""

import asyncio
import logging
import resource
import signal
import socket
from dataclasses import dataclass
from types import FrameType

import uvicorn

from .http_config import HttpConfig
from .http_connections import ConnectionLimits

_log = logging.getLogger(__name__)

# Open answers (streams, websockets) end on their own when they are told to; this is for the rest.
SHUTDOWN_S = 2
# Open files that are none of the API's connections: databases, the market's socket, files that are read.
_OTHER_FILES = 256


@dataclass(frozen=True, slots=True)
class Place:
    """Where the API is reached: by others, and from this machine."""

    listener: socket.socket
    url: str
    local: str


def listen(config: HttpConfig) -> Place:
    """Listen, as coordinator.toml says. Raises OSError: the address is taken."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((config.host, config.port))
    # Where it listens everywhere, and nobody said how others reach it, it is reached from here.
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)
    host = f"[{local}]" if family == socket.AF_INET6 else local
    url = config.public_url.rstrip("/") or f"http://{host}:{listener.getsockname()[1]}"
    return Place(listener, url, f"{host}:{listener.getsockname()[1]}")


def connection_limits(config: HttpConfig) -> ConnectionLimits:
    """How many connections there may be; fewer than are configured where the system allows fewer open files.

    Raises the process's own limit of open files as far as it may.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = config.connections + _OTHER_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    possible = max(1, min(config.connections, soft - _OTHER_FILES))
    if possible < config.connections:
        _log.warning(
            "this process may have %d files open, so http.connections is %d and not %d (LimitNOFILE)",
            soft,
            possible,
            config.connections,
        )
    return ConnectionLimits(
        connections=possible,
        per_address=config.connections_per_address,
        trusted=config.proxies.networks,
        head_s=config.head_s,
    )


class CancellableServer(uvicorn.Server):
    """A server that lets go of its address and its connections when it is cancelled, too.

    uvicorn's leaves them: the loop would go on to answer at them, and, where somebody else has closed a socket that the loop still
    has, take the next one with its number for it, and never look at that.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.servers = []

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer until this is told to stop, or cancelled."""
        try:
            await super().serve(sockets)
        finally:
            for server in self.servers:
                server.close()
            for connection in list(self.server_state.connections):
                connection.shutdown()


class Server(CancellableServer):
    """A server that tells long answers to end when it is told to stop."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._loop = asyncio.get_running_loop()
        # uvicorn raises the signal again when it has stopped; ours must not end the process before
        # everything else has stopped too.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        super().handle_exit(sig, frame)
