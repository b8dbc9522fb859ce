"""A WebSocket of a client, joined to one of a service: whole messages both ways, each side's handshake its own."""

import asyncio
from contextlib import suppress
from typing import Any, Final

from starlette.types import Receive, Scope, Send
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from .connection import Connection, ServiceBroken
from .exchange import ClientGone
from .headers import Headers

# Of one message of a service; a client's are bounded by the api's own server (64 KiB).
_MESSAGE_BYTES_MAX: Final = 1024 * 1024
_HANDSHAKE_LIMIT_S: Final = 60.0
_STALL_LIMIT_S: Final = 60.0
# A code that may be passed on (RFC 6455, 7.4); others have a meaning of their own.
_NORMAL: Final = 1000
_GOING_AWAY: Final = 1001
_BROKEN: Final = 1014


class HandshakeRefused(ServiceBroken):
    """It answers the handshake as HTTP."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"it answers {response.status_code} to a WebSocket's handshake")
        self.response = response


class ServiceSocket:
    """The service's side.

    Args:
        target: path and query, as the service gets them.
        headers: of the request, as the service gets them.
    """

    def __init__(
        self, connection: Connection, scope: Scope, *, target: bytes, headers: Headers
    ) -> None:
        self._connection = connection
        self._arrived: list[Any] = []
        self._parts: list[bytes] = []
        self._text = False
        self._headers = headers
        protocols = [Subprotocol(name) for name in scope.get("subprotocols", [])]
        # Where it is said to be counts for the request line alone: the host is set below.
        uri = parse_uri("ws://service" + target.decode("latin-1"))
        self._protocol = ClientProtocol(
            uri, subprotocols=protocols or None, max_size=_MESSAGE_BYTES_MAX
        )

    async def open(self) -> str | None:
        """Make the handshake; the subprotocol that the service chose.

        Raises:
            HandshakeRefused: it does not want to.
            ServiceBroken: it speaks no WebSocket.
        """
        request = self._protocol.connect()
        for name in ("Host", "User-Agent"):
            if name in request.headers:
                del request.headers[name]
        for field, value in self._headers:
            request.headers[field.decode("latin-1")] = value.decode("latin-1")
        self._protocol.send_request(request)
        await self._flush()
        try:
            async with asyncio.timeout(_HANDSHAKE_LIMIT_S):
                while not isinstance(event := await self._next(), Response):
                    pass
        except TimeoutError:
            raise ServiceBroken("it did not answer the handshake") from None
        if self._protocol.handshake_exc is not None:
            raise HandshakeRefused(event)
        return self._protocol.subprotocol

    async def receive(self) -> str | bytes | None:
        """The next message; None when the service has closed it.

        Raises:
            ServiceBroken: it broke off.
        """
        while True:
            frame = await self._next()
            assert isinstance(frame, Frame)
            match frame.opcode:
                case Opcode.TEXT | Opcode.BINARY:
                    self._parts, self._text = [bytes(frame.data)], frame.opcode is Opcode.TEXT
                case Opcode.CONT:
                    self._parts.append(bytes(frame.data))
                case Opcode.CLOSE:
                    return None
                case _:
                    continue
            if frame.fin:
                data, self._parts = b"".join(self._parts), []
                try:
                    return data.decode() if self._text else data
                except UnicodeDecodeError as error:
                    raise ServiceBroken("what it says is no text") from error

    async def send(self, message: str | bytes) -> None:
        """Send a message.

        Raises:
            ServiceBroken: it is gone.
        """
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        await self._flush()

    async def close(self, code: int) -> None:
        """Say that it is over."""
        with suppress(ProtocolError, ServiceBroken):
            self._protocol.send_close(code)
            await self._flush()

    async def _next(self) -> Any:
        while not self._arrived:
            data = await self._connection.read()
            if not data:
                raise ServiceBroken("it closed the connection")
            try:
                self._protocol.receive_data(data)
            except (InvalidHandshake, ProtocolError) as error:
                raise ServiceBroken(f"what it says is no WebSocket: {error}") from error
            # Answers to pings, and to a close.
            await self._flush()
            self._arrived = self._protocol.events_received()
            if not self._arrived and self._protocol.parser_exc is not None:
                raise ServiceBroken(f"what it says is no WebSocket: {self._protocol.parser_exc}")
        return self._arrived.pop(0)

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                await self._connection.write(data)


async def join(service: ServiceSocket, receive: Receive, send: Send) -> None:
    """Pass messages both ways until one side ends; the client's handshake is accepted already.

    Raises:
        ClientGone: the client has left, or takes nothing.
    """
    giving = asyncio.create_task(_give(service, receive))
    taking = asyncio.create_task(_take(service, send))
    try:
        await asyncio.wait({giving, taking}, return_when=asyncio.FIRST_COMPLETED)
        if giving.done():
            await service.close(_GOING_AWAY)
            await giving
        await taking
    except ServiceBroken:
        await _in_time(send({"type": "websocket.close", "code": _BROKEN}))
    finally:
        for task in (giving, taking):
            task.cancel()
        await asyncio.gather(giving, taking, return_exceptions=True)


async def _give(service: ServiceSocket, receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            raise ClientGone
        text, data = message.get("text"), message.get("bytes")
        await service.send(text if text is not None else data or b"")


async def _take(service: ServiceSocket, send: Send) -> None:
    while (message := await service.receive()) is not None:
        kind = "text" if isinstance(message, str) else "bytes"
        await _in_time(send({"type": "websocket.send", kind: message}))
    await _in_time(send({"type": "websocket.close", "code": _NORMAL}))


async def _in_time(work: Any) -> None:
    try:
        async with asyncio.timeout(_STALL_LIMIT_S):
            await work
    except (TimeoutError, OSError, RuntimeError):
        raise ClientGone from None
