"""One HTTP request of a client, written anew for a service, and the response, written anew for the client.

h11 reads and writes the service's side, so that no head is understood one way here and another way there. One request for
each connection: nothing that a service says after its response reaches anybody.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import h11
from starlette.types import Receive, Scope, Send

from .connection import Connection, ServiceBroken
from .headers import Headers, framing

HEAD_BYTES_MAX: Final = 64 * 1024
# A model may think for minutes before it says the first word.
HEAD_LIMIT_S: Final = 600.0
# A client that sends, or takes, nothing for so long.
_STALL_LIMIT_S: Final = 60.0


class ClientGone(Exception):
    """Nobody waits for the rest."""


async def exchange(
    connection: Connection,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    target: bytes,
    headers: Headers,
    back: Callable[[Headers], Headers],
    head_limit_s: float = HEAD_LIMIT_S,
) -> None:
    """Pass a request on and its response back.

    Args:
        target: path and query, as the service gets them.
        headers: of the request, as the service gets them, without what delimits the body.
        back: a response's headers, as the client gets them.
        head_limit_s: how long it may take to answer.

    Raises:
        ServiceBroken: what came is no response, or broke off; said to the client only before it has begun.
        ClientGone: the client has left, or takes nothing.
    """
    service = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
    try:
        request = h11.Request(
            method=scope["method"],
            target=target,
            headers=[
                *headers,
                *framing(scope["headers"]),
                (b"connection", b"close"),
            ],
        )
        await connection.write(service.send(request) or b"")
    except h11.LocalProtocolError as error:
        raise ServiceBroken(f"the request can't be passed on: {error}") from error
    giving = asyncio.create_task(_give(service, connection, receive))
    taking = asyncio.create_task(_take(service, connection, send, back, head_limit_s))
    try:
        await asyncio.wait({giving, taking}, return_when=asyncio.FIRST_COMPLETED)
        # Giving goes on until the client has left: if it ended first, that is why.
        if not taking.done():
            await giving
        await taking
    finally:
        for task in (giving, taking):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(giving, taking, return_exceptions=True)


async def _give(service: h11.Connection, connection: Connection, receive: Receive) -> None:
    """Pass the body on, and then wait for the client to leave; ends with `ClientGone`."""
    more = True
    while more:
        message = await _in_time(receive())
        if message["type"] == "http.disconnect":
            raise ClientGone
        more = bool(message.get("more_body", False))
        # A service that has answered already may have stopped reading: what it says counts.
        with suppress(ServiceBroken, h11.LocalProtocolError):
            if body := message.get("body", b""):
                await connection.write(service.send(h11.Data(data=body)) or b"")
            if not more:
                await connection.write(service.send(h11.EndOfMessage()) or b"")
    while (await receive())["type"] != "http.disconnect":
        pass
    raise ClientGone


async def _take(
    service: h11.Connection,
    connection: Connection,
    send: Send,
    back: Callable[[Headers], Headers],
    head_limit_s: float,
) -> None:
    """Pass the response back."""
    events = _events(service, connection)
    try:
        async with asyncio.timeout(head_limit_s):
            async for event in events:
                # 100 Continue and its like: the client's server has said that itself.
                if isinstance(event, h11.Response):
                    break
            else:
                raise ServiceBroken("it closed the connection without an answer")
    except TimeoutError:
        raise ServiceBroken(f"it did not answer for {head_limit_s:g} s") from None
    length = [(name, value) for name, value in event.headers if name == b"content-length"]
    start = {
        "type": "http.response.start",
        "status": event.status_code,
        "headers": [*back(list(event.headers)), *length],
    }
    await _in_time(send(start))
    async for event in events:
        if isinstance(event, h11.Data):
            data = {"type": "http.response.body", "body": bytes(event.data), "more_body": True}
            await _in_time(send(data))
    await _in_time(send({"type": "http.response.body", "body": b""}))


async def _events(
    service: h11.Connection, connection: Connection
) -> AsyncIterator[h11.InformationalResponse | h11.Response | h11.Data]:
    """What the service says, to the end of its response."""
    try:
        while True:
            event = service.next_event()
            if event is h11.NEED_DATA:
                service.receive_data(await connection.read())
            elif isinstance(event, h11.EndOfMessage):
                return
            elif isinstance(event, h11.InformationalResponse | h11.Response | h11.Data):
                yield event
            else:
                raise ServiceBroken("it closed the connection without an answer")
    except h11.RemoteProtocolError as error:
        raise ServiceBroken(f"what it answers is not HTTP: {error}") from error


async def _in_time(work: Awaitable[Any]) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(_STALL_LIMIT_S):
            result: Mapping[str, Any] = await work
            return result
    except (TimeoutError, OSError):
        raise ClientGone from None
