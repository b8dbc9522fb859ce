"""One request of ours to a replica's server, and its answer as it comes: HTTP/1.1 by h11 over any connection.

The server is a stranger's: its heads are bounded, each wait for it has a limit, and nothing of its answer is kept but the piece
that is passed on. Whoever leaves before the end closes the connection, and so the server hears of it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol

import h11

from ..gateway.connection import Connection, Hung, ServiceBroken
from ..gateway.exchange import HEAD_BYTES_MAX
from ..gateway.headers import Headers, end_to_end

# Of a request. A recording is the largest thing that a model is given.
BODY_BYTES_MAX: Final = 32 * 1024 * 1024
# Of a server that has answered, whether or not its connection would take another request.
_SAID: Final = frozenset((h11.DONE, h11.MUST_CLOSE, h11.CLOSED))
# With less than this the body goes along with the head, in one piece.
_SMALL_BYTES: Final = 32 * 1024
# Heads before the one of the answer (RFC 9110, 15.2).
_INFORMATIONAL_MAX: Final = 8


class Body(Protocol):
    """A body that is too large to be held: it is read anew each time that it is sent."""

    @property
    def size_bytes(self) -> int:
        """All of it."""

    def pieces(self) -> AsyncIterator[bytes]:
        """From its beginning on."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request, whole: it may have to be asked twice.

    Attributes:
        target: path and query.
        headers: without those of one connection, and without the body's length.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Body = b""

    @property
    def size_bytes(self) -> int:
        """Of its body."""
        return len(self.body) if isinstance(self.body, bytes) else self.body.size_bytes


@dataclass(frozen=True, slots=True)
class AskLimits:
    """How long an answer may take.

    Attributes:
        first_byte_s: until its body begins, where less is not known to be enough.
        between_s: from one piece to the next.
        whole_s: in all.
    """

    first_byte_s: float = 1800.0
    between_s: float = 60.0
    whole_s: float = 1800.0


LIMITS: Final = AskLimits()


class Answer:
    """A response whose body has begun, or is empty.

    Attributes:
        status: of HTTP.
        headers: but those of one connection; names in lower case.
    """

    def __init__(
        self,
        response: h11.Response,
        first: bytes,
        rest: AsyncIterator[bytes],
        service: h11.Connection,
    ) -> None:
        self.status = response.status_code
        self.headers: Headers = end_to_end(response.headers)
        self._first = first
        self._rest = rest
        self._service = service

    async def pieces(self) -> AsyncIterator[bytes]:
        """Its body, piece by piece as they come.

        Raises:
            ServiceBroken: it broke off, or took too long.
        """
        if self._first:
            yield self._first
        async for piece in self._rest:
            yield piece

    @property
    def is_whole(self) -> bool:
        """Whether all of it has come, and nothing behind it."""
        return self._service.their_state in _SAID and not self._service.trailing_data[0]

    def header(self, name: bytes) -> str:
        """The value of a header; "" where there is none."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")


@asynccontextmanager
async def ask(
    connection: Connection, question: Question, limits: AskLimits = LIMITS
) -> AsyncIterator[Answer]:
    """Ask, and wait until the answer's body begins; whoever leaves before its end has to close the connection.

    Raises:
        ServiceBroken: what came is no answer, or it took too long; `Hung`: to begin.
    """
    service = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
    loop = asyncio.get_running_loop()
    over_s = loop.time() + limits.whole_s
    giving = None
    if question.size_bytes < _SMALL_BYTES:
        # There is room for all of it: nobody has to read meanwhile.
        await _give(service, connection, question)
    else:
        giving = asyncio.create_task(_give(service, connection, question))
    pieces = _pieces(service, connection, limits, over_s)
    try:
        limit_s = min(limits.first_byte_s, limits.whole_s)
        try:
            async with asyncio.timeout(limit_s):
                response = await _response(service, connection)
                first = await _body(service, connection)
        except TimeoutError:
            raise Hung(f"it did not answer for {limit_s:g} s") from None
        yield Answer(response, first, pieces if first else _nothing(), service)
    finally:
        await pieces.aclose()
        if giving is not None:
            giving.cancel()
            with suppress(asyncio.CancelledError, ServiceBroken, h11.LocalProtocolError):
                await giving


async def _give(service: h11.Connection, connection: Connection, question: Question) -> None:
    """Send the request. A server that has answered already may have stopped reading: what it says counts."""
    request = h11.Request(
        method=question.method,
        target=question.target,
        headers=[
            ("host", "localhost"),
            *question.headers,
            ("content-length", str(question.size_bytes)),
        ],
    )
    head = service.send(request) or b""
    if not isinstance(question.body, bytes):
        await connection.write(head)
        with suppress(ServiceBroken):
            async for piece in question.body.pieces():
                await connection.write(service.send(h11.Data(data=piece)) or b"")
            service.send(h11.EndOfMessage())
        return
    body = service.send(h11.Data(data=question.body)) or b"" if question.body else b""
    service.send(h11.EndOfMessage())
    if len(body) < _SMALL_BYTES:
        await connection.write(head + body)
        return
    await connection.write(head)
    with suppress(ServiceBroken):
        await connection.write(body)


async def _response(service: h11.Connection, connection: Connection) -> h11.Response:
    # 100 Continue and its like say nothing.
    for _ in range(_INFORMATIONAL_MAX + 1):
        event = await _event(service, connection)
        if isinstance(event, h11.Response):
            return event
        if not isinstance(event, h11.InformationalResponse):
            raise ServiceBroken("it closed the connection without an answer")
    raise ServiceBroken("what it answers does not begin")


async def _body(service: h11.Connection, connection: Connection) -> bytes:
    """The next piece of the body; b"" at its end."""
    while True:
        event = await _event(service, connection)
        if isinstance(event, h11.EndOfMessage):
            return b""
        if not isinstance(event, h11.Data):
            raise ServiceBroken("it broke off")
        if event.data:
            return bytes(event.data)


async def _pieces(
    service: h11.Connection, connection: Connection, limits: AskLimits, over_s: float
) -> AsyncGenerator[bytes]:
    loop = asyncio.get_running_loop()
    while True:
        late_s = loop.time() + limits.between_s
        try:
            async with asyncio.timeout_at(min(late_s, over_s)):
                piece = await _body(service, connection)
            if loop.time() > over_s:
                # What there is already is read without a wait, and a limit of waits never stops it.
                raise TimeoutError
        except TimeoutError:
            why = (
                f"it took longer than {limits.whole_s:g} s"
                if over_s <= late_s
                else f"nothing came for {limits.between_s:g} s"
            )
            raise ServiceBroken(why) from None
        if not piece:
            return
        yield piece


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _event(service: h11.Connection, connection: Connection) -> object:
    try:
        while (event := service.next_event()) is h11.NEED_DATA:
            data = await connection.read()
            if (
                not data
                and service.their_state is h11.SEND_RESPONSE
                and not service.trailing_data[0]
            ):
                raise ServiceBroken("it closed the connection without an answer")
            service.receive_data(data)
    except h11.RemoteProtocolError as error:
        raise ServiceBroken(f"what it answers is not HTTP: {error}") from error
    return event
