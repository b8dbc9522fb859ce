"""Connections to the REST API, bounded: how many, from where, how long a head may take, and who reads nothing.

uvicorn bounds none of this: it waits for the first byte and for the end of a head for ever, takes heads of any
length, and lets an answer wait for a client that does not read it.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from ..api.client_address import IpNetwork, group_of, is_within
from ..api.paths import API
from .ready_frames import EXTENSION as READY_FRAMES
from .whole_exchanges import EXTENSION as WHOLE_EXCHANGE

# Of a request: its line and all of its headers. Ours have a few hundred bytes, a browser's a few thousand.
HEAD_BYTES_MAX = 32 * 1024
# What a request begins with that submits a task.
SUBMISSION = f"POST {API}/tasks ".encode()
# A connection that submits so often, and nothing else between, goes on with that: then lending it is worth its while.
LENT_AFTER = 8
# A colon, a space and the line's end, for each header.
_BETWEEN = 4
# Who takes nothing of an answer for so long is gone, or means harm.
STALL_S = 60.0


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections there may be, and how long they may take.

    Attributes:
        connections: at a time, in all.
        per_address: from one address (IPv6: a /64); 0: no limit.
        trusted: networks that are not counted by address: reverse proxies.
        head_s: how long a head may take, and what is left of a body once its answer is out.
    """

    connections: int
    per_address: int
    trusted: Collection[IpNetwork]
    head_s: float


class Lender(Protocol):
    """Lends connections to other processes (`reading.readers`)."""

    def lend(self, connection: "BoundedHttp", data: bytes) -> bool:
        """Lend one over which this has come, which nobody has looked at; False: it stays."""


class Connections:
    """Those that are open.

    Attributes:
        lender: lends those that submit one task after the other; None: nobody does.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.lender: Lender | None = None
        # Connections that were lent (`reading`) go by the number that they have there.
        self._groups: dict[asyncio.BaseTransport | int, str] = {}
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._groups)

    def opened(self, transport: asyncio.BaseTransport) -> str:
        """Count a connection; "" or why there may not be one more."""
        peer = transport.get_extra_info("peername")
        host = str(peer[0]) if peer else ""
        group = "" if is_within(host, self.limits.trusted) else group_of(host)
        if len(self._groups) >= self.limits.connections:
            return "too many connections; try again later"
        per_address = self.limits.per_address
        if group and per_address and self._counts[group] >= per_address:
            return "too many connections from your address"
        self._groups[transport] = group
        self._counts[group] += 1
        return ""

    def lend(self, transport: asyncio.BaseTransport, number: int) -> None:
        """Another process goes on with a connection: it counts until that number is `closed`."""
        self._groups[number] = self._groups.pop(transport)

    def closed(self, connection: asyncio.BaseTransport | int) -> None:
        """A connection is over; repeating is harmless."""
        group = self._groups.pop(connection, None)
        if group is None:
            return
        self._counts[group] -= 1
        if not self._counts[group]:
            del self._counts[group]


def bounded(
    connections: Connections,
) -> tuple[type[HttpToolsProtocol], type[WebSocketsSansIOProtocol]]:
    """uvicorn's protocols, for `uvicorn.Config`, with these connections' limits."""

    class Http(BoundedHttp):
        registry = connections

    class Socket(BoundedSocket):
        registry = connections

    return Http, Socket


class BoundedHttp(HttpToolsProtocol):
    """One connection that speaks HTTP."""

    registry: Connections

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._in_head = True
        # Something of the head has come.
        self._begun = False
        self._came_bytes = 0
        self._in_body = False
        self._head_bytes = 0
        # So many submissions in a row.
        self._submissions = 0
        # Of one that was lent and given back: what has come over it, and whether it stays.
        self.given = b""
        self.stays = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        refusal = self.registry.opened(transport)
        if refusal:
            self._refuse(503, refusal)
            return
        self._begin_deadline()
        if self.given:
            # Before anything that comes over it from now on.
            given, self.given = self.given, b""
            self.data_received(given)

    def connection_lost(self, exc: Exception | None) -> None:
        self.registry.closed(self.transport)
        self._end_deadline()
        self._end_stall()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self.registry.lender is not None and self._is_lent(self.registry.lender, data):
            return
        self._came_bytes = len(data)
        super().data_received(data)
        if self._in_head and self.parser is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(431, "the head of the request is too long")
            elif self._begun and self._deadline is None:
                # Most heads come whole, and need no clock.
                self._begin_deadline()

    def _is_lent(self, lender: Lender, data: bytes) -> bool:
        """Lend it, if this is one more submission of many, and all before it is over."""
        if not data.startswith(SUBMISSION) or self.stays:
            self._submissions = 0
            return False
        self._submissions += 1
        is_between = self.cycle is None or (self.cycle.response_complete and not self.pipeline)
        if self._submissions < LENT_AFTER or self._begun or self._in_body or not is_between:
            return False
        return not self.transport.get_write_buffer_size() and lender.lend(self, data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun, self._in_head, self._head_bytes = True, True, 0

    def on_headers_complete(self) -> None:
        self._begun, self._in_head, self._in_body = False, False, True
        self._end_deadline()
        # It can be no longer than what has come.
        if self._head_bytes + self._came_bytes > HEAD_BYTES_MAX:
            length = len(self.url) + sum(
                len(name) + len(value) + _BETWEEN for name, value in self.headers
            )
            if length > HEAD_BYTES_MAX:
                self._refuse(431, "the head of the request is too long")
                return
        super().on_headers_complete()
        cycle = self.cycle
        if cycle is not None and cycle.scope is self.scope:
            # The application begins in a later turn of the loop.
            extensions: dict[str, Any] = {WHOLE_EXCHANGE: Exchange(cycle)}
            self.scope["extensions"] = extensions

    def on_body(self, body: bytes) -> None:
        if self.cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        if self.cycle is not None:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body:
            # The answer is out, and the body still comes: nobody reads it, so nobody else bounds it.
            self._begin_deadline()

    def handle_websocket_upgrade(self) -> None:
        self._end_deadline()
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._end_stall()
        self._stalled = self.loop.call_later(STALL_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._end_stall()
        super().resume_writing()

    def _begin_deadline(self) -> None:
        self._end_deadline()
        self._deadline = self.loop.call_later(self.registry.limits.head_s, self._too_late)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end_stall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _too_late(self) -> None:
        if self._in_head and self._head_bytes:
            self._refuse(408, "the head of the request did not arrive in time")
        else:
            self.transport.close()

    def _refuse(self, status: int, words: str) -> None:
        """Say why, as far as the client's buffer takes it, and end the connection."""
        if self.transport.is_closing():
            return
        body = words.encode()
        self.transport.write(
            b"HTTP/1.1 %d Refused\r\ncontent-type: text/plain; charset=utf-8\r\n" % status
            + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
            + body
        )
        self.transport.close()


class Exchange:
    """One request and its answer; see `whole_exchanges.WholeExchange`."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def arrived(self) -> bytes | None:
        """The body, if it is all there; as if it had been received."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected or cycle.response_complete:
            return None
        body = bytes(cycle.body)
        cycle.body = bytearray()
        cycle.message_event.clear()
        return body

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send a message of ASGI's, or a whole answer.

        Raises:
            RuntimeError: an answer has begun, or a header would be more than one line.
        """
        cycle = self._cycle
        if message["type"] != WHOLE_EXCHANGE:
            await cycle.send(cast("Any", message))
            return
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        if cycle.response_started:
            raise RuntimeError("a whole answer, after one had begun")
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        body: bytes = message["body"]
        head = head_of(message["status"], cycle.default_headers + message["headers"], len(body))
        ends = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
        cycle.transport.write(
            head + ends if cycle.scope["method"] == "HEAD" else head + ends + body
        )
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


def head_of(status: int, headers: list[tuple[bytes, bytes]], length: int) -> bytes:
    """The head of an answer, up to the empty line.

    Raises:
        RuntimeError: a header would be more than one line.
    """
    head = STATUS_LINE[status] + b"content-length: %d\r\n" % length
    head += b"".join([b"%b: %b\r\n" % header for header in headers])
    # Two lines are ours. Whoever could put a line's end into a value could write answers of their own.
    lines = len(headers) + 2
    if head.count(b"\n") != lines or head.count(b"\r") != lines:
        raise RuntimeError("a header of an answer has more than one line")
    return head


class BoundedSocket(WebSocketsSansIOProtocol):
    """One connection that has become a WebSocket; it takes `ready_frames`."""

    registry: Connections

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            # The application begins in a later turn of the loop.
            extensions: dict[str, Any] = {**self.scope["extensions"], READY_FRAMES: self}
            self.scope["extensions"] = extensions

    def offer(self, frames: bytes) -> bool:
        """See `ready_frames.ReadyFrames`. Messages are never sent in parts here, so it is between two."""
        is_open = self.handshake_complete and self.conn.state is State.OPEN
        if not is_open or self.close_sent or not self.writable.is_set():
            return False
        if self.transport.is_closing():
            return False
        self.transport.write(frames)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.registry.closed(self.transport)
        super().connection_lost(exc)
