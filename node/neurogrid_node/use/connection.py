"""One HTTP exchange with a replica, joined to a client's stream like a command: read, counted, and passed on.

The request is read and written anew, so that what reaches the server is one request and nothing behind it; the answer is
passed on as it came. While the lease is too far ahead of its vouchers, nothing of an answer is passed on; and never what its escrow
could not pay.
"""

import signal
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import h11
import trio

from neurogrid_marketplace.answer_counting import Count, NoCount, count_of
from neurogrid_marketplace.units import Units
from neurogrid_p2p.errors import ChannelClosed

from ..container.errors import EngineUnavailable
from ..container.execs import Output
from .tally import Tally

# Between two looks at whether more may be passed on, and how long that may take: vouchers come in answer to meters,
# which go out every half second.
_LOOK_S: Final = 0.05
HOLD_LIMIT_S: Final = 30.0
_LOOKS_MAX: Final = round(HOLD_LIMIT_S / _LOOK_S)
# A head; a line of a chunked body.
_INCOMPLETE_BYTES_MAX: Final = 64 * 1024
# Of one hop (RFC 9110, 7.6.1), and what would keep an answer from being read.
_LEFT_OUT: Final = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"),
        *(b"expect", b"accept-encoding"),
    }
)
_ONE: Final = "one stream of a lease for use carries one request"


class Port(Protocol):
    """A connection to the replica's port; a `ports.PortConnection`."""

    async def read(self) -> Output | None:
        """What comes next."""

    async def write(self, data: bytes) -> None:
        """Give it all of this."""

    async def aclose(self) -> None:
        """Close it."""


class UseConnection:
    """One exchange.

    Args:
        must_wait: whether nothing more may be passed on for now.
        is_beyond: whether so much, of all its lease's answers, is more than the escrow can pay.

    Attributes:
        is_used_up: whether it was broken off for that.
    """

    def __init__(
        self,
        port: Port,
        tally: Tally,
        must_wait: Callable[[], bool],
        is_beyond: Callable[[Units], bool],
    ) -> None:
        self.is_used_up = False
        self._port = port
        self._tally = tally
        self._must_wait = must_wait
        self._is_beyond = is_beyond
        self._request = tally.begin()
        self._from_client = h11.Connection(
            h11.SERVER, max_incomplete_event_size=_INCOMPLETE_BYTES_MAX
        )
        self._to_server = h11.Connection(
            h11.CLIENT, max_incomplete_event_size=_INCOMPLETE_BYTES_MAX
        )
        self._count: Count | None = None
        self._is_asked = False
        self._is_answered = False

    async def write(self, data: bytes) -> None:
        """A piece of the request.

        Raises:
            ChannelClosed: it is no request, or there is something behind it.
        """
        if not data:
            return
        if self._is_asked:
            raise ChannelClosed(_ONE)
        try:
            self._from_client.receive_data(data)
            # A server that gets all of a request at once is woken once.
            written = b"".join(self._forwarded())
        except h11.ProtocolError as error:
            raise ChannelClosed(f"no HTTP request: {error}") from error
        if written:
            await self._port.write(written)
        if self._is_asked and self._from_client.trailing_data[0]:
            raise ChannelClosed(_ONE)

    def _forwarded(self) -> Iterator[bytes]:
        """What the server gets of all that has come."""
        while not self._is_asked:
            match event := self._from_client.next_event():
                case h11.Request():
                    yield self._to_server.send(_forwarded(event)) or b""
                case h11.Data():
                    yield self._to_server.send(event) or b""
                case h11.EndOfMessage():
                    self._is_asked = True
                    yield self._to_server.send(h11.EndOfMessage()) or b""
                case _:
                    return

    async def read(self) -> Output | None:
        """The next piece of the answer; None when there is no more of it.

        Raises:
            EngineUnavailable: the server broke off, or what it says is no answer, or it may not be passed on, for too long or because
                nobody could pay for it.
        """
        if self._is_answered:
            return None
        piece = await self._port.read()
        try:
            self._to_server.receive_data(piece.data if piece is not None else b"")
            self._look()
        except h11.ProtocolError as error:
            raise EngineUnavailable(f"no HTTP answer: {error}") from error
        if piece is None:
            return None
        if self._count is not None and self._is_beyond(
            self._tally.with_more(self._request, self._count.units)
        ):
            self.is_used_up = True
            raise EngineUnavailable("its escrow cannot pay for more")
        await self._until_signed()
        if self._count is not None:
            self._tally.passed(self._request, self._count.units)
        return piece

    async def _until_signed(self) -> None:
        for _ in range(_LOOKS_MAX):
            if not self._must_wait():
                return
            await trio.sleep(_LOOK_S)
        raise EngineUnavailable("no voucher came for what was served before")

    def _look(self) -> None:
        """Count what has arrived."""
        while True:
            event = self._to_server.next_event()
            match event:
                case h11.Response():
                    self._count = _count(event)
                case h11.Data() if self._count is not None:
                    self._count.feed(bytes(event.data))
                case h11.EndOfMessage():
                    self._is_answered = True
                    if self._count is not None:
                        self._count.end()
                    return
                case h11.InformationalResponse() | h11.Data():
                    continue
                case _:
                    return

    async def end_input(self) -> None:
        """There will be no more of the request.

        Raises:
            ChannelClosed: it is not complete.
        """
        if not self._is_asked:
            raise ChannelClosed("the request was not complete")

    async def resize(self, columns: int, rows: int) -> None:
        """It has no terminal."""

    async def signal(self, number: signal.Signals) -> None:
        """It is nobody's process."""

    async def exit_code(self) -> int:
        """It has said all that it wanted."""
        return 0

    async def aclose(self) -> None:
        """Close it; what was passed on counts."""
        self._tally.end(self._request)
        await self._port.aclose()


def _forwarded(request: h11.Request) -> h11.Request:
    """The request as the server gets it."""
    if request.method == b"CONNECT":
        raise ChannelClosed("no tunnel goes through a replica")
    headers = [(name, value) for name, value in request.headers if name not in _LEFT_OUT]
    own = [(b"accept-encoding", b"identity"), (b"connection", b"close")]
    return h11.Request(method=request.method, target=request.target, headers=[*headers, *own])


def _count(response: h11.Response) -> Count | None:
    """How the answer is counted; None: it is an error, and costs nothing."""
    if response.status_code >= 400:
        return None
    headers = {name: value.decode("latin-1") for name, value in response.headers}
    if response.status_code in (204, 304):
        return NoCount()
    return count_of(headers.get(b"content-type", ""), headers.get(b"content-encoding", ""))
