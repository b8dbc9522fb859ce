"""The address at which Prometheus asks: HTTP/1.1 with one path, and few who ask at a time."""

import logging
from collections.abc import Awaitable, Callable

import h11
import trio

_log = logging.getLogger(__name__)

PATH = b"/metrics"
CONNECTIONS_MAX = 8
# For one request and its answer.
PATIENCE_S = 10.0
_HEAD_BYTES_MAX = 16 * 1024
_READ_BYTES = 4096
_AGAIN_S = 30.0

# The body and its content type, for what is accepted.
Render = Callable[[str], Awaitable[tuple[bytes, str]]]


async def serve_metrics(host: str, port: int, render: Render) -> None:
    """Answer for ever. An address that is taken is tried again: jobs do not depend on who watches them."""
    complaint = ""
    while True:
        try:
            listeners = await trio.open_tcp_listeners(port, host=host)
        except OSError as error:
            if str(error) != complaint:
                complaint = str(error)
                _log.error("[metrics] listen: %s port %d: %s; trying again", host, port, error)
            await trio.sleep(_AGAIN_S)
        else:
            await answer(listeners, render)


async def answer(listeners: list[trio.SocketListener], render: Render) -> None:
    """Answer on these for ever."""
    places = trio.CapacityLimiter(CONNECTIONS_MAX)

    async def serve(stream: trio.SocketStream) -> None:
        try:
            places.acquire_nowait()
        except trio.WouldBlock:
            return  # it is closed; who asks so often asks again
        try:
            with trio.move_on_after(PATIENCE_S):
                await _serve(stream, render)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except Exception:  # noqa: BLE001 - one request's boundary: the node goes on without its numbers
            _log.exception("the metrics could not be shown")
        finally:
            places.release()

    await trio.serve_listeners(serve, listeners)


async def _serve(stream: trio.SocketStream, render: Render) -> None:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES_MAX)
    try:
        request = await _request(stream, connection)
    except h11.RemoteProtocolError as error:
        await _send(stream, connection, error.error_status_hint, b"")
        return
    if request is None:
        return
    if request.method != b"GET":
        # Without a word: the answer to HEAD has no body.
        await _send(stream, connection, 405, b"")
    elif request.target.partition(b"?")[0] != PATH:
        await _send(stream, connection, 404, b"ask for /metrics\n")
    else:
        accept = b", ".join(value for name, value in request.headers if name == b"accept")
        body, content_type = await render(accept.decode("latin-1"))
        await _send(stream, connection, 200, body, content_type)


async def _request(stream: trio.SocketStream, connection: h11.Connection) -> h11.Request | None:
    """The head of a request; None: there is none."""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(_READ_BYTES))
        else:
            return event if isinstance(event, h11.Request) else None


async def _send(
    stream: trio.SocketStream,
    connection: h11.Connection,
    status: int,
    body: bytes,
    content_type: str = "text/plain",
) -> None:
    headers = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    response = h11.Response(status_code=status, headers=headers)
    events: list[h11.Event] = [response, h11.Data(data=body), h11.EndOfMessage()]
    await stream.send_all(b"".join(connection.send(event) or b"" for event in events))
