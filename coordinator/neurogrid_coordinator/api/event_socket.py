"""One ``/ws``: what its client says, and what is sent to it.

Whoever keeps up is written to at once, with bytes that are the same for everybody. What a client's connection
does not take waits here, as far as there is room, and goes out as it reads.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..server.ready_frames import ready_frames, text_frame
from ..services.errors import Forbidden, Unauthorized
from ..services.events import Events, Happening, Notice
from ..store.accounts import Account
from ..store.database import DatabaseClosed, Overloaded
from .auth import CREDENTIAL_CHARS_MAX, Caller, Gate
from .envelope import iso
from .errors import error_body
from .event_dialects import GREETINGS, Dialect
from .event_views import reset_fields
from .json_numbers import decoded

_log = logging.getLogger(__name__)

# What is ready to be sent; beyond it, events stay in the database until the reader takes some.
_BUFFER_MESSAGES = 64
# News that are in no database (changes of nodes, heartbeats); who takes fewer has lost track of the market.
_NEWS_MAX = 1_000
# One message that a reader does not take for so long: it is gone, or stuck.
SEND_LIMIT_S = 10.0
# What a client sends is tiny.
_RECEIVED_CHARS_MAX = 4096

# Close codes: RFC 6455, 7.4.1 and the IANA registry; 4000 and up are ours, after HTTP's.
INTERNAL = 1011
SERVICE_RESTART = 1012
TRY_AGAIN_LATER = 1013
TOO_SLOW = 4408
_INVALID = 4400
_UNAUTHORIZED = 4401
_FORBIDDEN = 4403


class Close(Exception):
    """End the connection with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Told:
    """A message, as text and as the frame that carries it; the same for everybody who gets it."""

    text: str
    frame: bytes


def told(message: object) -> Told:
    """Put a message into words."""
    payload = msgspec.json.encode(message)
    return Told(payload.decode(), text_frame(payload))


def said(kind: str, **fields: object) -> Told:
    """A message that is no event."""
    return told({"type": kind, "timestamp": iso(time.time_ns() // 1_000_000), **fields})


# Whose tasks a connection is told of before it shows a key; None: of nobody's.
WithoutKey = Callable[[WebSocket], Awaitable[Account | None]]


class Words(Protocol):
    """What all sockets share; is `events.Sockets`."""

    gate: Gate
    events: Events
    without_key: WithoutKey

    def words(self, dialect: Dialect, event: Happening | Notice) -> Told | None:
        """What is told of an event; None where the dialect has no message for it."""

    def frames(self, dialect: Dialect, events: Sequence[Happening | Notice]) -> bytes:
        """What is told of events, ready to be written."""


class _Received(msgspec.Struct):
    type: str
    token: Annotated[str, Meta(max_length=CREDENTIAL_CHARS_MAX)] = ""
    after: Annotated[int, Meta(ge=0, le=10**15)] | None = None
    dialect: Dialect | None = None


_received = msgspec.json.Decoder(_Received).decode


class EventSocket:
    """One connection.

    Attributes:
        account: whose it is, once its client has shown a key.
        is_told_of_nodes: from just before ``authenticated`` on.
    """

    def __init__(self, websocket: WebSocket, shared: Words) -> None:
        self._websocket = websocket
        self._shared = shared
        self._ready = ready_frames(websocket.scope)
        self._waiting: deque[str] = deque()
        self._is_sending = False
        self._something = asyncio.Event()
        self._room = asyncio.Event()
        self._limit: asyncio.Timeout | None = None
        self._close: Close | None = None
        self._is_greeted = False
        self._unnamed: asyncio.Task[None] | None = None
        self.dialect = Dialect.NATIVE
        self.is_told_of_nodes = False
        self.account: Account | None = None

    async def run(self, known: Callable[[Account], None]) -> None:
        """Until the client leaves.

        Args:
            known: called with its account once the client has shown a key; may raise `Close`.

        Raises:
            Close: we end it.
        """
        named = self._websocket.query_params.get("dialect")
        if named not in (None, *Dialect):
            raise Close(_INVALID, f"dialect: is one of {', '.join(Dialect)}")
        self.dialect = Dialect(named or Dialect.NATIVE)
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._greet(tasks, is_dialect_open=named is None)
                tasks.create_task(self._send())
                await self._receive(tasks, known)
        except ExceptionGroup as group:
            close = _ending(group)
            if close is not None:
                raise close from None

    def news(self, message: Told) -> None:
        """Tell something that is in no database; who is too far behind is disconnected."""
        if not self._is_greeted:
            return
        if len(self._waiting) >= _NEWS_MAX:
            self.end(Close(TOO_SLOW, "you read too slowly and have missed node events"))
        else:
            self._say(message)

    def end(self, close: Close) -> None:
        """End the connection, whatever it waits for."""
        self._close = self._close or close
        self._something.set()
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time())

    async def _greet(self, tasks: asyncio.TaskGroup, *, is_dialect_open: bool) -> None:
        """The first word; document 004's clients, who show no key, are told of tasks from here on."""
        dialect, account = self.dialect, None
        if is_dialect_open or dialect is Dialect.OPENRUNTIME:
            account = await self._shared.without_key(self._websocket)
        if account is not None:
            dialect = Dialect.OPENRUNTIME
            # Before the greeting, so that nothing that happens after it is missed.
            after = await self._shared.events.newest()
            self._unnamed = tasks.create_task(self._follow(account, after, dialect))
        self._is_greeted = True
        self._say(said("connected", message=GREETINGS[dialect]))

    async def _receive(self, tasks: asyncio.TaskGroup, known: Callable[[Account], None]) -> None:
        while True:
            text = await self._websocket.receive_text()
            await self._has_room()
            try:
                if len(text) > _RECEIVED_CHARS_MAX:
                    raise Close(TRY_AGAIN_LATER, "a message is too long")
                message = decoded(text.encode(), _received)
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                problem = error_body("INVALID_REQUEST", f"not a message: {error}")
                self._say(said("error", error=problem))
                continue
            match message.type:
                case "auth" if self.account is None:
                    await self._begin(message, tasks, known)
                case "ping":
                    self._say(said("pong"))
                case _:
                    words = f"{message.type[:40]!r} is not expected now"
                    self._say(said("error", error=error_body("INVALID_REQUEST", words)))

    async def _begin(
        self, message: _Received, tasks: asyncio.TaskGroup, known: Callable[[Account], None]
    ) -> None:
        """Its client has shown a key."""
        caller = await self._authenticate(message)
        if self._unnamed is not None:
            self._unnamed.cancel()
            await asyncio.wait([self._unnamed])
        self.account = caller.account
        self.dialect = message.dialect or self.dialect
        known(caller.account)
        tasks.create_task(self._end(caller))
        after, is_reset = await self._shared.events.beginning(message.after)
        self.is_told_of_nodes = True
        # Only now, so that nothing that happens after this word is missed.
        self._say(said("authenticated", account_id=self.account.id))
        if is_reset and message.after is not None:
            self._say(told(reset_fields(after, message.after)))
        tasks.create_task(self._follow(self.account, after, self.dialect))

    async def _authenticate(self, message: _Received) -> Caller:
        try:
            return await self._shared.gate.reader(message.token)
        except (Unauthorized, Forbidden) as error:
            body = error_body(error.code, error.message, dict(error.details))
            # Past what waits: the connection ends with it.
            await self._websocket.send_text(said("error", error=body).text)
            code = _FORBIDDEN if isinstance(error, Forbidden) else _UNAUTHORIZED
            raise Close(code, error.message) from error

    async def _end(self, caller: Caller) -> None:
        raise Close(_UNAUTHORIZED, (await self._shared.gate.ended(caller)).message)

    async def _follow(self, account: Account, after: int, dialect: Dialect) -> None:
        """Tell of the account's events: at once where the client keeps up, else as it reads."""

        def tell(events: Sequence[Happening | Notice]) -> bool:
            return self._offer(self._shared.frames(dialect, events))

        async for event in self._shared.events.of_account(account, after, tell):
            words = self._shared.words(dialect, event)
            if words is not None:
                await self._has_room()
                self._say(words)

    # --- sending ------------------------------------------------------------------------------------

    def _say(self, message: Told) -> None:
        if not self._offer(message.frame):
            self._waiting.append(message.text)
            self._something.set()

    def _offer(self, frames: bytes) -> bool:
        """Write these now if nothing goes before them and the connection takes them."""
        is_next = not self._waiting and not self._is_sending and self._close is None
        return self._ready is not None and is_next and (not frames or self._ready.offer(frames))

    async def _has_room(self) -> None:
        while len(self._waiting) >= _BUFFER_MESSAGES:
            self._room.clear()
            await self._room.wait()

    async def _send(self) -> None:
        """Send what waits.

        Raises:
            Close: a message was not taken in time, or we were told to end.
        """
        while True:
            await self._something.wait()
            self._something.clear()
            self._is_sending = True
            while self._waiting and self._close is None:
                text = self._waiting.popleft()
                self._room.set()
                await self._send_one(text)
            self._is_sending = False
            if self._close is not None:
                raise self._close

    async def _send_one(self, text: str) -> None:
        try:
            async with asyncio.timeout(SEND_LIMIT_S) as self._limit:
                await self._websocket.send_text(text)
        except TimeoutError:
            slow = Close(TOO_SLOW, "you read too slowly; resume with 'after'")
            raise self._close or slow from None
        finally:
            self._limit = None


def _ending(group: ExceptionGroup[Exception]) -> Close | None:
    """How to end the connection after these; None if the client has ended it."""
    for error in _leaves(group):
        match error:
            case WebSocketDisconnect() | OSError():
                return None
            case Close():
                return error
            case DatabaseClosed() | Overloaded():
                return Close(SERVICE_RESTART, "the coordinator is busy or stopping")
    # The boundary of one connection: a bug in it must not touch the others.
    _log.error("a /ws connection failed", exc_info=group)
    return Close(INTERNAL, "the coordinator failed")


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
