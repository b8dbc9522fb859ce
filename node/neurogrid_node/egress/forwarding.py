"""One plain HTTP request of a job, written anew for its host, and the response, written anew for the job."""

from collections.abc import Awaitable, Callable
from typing import Final

import h11
import trio

from neurogrid_marketplace.network import Refused

from .carrying import BROKEN, JobStream, both
from .dialling import ConnectionRefused
from .flow import FlowStream
from .request import HEAD_BYTES_MAX, passed_back

_SWITCHING_PROTOCOLS: Final = 101


async def forward(
    job: JobStream,
    connection: h11.Connection,
    request: h11.Request,
    host: FlowStream,
) -> None:
    """Pass a request on and its response back; the connection then ends.

    Args:
        connection: has read the request's head, and writes the response.
        request: as it is passed on.

    Raises:
        ConnectionRefused: its body is none, or what came back is no response.
        trio.BrokenResourceError: either end is gone.
    """
    upstream = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
    await host.send(upstream.send(request) or b"")

    async def send_on(data: bytes) -> bool:
        """Whether the host still takes something. One that does not may have answered already."""
        try:
            await host.send(data)
        except BROKEN:
            return False
        return True

    async def send_body() -> None:
        while True:
            try:
                event = await _next_event(connection, job.receive)
            except h11.RemoteProtocolError as error:
                raise ConnectionRefused(Refused.BAD_REQUEST, str(error)) from error
            match event:
                case h11.Data():
                    if not await send_on(upstream.send(event) or b""):
                        return
                case h11.EndOfMessage():
                    # Trailers are not passed on.
                    if end := upstream.send(h11.EndOfMessage()):
                        await send_on(end)
                    return
                case _:
                    raise trio.BrokenResourceError("the job has left")

    async def send_response() -> None:
        try:
            while await _pass_back(await _next_event(upstream, host.receive), connection, job):
                pass
        except h11.ProtocolError as error:
            raise ConnectionRefused(
                Refused.UNREACHABLE, f"the host answers with something else than HTTP: {error}"
            ) from error

    await both(send_body, send_response, ends_with=send_response)


async def _pass_back(event: object, connection: h11.Connection, job: JobStream) -> bool:
    """Pass on what came of the response; whether there is more of it."""
    match event:
        case h11.InformationalResponse():
            is_old = connection.their_http_version == b"1.0"
            if event.status_code != _SWITCHING_PROTOCOLS and not is_old:
                await job.send(connection.send(event) or b"")
        case h11.Response():
            await job.send(connection.send(passed_back(event)) or b"")
        case h11.Data():
            await job.send(connection.send(event) or b"")
        case h11.EndOfMessage():
            if end := connection.send(h11.EndOfMessage()):
                await job.send(end)
            return False
        case _:
            raise trio.BrokenResourceError("the host has left")
    return True


async def _next_event(
    connection: h11.Connection, receive: Callable[[], Awaitable[bytes]]
) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await receive())
    return event
