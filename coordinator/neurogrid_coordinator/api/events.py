"""``/ws``: events as they happen.

    <- {"type": "connected", ...}             at once
    <- {"type": "heartbeat", "metrics": ...}  every 5 s
    -> {"type": "auth", "token": "ng_..."}    an API key that may read; "after": resumes after that sequence;
                                              "dialect": whose messages to send, as ``?dialect=`` says too
    <- {"type": "authenticated", ...}
    <- {"type": "task.started", ...}          the account's events, and node.status
    <- {"type": "system.alert", ...}          the account's, and the coordinator's own
    -> {"type": "ping"}
    <- {"type": "pong", ...}

A reader that does not keep up is disconnected with a reason; it comes back and resumes. What each message has:
docs/events.md.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from starlette.websockets import WebSocket, WebSocketDisconnect

from ..services.events import Events, Happening, Notice
from ..services.nodes import Nodes, WatcherTooSlow
from ..store.accounts import Account
from ..store.database import DatabaseClosed, Overloaded
from .auth import Gate
from .event_dialects import Dialect, message_of
from .event_socket import (
    INTERNAL,
    SEND_LIMIT_S,
    SERVICE_RESTART,
    TOO_SLOW,
    TRY_AGAIN_LATER,
    Close,
    EventSocket,
    Told,
    WithoutKey,
    said,
    told,
)
from .event_views import node_fields

_log = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
# A heartbeat goes to a part of the sockets at a time, so that a thousand of them hold nothing up.
_BEAT_PARTS = 10
# What goes to all sockets goes to so many before others of the process have a turn.
_TOLD_AT_ONCE = 250
SOCKETS_MAX = 2000
# Of one account, and from one address with or without a key: so that nobody has all of them.
SOCKETS_PER_ACCOUNT_MAX = 1000
SOCKETS_PER_ADDRESS_MAX = 1000

_TOO_MANY = 4429

_MARKET_DOWN: dict[str, object] = {
    "code": "MARKET_DOWN",
    "level": "error",
    "message": "the market process is away: tasks wait, and those that run go on",
}
_MARKET_UP: dict[str, object] = {
    "code": "MARKET_UP",
    "level": "info",
    "message": "the market process is back",
}


class Sockets:
    """Every open ``/ws``; what is the same for all of them is made once.

    Args:
        at_work: how many tasks of all accounts a node works on.
        market_is_up: whether anything can be auctioned now.
        stopping: set when the coordinator stops; every socket is then closed.
        strangers_per_address_max: sockets without a key from one address (document 004: ten).
        without_key: whose tasks those are told of, in document 004's words.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        events: Events,
        nodes: Nodes,
        at_work: Callable[[], Awaitable[int]],
        market_is_up: Callable[[], bool],
        stopping: asyncio.Event,
        strangers_per_address_max: int = 10,
        without_key: WithoutKey,
    ) -> None:
        self.gate = gate
        self.without_key = without_key
        self.events = events
        self._nodes = nodes
        self._at_work = at_work
        self._market_is_up = market_is_up
        self._stopping = stopping
        self._strangers_max = strangers_per_address_max
        # Each with the part of the heartbeats that it gets.
        self._open: dict[EventSocket, int] = {}
        self._opened = 0
        self._telling: asyncio.Task[None] | None = None
        self._tasks_at_work = 0
        self._strangers: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._accounts: Counter[str] = Counter()
        # By dialect: events that were put into words last, and the words.
        self._worded: dict[Dialect, tuple[Sequence[Happening | Notice], bytes]] = {}

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection to its end."""
        await websocket.accept()
        address = websocket.client.host if websocket.client else ""
        connection = EventSocket(websocket, self)
        self._opened += 1
        self._open[connection] = self._opened % _BEAT_PARTS
        self._strangers[address] += 1
        self._addresses[address] += 1
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_all(), name="what all /ws are told")
        try:
            if len(self._open) > SOCKETS_MAX:
                raise Close(TRY_AGAIN_LATER, "too many connections; try again later")
            if self._addresses[address] > SOCKETS_PER_ADDRESS_MAX:
                raise Close(_TOO_MANY, "too many connections from your address")
            if self._strangers[address] > self._strangers_max:
                raise Close(_TOO_MANY, "too many connections without a key from your address")
            if self._stopping.is_set():
                raise _stopped()
            await connection.run(lambda account: self._known(address, account))
        except Close as close:
            with contextlib.suppress(TimeoutError, OSError, RuntimeError, WebSocketDisconnect):
                async with asyncio.timeout(SEND_LIMIT_S):
                    await websocket.close(close.code, close.reason)
        finally:
            del self._open[connection]
            if not self._open and self._telling is not None:
                self._telling.cancel()
                self._telling = None
            _forget(self._addresses, address)
            if connection.account is None:
                _forget(self._strangers, address)
            else:
                _forget(self._accounts, connection.account.id)

    def words(self, dialect: Dialect, event: Happening | Notice) -> Told | None:
        """What is told of an event; None where the dialect has no message for it."""
        message = message_of(dialect, event, self._known_of)
        return None if message is None else told(message)

    def frames(self, dialect: Dialect, events: Sequence[Happening | Notice]) -> bytes:
        """What is told of events, ready to be written: made once for all listeners of an account."""
        worded = self._worded.get(dialect)
        if worded is None or worded[0] is not events:
            words = (self.words(dialect, event) for event in events)
            worded = events, b"".join(each.frame for each in words if each is not None)
            self._worded[dialect] = worded
        return worded[1]

    def _known(self, address: str, account: Account) -> None:
        _forget(self._strangers, address)
        self._accounts[account.id] += 1
        if self._accounts[account.id] > SOCKETS_PER_ACCOUNT_MAX:
            raise Close(_TOO_MANY, "your account has too many connections; close some")

    def _known_of(self, event: Happening) -> tuple[int, int]:
        node_id, lease_id = event.task.node_id or "", event.task.lease_id or ""
        return (
            self._nodes.score_permille(node_id),
            self._nodes.memory_peak_bytes(node_id, lease_id),
        )

    # --- what all are told --------------------------------------------------------------------------

    async def _tell_all(self) -> None:
        """Until it is cancelled, or nothing can be told any more: then all connections end."""
        close = _stopped()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._beat())
                tasks.create_task(self._tell_of_nodes())
                await self._stopping.wait()
                raise close
        except* (Close, DatabaseClosed):
            pass
        except* WatcherTooSlow:
            close = Close(TOO_SLOW, "changes of nodes were missed; connect again")
        except* Exception:  # noqa: BLE001 - the boundary of a task that nobody awaits
            _log.exception("what all /ws connections are told")
            close = Close(INTERNAL, "the coordinator failed")
        for socket in self._open:
            socket.end(close)

    async def _beat(self) -> None:
        was_up, part = self._market_is_up(), 0
        while True:
            await asyncio.sleep(HEARTBEAT_S / _BEAT_PARTS)
            part = (part + 1) % _BEAT_PARTS
            due = [socket for socket, its_part in self._open.items() if its_part == part]
            if due:
                beat = said("heartbeat", metrics=await self._metrics())
                for socket in due:
                    socket.news(beat)
            is_up = self._market_is_up()
            if is_up is not was_up:
                alert = said("system.alert", **(_MARKET_UP if is_up else _MARKET_DOWN))
                await self._tell(alert, lambda socket: socket.dialect is Dialect.NATIVE)
            was_up = is_up

    async def _tell_of_nodes(self) -> None:
        with contextlib.closing(self._nodes.watch()) as watch:
            async for node in watch:
                status = said("node.status", **node_fields(node))
                await self._tell(
                    status,
                    lambda socket: socket.is_told_of_nodes and socket.dialect is Dialect.NATIVE,
                )

    async def _tell(self, message: Told, whom: Callable[[EventSocket], bool]) -> None:
        for number, socket in enumerate(list(self._open), 1):
            if whom(socket):
                socket.news(message)
            if number % _TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _metrics(self) -> dict[str, float]:
        with contextlib.suppress(Overloaded):
            self._tasks_at_work = await self._at_work()
        load = self._nodes.load()
        return {
            "gpu_utilization": load.gpus_percent,
            "memory_usage": load.memory_percent,
            "active_tasks": self._tasks_at_work,
        }


def _stopped() -> Close:
    return Close(SERVICE_RESTART, "the coordinator is stopping; connect again in a moment")


def _forget(counts: Counter[str], name: str) -> None:
    counts[name] -= 1
    if counts[name] <= 0:
        del counts[name]
