"""HTTP over a stream of the coordinator's connection: for files of a coordinator that has no address for us.

One stream carries one request and its answer (`messages.FILES_PROTOCOL_ID`). httpx asks this transport for
what it would otherwise ask a socket for.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx
import trio

from neurogrid_marketplace.messages import FILES_PROTOCOL_ID
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.errors import ChannelClosed, P2pError

# The host of such a request's address: RFC 6761 keeps this name from ever being somebody's.
HOST = "connection.invalid"
# Transfers of one node at a time, of each coordinator: each is a stream of its connection.
_TRANSFERS_MAX = 2

OpenBytes = Callable[[str], Awaitable[ByteStream]]


class FileStreams(httpx.AsyncBaseTransport):
    """Sends requests to the coordinator that their extension "coordinator" names.

    Args:
        stream_to: by a coordinator's peer id, what opens a stream to it; None if it is unknown.
    """

    def __init__(self, stream_to: Callable[[str], OpenBytes | None]) -> None:
        self._stream_to = stream_to
        self._places: dict[str, trio.CapacityLimiter] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx.

        Raises:
            httpx.TransportError: the coordinator is away, or the stream broke.
        """
        coordinator = str(request.extensions["coordinator"])
        open_bytes = self._stream_to(coordinator)
        if open_bytes is None:
            raise httpx.ConnectError("the coordinator is not one of ours (any more)")
        place = self._places.setdefault(coordinator, trio.CapacityLimiter(_TRANSFERS_MAX))
        borrower = object()
        await place.acquire_on_behalf_of(borrower)

        def leave() -> None:
            place.release_on_behalf_of(borrower)
            if not place.borrowed_tokens and self._places.get(coordinator) is place:
                del self._places[coordinator]

        try:
            with _as_httpx():
                stream = _NetworkStream(await open_bytes(FILES_PROTOCOL_ID))
                connection = httpcore.AsyncHTTP11Connection(
                    httpcore.Origin(b"http", HOST.encode(), 80), stream
                )
                response = await connection.handle_async_request(
                    httpcore.Request(
                        request.method,
                        httpcore.URL(
                            scheme=b"http", host=HOST.encode(), target=request.url.raw_path
                        ),
                        headers=request.headers.raw,
                        content=request.stream,
                        extensions=request.extensions,
                    )
                )
        except BaseException:
            leave()
            raise

        async def end() -> None:
            leave()
            await stream.aclose()

        assert not isinstance(response.stream, Iterable), "asked asynchronously"
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response.stream, end)
        )


class _Body(httpx.AsyncByteStream):
    """An answer's body; the stream ends with it."""

    def __init__(self, body: Any, end: Callable[[], Awaitable[None]]) -> None:
        self._body = body
        self._end = end

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for piece in self._body:
                yield piece

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            await self._end()


class _NetworkStream(httpcore.AsyncNetworkStream):
    """A libp2p stream as httpcore wants to see it."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's signature
        with _limited(timeout, httpcore.ReadTimeout), _as_httpcore(httpcore.ReadError):
            return await self._stream.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's signature
        if not buffer:
            return
        with _limited(timeout, httpcore.WriteTimeout), _as_httpcore(httpcore.WriteError):
            await self._stream.write(buffer)

    async def aclose(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return None


@contextmanager
def _limited(timeout: float | None, error: type[Exception]) -> Iterator[None]:
    try:
        with trio.fail_after(float("inf") if timeout is None else timeout):
            yield
    except trio.TooSlowError:
        raise error(f"nothing for {timeout:g} s") from None


@contextmanager
def _as_httpcore(error_type: type[Exception]) -> Iterator[None]:
    try:
        yield
    except ChannelClosed as error:
        raise error_type(str(error)) from error


@contextmanager
def _as_httpx() -> Iterator[None]:
    """What goes wrong below, as those who use httpx expect it."""
    try:
        yield
    except P2pError as error:
        raise httpx.ConnectError(str(error)) from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
        raise httpx.ReadError(str(error) or type(error).__name__) from error
