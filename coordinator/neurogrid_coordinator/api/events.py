"""``/ws``: events as they happen.

    <- {"type": "connected", ...}             at once
    <- {"type": "heartbeat", ...}             every 5 s
    -> {"type": "auth", "token": "ng_..."}    the API key; "after": resumes after that sequence
    <- {"type": "authenticated", ...}
    <- {"type": "task.started", ...}          the account's task.* events, and node.status
    -> {"type": "ping"}
    <- {"type": "pong", ...}

A reader that does not keep up is disconnected with a reason; it comes back and resumes.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..services.errors import Unauthorized
from ..services.events import Events
from ..services.nodes import KnownNode, Nodes, NodeWatch, WatcherTooSlow
from ..store.accounts import Account
from ..store.database import DatabaseClosed, Overloaded
from .auth import CREDENTIAL_CHARS_MAX, Gate
from .envelope import iso
from .errors import error_body
from .event_views import update_view

_log = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
# What is ready to be sent; beyond it, events stay in the database until the reader takes some.
_BUFFER_MESSAGES = 64
# One message that a reader does not take for so long: it is gone, or stuck.
SEND_LIMIT_S = 10.0
# What a client sends is tiny.
_RECEIVED_CHARS_MAX = 4096
SOCKETS_MAX = 2000
# Document 004: sockets per address. Those with a key are counted by their key's limits instead.
STRANGERS_PER_ADDRESS_MAX = 10

# Close codes: RFC 6455, 7.4.1 and the IANA registry; 4000 and up are ours, after HTTP's.
_SERVICE_RESTART = 1012
_TRY_AGAIN_LATER = 1013
_INTERNAL = 1011
_UNAUTHORIZED = 4401
_TOO_SLOW = 4408
_TOO_MANY = 4429


class _Received(msgspec.Struct):
    type: str
    token: Annotated[str, Meta(max_length=CREDENTIAL_CHARS_MAX)] = ""
    after: Annotated[int, Meta(ge=0)] | None = None


class _Close(Exception):
    """End the connection with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Sockets:
    """Every open ``/ws``.

    Args:
        stopping: set when the coordinator stops; every socket is then closed.
    """

    def __init__(
        self, *, gate: Gate, events: Events, nodes: Nodes, stopping: asyncio.Event
    ) -> None:
        self._gate = gate
        self._events = events
        self._nodes = nodes
        self._stopping = stopping
        self._open = 0
        self._strangers: Counter[str] = Counter()

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection to its end."""
        await websocket.accept()
        address = websocket.client.host if websocket.client else ""
        connection = _Connection(websocket, self._gate, self._events, self._nodes)
        self._open += 1
        self._strangers[address] += 1
        try:
            if self._open > SOCKETS_MAX:
                raise _Close(_TRY_AGAIN_LATER, "too many connections; try again later")
            if self._strangers[address] > STRANGERS_PER_ADDRESS_MAX:
                raise _Close(_TOO_MANY, "too many connections without a key from your address")
            await connection.run(self._stopping, lambda: self._forget_stranger(address))
        except _Close as close:
            with contextlib.suppress(TimeoutError, OSError, RuntimeError, WebSocketDisconnect):
                async with asyncio.timeout(SEND_LIMIT_S):
                    await websocket.close(close.code, close.reason)
        finally:
            self._open -= 1
            if connection.account is None:
                self._forget_stranger(address)

    def _forget_stranger(self, address: str) -> None:
        self._strangers[address] -= 1
        if self._strangers[address] <= 0:
            del self._strangers[address]


class _Connection:
    """One socket: what arrives, what is sent, and the pumps that fill its buffer."""

    def __init__(self, websocket: WebSocket, gate: Gate, events: Events, nodes: Nodes) -> None:
        self._websocket = websocket
        self._gate = gate
        self._events = events
        self._nodes = nodes
        self._buffer: asyncio.Queue[object] = asyncio.Queue(_BUFFER_MESSAGES)
        self.account: Account | None = None

    async def run(self, stopping: asyncio.Event, known: Callable[[], None]) -> None:
        """Until the client leaves.

        Args:
            known: called once the client has shown a key.

        Raises:
            _Close: we end it.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send())
                tasks.create_task(self._beat())
                tasks.create_task(_stop(stopping))
                await self._receive(tasks, known)
        except ExceptionGroup as group:
            close = _ending(group)
            if close is not None:
                raise close from None

    async def _receive(self, tasks: asyncio.TaskGroup, known: Callable[[], None]) -> None:
        while True:
            text = await self._websocket.receive_text()
            try:
                if len(text) > _RECEIVED_CHARS_MAX:
                    raise _Close(_TRY_AGAIN_LATER, "a message is too long")
                message = msgspec.json.decode(text, type=_Received)
            except msgspec.DecodeError as error:
                await self._say(
                    "error", error=error_body("INVALID_REQUEST", f"not a message: {error}")
                )
                continue
            match message.type:
                case "auth" if self.account is None:
                    self.account = await self._authenticate(message)
                    known()
                    after = message.after
                    if after is None:
                        after = await self._events.newest()
                    watch = self._nodes.watch()
                    tasks.create_task(self._pump_nodes(watch))
                    # Only now, so that nothing that happens after this word is missed.
                    await self._say("authenticated", account_id=self.account.id)
                    tasks.create_task(self._pump_tasks(self.account, after))
                case "ping":
                    await self._say("pong")
                case _:
                    problem = f"{message.type[:40]!r} is not expected now"
                    await self._say("error", error=error_body("INVALID_REQUEST", problem))

    async def _authenticate(self, message: _Received) -> Account:
        try:
            return (await self._gate.caller_of(message.token)).account
        except Unauthorized as error:
            refused = {"type": "error", "error": error_body(error.code, error.message)}
            # Past the buffer: the connection ends with it.
            await self._websocket.send_text(msgspec.json.encode(refused).decode())
            raise _Close(_UNAUTHORIZED, error.message) from error

    async def _send(self) -> None:
        await self._say("connected", message="Connected to NeuroGrid WebSocket")
        while True:
            message = await self._buffer.get()
            try:
                async with asyncio.timeout(SEND_LIMIT_S):
                    await self._websocket.send_text(msgspec.json.encode(message).decode())
            except TimeoutError:
                raise _Close(_TOO_SLOW, "you read too slowly; resume with 'after'") from None

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self._say("heartbeat")

    async def _pump_tasks(self, account: Account, after: int) -> None:
        async for happening in self._events.of_account(account, after):
            await self._buffer.put(update_view(happening))

    async def _pump_nodes(self, watch: NodeWatch) -> None:
        with contextlib.closing(watch):
            async for node in watch:
                await self._say("node.status", **_node_fields(node))

    async def _say(self, kind: str, **fields: object) -> None:
        now = iso(time.time_ns() // 1_000_000)
        await self._buffer.put({"type": kind, "timestamp": now, **fields})


def _node_fields(node: KnownNode) -> dict[str, object]:
    offer = node.view.offer
    return {"node_id": offer.node_id, "status": node.status.value, "region": offer.region}


async def _stop(stopping: asyncio.Event) -> None:
    await stopping.wait()
    raise _Close(_SERVICE_RESTART, "the coordinator is stopping; connect again in a moment")


def _ending(group: ExceptionGroup[Exception]) -> _Close | None:
    """How to end the connection after these; None if the client has ended it."""
    for error in _leaves(group):
        match error:
            case WebSocketDisconnect() | OSError():
                return None
            case _Close():
                return error
            case DatabaseClosed() | Overloaded():
                return _Close(_SERVICE_RESTART, "the coordinator is busy or stopping")
            case WatcherTooSlow():
                return _Close(_TOO_SLOW, "you read too slowly and have missed node events")
    # The boundary of one connection: a bug in it must not touch the others.
    _log.error("a /ws connection failed", exc_info=group)
    return _Close(_INTERNAL, "the coordinator failed")


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
