"""A stream into a job over a WebSocket: bytes by credit, and words beside them; for commands and for connections.

What exactly is said is in `exec` and `port`. A key goes into the header, so no browser's page can send somebody else's.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeVar

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.job_stream import (
    Cells,
    Credit,
    Exited,
    FrameKind,
    Outgoing,
    Resize,
    Signal,
    SignalName,
)

from ..market.job_stream import JobStream, JobStreamBroken
from ..services.errors import InvalidRequest, Refused, Unauthorized, Unavailable
from ..store.accounts import Account
from ..store.database import DatabaseClosed, Overloaded
from .auth import Caller, Gate
from .errors import CODES, answer, error_body
from .json_numbers import decoded

T = TypeVar("T")

_log = logging.getLogger(__name__)

# A client has its first message ready.
_FIRST_LIMIT_S = 15.0
# What it does not take, or a program does not take from one that knows no credit, for so long.
STALL_LIMIT_S = 60.0
_NORMAL = 1000
_INTERNAL = 1011
_SERVICE_RESTART = 1012
_TOO_SLOW = 4408
_OUTPUT = {FrameKind.OUTPUT: b"\x01", FrameKind.ERRORS: b"\x02"}


class _EndOfInput(msgspec.Struct, tag_field="type", tag="end_of_input"):
    pass


class _Resize(msgspec.Struct, tag_field="type", tag="resize"):
    columns: Cells
    rows: Cells


class _Signal(msgspec.Struct, tag_field="type", tag="signal"):
    name: SignalName


class _Credit(msgspec.Struct, tag_field="type", tag="credit"):
    bytes: int


_Said = _EndOfInput | _Resize | _Signal | _Credit


class _Close(Exception):
    """End the connection with this code, after these last words."""

    def __init__(self, code: int, reason: str, words: Mapping[str, object] | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.words = words


class JobSockets:
    """Every open connection of a kind.

    Args:
        check: whether this account's task takes any; raises what it is refused for.
        begin: reads the client's first message; opens what it wants, and says whether it gives credit.
        stopping: set when the coordinator stops; every connection is then closed.
    """

    def __init__(
        self,
        gate: Gate,
        check: Callable[[Account, str], Awaitable[object]],
        begin: Callable[
            [WebSocket, Caller, str],
            Awaitable[tuple[AbstractAsyncContextManager[JobStream], bool]],
        ],
        stopping: asyncio.Event,
    ) -> None:
        self._gate = gate
        self._check = check
        self._begin = begin
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, to its end. What can be refused before anything is named is an HTTP answer."""
        websocket = WebSocket(scope, receive, send)
        task_id = str(scope["path_params"]["task_id"])
        try:
            caller = await self._gate.of_socket(websocket)
            await self._check(caller.account, task_id)
        except (Refused, Overloaded, DatabaseClosed) as error:
            await deny(websocket, answer(error), receive)
            return
        await websocket.accept()
        try:
            await self._serve(websocket, caller, task_id)
        except _Close as close:
            with contextlib.suppress(TimeoutError, OSError, RuntimeError, WebSocketDisconnect):
                async with asyncio.timeout(STALL_LIMIT_S):
                    if close.words is not None:
                        await _say(websocket, close.words)
                    await websocket.close(close.code, close.reason)
        except (OSError, WebSocketDisconnect):
            return  # the client is gone; what it opened has been ended

    async def _serve(self, websocket: WebSocket, caller: Caller, task_id: str) -> None:
        try:
            opening, gives_credit = await self._begin(websocket, caller, task_id)
            async with opening as stream:
                await _say(websocket, {"type": "started"})
                await _Joined(websocket, stream, gives_credit=gives_credit).run(
                    self._stopping, partial(self._gate.ended, caller)
                )
        except (Overloaded, DatabaseClosed) as error:
            raise _refusing(Unavailable("the coordinator is busy or stopping")) from error
        except Refused as error:
            raise _refusing(error) from error


async def deny(websocket: WebSocket, response: Response, receive: Receive) -> None:
    """Answer a handshake as HTTP."""
    await websocket.send_denial_response(response)
    # uvicorn (0.54) logs an error unless the connection is over when we return. What it tells: that
    # the client wants to connect, that the answer is out, that the connection is over.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_LIMIT_S):
            for _ in range(3):
                await receive()


async def first_message(websocket: WebSocket, kind: type[T], what: str) -> T:
    """What the client says first.

    Raises:
        InvalidRequest: it is nothing of this kind, or does not come in time.
        WebSocketDisconnect: the client has left.
    """
    try:
        async with asyncio.timeout(_FIRST_LIMIT_S):
            message = await websocket.receive()
    except TimeoutError:
        raise InvalidRequest(f"no {what} was named in time") from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    try:
        text = (message.get("text") or "").encode()
        return decoded(text, lambda data: msgspec.json.decode(data, type=kind))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidRequest(f"the first message names the {what}: {error}") from error


class _Joined:
    """A job's stream and its client's socket."""

    def __init__(self, websocket: WebSocket, stream: JobStream, *, gives_credit: bool) -> None:
        self._websocket = websocket
        self._stream = stream
        self._gives_credit = gives_credit
        self._outgoing = Outgoing()
        self._room = asyncio.Event()

    async def run(
        self, stopping: asyncio.Event, ended: Callable[[], Coroutine[Any, Any, Unauthorized]]
    ) -> None:
        """Until the program has ended, the client has left, or its key has ended.

        Raises:
            _Close: we end it.
            WebSocketDisconnect, OSError: the client has left.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear())
                tasks.create_task(_stop(stopping))
                tasks.create_task(_end(ended))
                await self._say_all()
        except ExceptionGroup as group:
            raise _ending(group) from None

    async def _hear(self) -> None:
        """Pass on what the client says."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            data, text = message.get("bytes"), message.get("text")
            if data is not None:
                await self._give(data)
            elif text is not None:
                await self._take(text)

    async def _give(self, data: bytes) -> None:
        # A client that waits for credit is heard whatever its program does: what it says next may be
        # what the program waits for.
        if self._gives_credit and len(data) > self._stream.room_bytes:
            raise _refusing(InvalidRequest("more input than there was credit for"))
        try:
            async with asyncio.timeout(STALL_LIMIT_S):
                await self._stream.write(data)
        except TimeoutError:
            raise _refusing(
                Unavailable(f"the program took no input for {STALL_LIMIT_S:.0f} s")
            ) from None

    async def _take(self, text: str) -> None:
        try:
            said = decoded(text.encode(), lambda data: msgspec.json.decode(data, type=_Said))
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise _refusing(InvalidRequest(f"not a message: {error}")) from error
        match said:
            case _EndOfInput():
                await self._stream.end_input()
            case _Resize(columns, rows):
                await self._stream.say(Resize(columns, rows))
            case _Signal(name):
                await self._stream.say(Signal(name))
            case _Credit(count):
                try:
                    self._outgoing.granted(Credit(max(0, count)))
                except MalformedMessage as error:
                    raise _refusing(InvalidRequest(str(error))) from error
                self._room.set()

    async def _say_all(self) -> None:
        """Pass on what the program says, and in the end how it ended."""
        while True:
            frame = await self._stream.receive()
            if frame.kind in _OUTPUT:
                await self._pass_on(_OUTPUT[frame.kind], frame.payload)
            elif frame.kind is FrameKind.CREDIT:
                async with _in_time():
                    count = frame.words(Credit).count
                    await _say(self._websocket, {"type": "credit", "bytes": count})
            elif frame.kind is FrameKind.EXITED:
                exited = frame.words(Exited)
                words = {"exit_code": exited.exit_code, "reason": exited.reason.value}
                raise _Close(_NORMAL, "it has ended", {"type": "exited", **words})
            else:
                raise JobStreamBroken(f"{frame.kind.name} is not expected")

    async def _pass_on(self, mark: bytes, data: bytes) -> None:
        left = memoryview(data)
        while left:
            part = left
            if self._gives_credit:
                while not self._outgoing.left_bytes:
                    self._room.clear()
                    await self._room.wait()
                part = left[: self._outgoing.left_bytes]
                self._outgoing.sent(len(part))
            async with _in_time():
                await self._websocket.send_bytes(mark + part)
            left = left[len(part) :]


def _refusing(error: Refused) -> _Close:
    status = CODES[error.code][0]
    body = error_body(error.code, error.message, error.details)
    # The reason of a close frame has 123 bytes.
    return _Close(4000 + status, error.code, {"type": "error", "status": status, "error": body})


@contextlib.asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    """For what a client has to take soon.

    Raises:
        _Close: it does not.
    """
    try:
        async with asyncio.timeout(STALL_LIMIT_S):
            yield
    except TimeoutError:
        raise _Close(_TOO_SLOW, "you read too slowly") from None


async def _say(websocket: WebSocket, words: Mapping[str, object]) -> None:
    await websocket.send_text(msgspec.json.encode(words).decode())


async def _stop(stopping: asyncio.Event) -> None:
    await stopping.wait()
    raise _Close(_SERVICE_RESTART, "the coordinator is stopping")


async def _end(ended: Callable[[], Coroutine[Any, Any, Unauthorized]]) -> None:
    raise _refusing(await ended())


def _ending(group: ExceptionGroup[Exception]) -> Exception:
    """Of all that went wrong at once, what to end the connection with."""
    for error in _leaves(group):
        match error:
            case _Close() | WebSocketDisconnect():
                return error
            case OSError():
                return WebSocketDisconnect()
            case JobStreamBroken() | MalformedMessage():
                return _refusing(Unavailable(f"the connection to the job broke: {error}"))
    # The boundary of one connection: a bug in it must not touch the others.
    _log.error("a connection to a job failed", exc_info=group)
    return _Close(_INTERNAL, "the coordinator failed")


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
