"""The composition root: sockets, the owner thread, the web application, the ready file."""

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

from neurogrid_contracts.ledger.backend import Backend
from neurogrid_contracts.ledger.config import LedgerConfig
from neurogrid_contracts.ledger.control import load_control_key
from neurogrid_contracts.ledger.errors import DataDirectoryBusy, PortsTaken
from neurogrid_contracts.ledger.events import Event
from neurogrid_contracts.ledger.faucet import Faucet
from neurogrid_contracts.ledger.faults import Faults
from neurogrid_contracts.ledger.ledger import Ledger
from neurogrid_contracts.ledger.owner import Owner
from neurogrid_contracts.ledger.programs import install_programs
from neurogrid_contracts.ledger.pubsub import Hub
from neurogrid_contracts.ledger.web import BODY_BYTES_MAX, Protocol, build_app

_log = logging.getLogger(__name__)

_CONNECTIONS_MAX = 1024
# A peer that takes no bytes for this long is cut off by the kernel.
_STUCK_PEER_MS = 20_000
# Together with uvicorn's own pause this keeps a stop under two seconds.
_GRACE_S = 1
# Longer than clients pause between polls: one that posts on a connection just being closed fails.
_KEEP_ALIVE_S = 75
_PORT_PAIR_ATTEMPTS = 100


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

    key_file = config.control_key_file or config.data / "control.key"
    control_key = load_control_key(key_file, create=config.control_key_file is None)
    ready = config.data / "ledger.json"
    ready.unlink(missing_ok=True)  # of a process that was killed
    owner = Owner(loop, slot_s=config.slot_ms / 1000)
    owner.start()
    try:
        ledger = await owner.call(open_ledger)
        owner.every_slot(ledger.tick)
        info = describe(ledger, config, port=sockets[0].getsockname()[1])
        backend = Backend(ledger, Faucet(ledger), info, control_key, Faults(config.faults))
        # Where the key is concerns this machine alone, so callers are not told.
        told_here = {**info, "control_key_file": str(key_file.absolute())}
        server = _Server(build_app(backend, owner, hub), ready, told_here)
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
                http=Protocol,
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
