"""The composition root: sockets, the owner thread, HTTP and websockets, the ready file."""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from neurogrid_contracts.ledger import rpc
from neurogrid_contracts.ledger.backend import Backend
from neurogrid_contracts.ledger.config import LedgerConfig
from neurogrid_contracts.ledger.errors import (
    INVALID_REQUEST,
    PARSE_ERROR,
    DataDirectoryBusy,
    PortsTaken,
    RpcError,
)
from neurogrid_contracts.ledger.faucet import Faucet
from neurogrid_contracts.ledger.ledger import Event, Ledger
from neurogrid_contracts.ledger.owner import Owner
from neurogrid_contracts.ledger.programs import install_programs
from neurogrid_contracts.ledger.pubsub import Hub
from neurogrid_contracts.ledger.websocket import Connection

_log = logging.getLogger(__name__)

# As on a real node: what fits here fits there.
BODY_BYTES_MAX = 50 * 1024
BATCH_REQUESTS_MAX = 256
_CONNECTIONS_MAX = 1024
# A peer that takes no bytes for this long is cut off by the kernel.
_STUCK_PEER_MS = 20_000
# Together with uvicorn's own pause this keeps a stop under two seconds.
_GRACE_S = 1
# Longer than clients pause between polls: one that posts on a connection just being closed fails.
_KEEP_ALIVE_S = 75
_PORT_PAIR_ATTEMPTS = 100

# Wallets in browsers call a ledger from any page; it holds test money only.
_CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "*",
    "access-control-allow-methods": "POST, GET, OPTIONS",
}


def serve(config: LedgerConfig) -> None:
    """Run the ledger until SIGTERM or SIGINT.

    Raises:
        LedgerError: it cannot start.
    """
    config.data.mkdir(parents=True, exist_ok=True)
    with _locked(config.data), contextlib.ExitStack() as sockets:
        pair = [sockets.enter_context(one) for one in bind_pair(config.host, config.port)]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config, pair))


def _stopping(number: int, frame: FrameType | None) -> None:
    """The signal that uvicorn raises again after it has stopped; it has had its effect."""


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[None]:
    """Hold the directory: two ledgers on one file would both be wrong."""
    with (data / "ledger.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataDirectoryBusy(f"{data} is served by another process") from error
        yield


def bind_pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Listening sockets on ``port`` and ``port + 1``; 0 picks a free pair.

    Raises:
        PortsTaken: there is none.
    """
    for _ in range(_PORT_PAIR_ATTEMPTS if port == 0 else 1):
        try:
            first = _listen(host, port)
        except OSError as error:
            raise PortsTaken(f"{host}:{port}: {error.strerror}") from error
        number = first.getsockname()[1]
        try:
            return first, _listen(host, number + 1)
        except (OSError, OverflowError) as error:
            first.close()
            reason = error
    raise PortsTaken(f"{host}:{port + 1 if port else 'any pair'}: {reason}")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted sockets inherit it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STUCK_PEER_MS)
        listener.bind((host, port))
        listener.listen(1024)
    except BaseException:
        listener.close()
        raise
    return listener


async def _serve(config: LedgerConfig, sockets: list[socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    hub = Hub()

    def publish(event: Event) -> None:
        loop.call_soon_threadsafe(hub.publish, event)

    def open_ledger() -> Ledger:
        ledger = Ledger(config, publish=publish)
        install_programs(ledger, config)
        return ledger

    ready = config.data / "ledger.json"
    ready.unlink(missing_ok=True)  # of a process that was killed
    owner = Owner(loop, slot_s=config.slot_ms / 1000)
    owner.start()
    try:
        ledger = await owner.call(open_ledger)
        owner.every_slot(ledger.tick)
        info = describe(ledger, config, port=sockets[0].getsockname()[1])
        backend = Backend(ledger, Faucet(ledger), info, config.allow_warp)
        server = _Server(build_app(backend, owner, hub), ready, info)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stopping)
        await server.serve(sockets=sockets)
        ready.unlink(missing_ok=True)
        owner.every_slot(lambda: None)
        await owner.call(ledger.close)
    finally:
        owner.stop()


def describe(ledger: Ledger, config: LedgerConfig, *, port: int) -> dict[str, Any]:
    """What a client needs to know; ``ledger.json``."""
    # A ledger that listens everywhere is reached here at the loopback address.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)
    shown = f"[{host}]" if ":" in host else host
    return {
        "rpc_url": f"http://{shown}:{port}",
        "ws_url": f"ws://{shown}:{port + 1}",
        "pid": os.getpid(),
        "usdc_mint": str(ledger.genesis.usdc_mint),
        "faucet": str(ledger.genesis.faucet.pubkey()),
        "program_id": str(ledger.genesis.program_id),
        "genesis_hash": str(ledger.genesis.hash),
    }


class _Server(uvicorn.Server):
    """uvicorn, telling the world once it accepts connections."""

    def __init__(self, app: Starlette, ready: Path, info: dict[str, Any]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws_max_size=BODY_BYTES_MAX,
                # Compressing short JSON for the same machine costs more than it saves.
                ws_per_message_deflate=False,
                limit_concurrency=_CONNECTIONS_MAX,
                timeout_graceful_shutdown=_GRACE_S,
                timeout_keep_alive=_KEEP_ALIVE_S,
                server_header=False,
            )
        )
        self._ready = ready
        self._info = info

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        write_atomically(self._ready, self._info)
        print(f"ledger ready at {self._info['rpc_url']}, {self._ready}", flush=True)


def write_atomically(path: Path, body: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(body, indent=2) + "\n")
    temporary.replace(path)


def build_app(backend: Backend, owner: Owner, hub: Hub) -> Starlette:
    """The web application: JSON-RPC by POST, PubSub by websocket, both at ``/``."""

    async def respond(request: object) -> rpc.Response:
        try:
            return await owner.call(rpc.respond, backend, request)
        except RpcError as error:
            request_id = request.get("id") if isinstance(request, dict) else None
            return rpc.error_response(error, request_id)

    async def post(request: Request) -> Response:
        body = await _read_body(request)
        if body is None:
            return PlainTextResponse("request body too large", 413, _CORS)
        try:
            parsed = json.loads(body)
        except (ValueError, RecursionError):
            return _json(rpc.error_response(RpcError(PARSE_ERROR, "Parse error")))
        if not isinstance(parsed, list):
            return _json(await respond(parsed))
        if not parsed or len(parsed) > BATCH_REQUESTS_MAX:
            problem = f"a batch holds 1 to {BATCH_REQUESTS_MAX} requests"
            return _json(rpc.error_response(RpcError(INVALID_REQUEST, problem)))
        return _json([await respond(one) for one in parsed])

    async def preflight(request: Request) -> Response:
        return Response(headers=_CORS)

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok", headers=_CORS)

    async def websocket(connection: WebSocket) -> None:
        await Connection(connection, hub, owner, backend.ledger, respond).serve()

    return Starlette(
        routes=[
            Route("/", post, methods=["POST"]),
            Route("/", preflight, methods=["OPTIONS"]),
            Route("/health", health, methods=["GET"]),
            WebSocketRoute("/", websocket),
        ]
    )


async def _read_body(request: Request) -> bytes | None:
    """The body, or None when it is longer than allowed."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            return None
    return bytes(body)


def _json(body: Any) -> Response:
    text = json.dumps(body, separators=(",", ":"))
    return Response(text, media_type="application/json", headers=_CORS)
