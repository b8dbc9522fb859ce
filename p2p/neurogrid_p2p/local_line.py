"""A line over sockets of this machine: somebody in another process of ours speaks for the peer.

Nothing here proves who that is. What is said on its channels is signed, as everywhere, and counts for nothing without.
"""

from collections.abc import Callable

import trio

from ._libp2p import ConnectionClosedError
from .errors import HandshakeFailed
from .line import MessageStream


class LocalStream:
    """One socket. It is a `line.MessageStream`."""

    reset_received = False

    def __init__(self, socket: trio.SocketStream) -> None:
        self._socket = socket
        self.closed = False

    async def read(self, n: int) -> bytes:
        """At least one and up to ``n`` bytes; none at the end."""
        try:
            return bytes(await self._socket.receive_some(n))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionClosedError("closed by the peer") from error

    async def write(self, data: bytes) -> None:
        """Send all of ``data``, waiting while the other side has no room."""
        try:
            await self._socket.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionClosedError("closed by the peer") from error

    async def close(self) -> None:
        """Say that we write no more."""
        try:
            await self._socket.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionClosedError("closed by the peer") from error

    async def discard(self) -> None:
        """End it in both directions."""
        self.end()

    def end(self) -> None:
        """The same, at once."""
        self.closed = True
        self._socket.socket.close()


class LocalLine:
    """Sockets that belong together. It is a `line.Line`; over with `abort`, or with its nursery.

    Args:
        remote_id: the peer that they claim to speak for.
    """

    def __init__(self, remote_id: str, nursery: trio.Nursery) -> None:
        self.remote_id = remote_id
        self.ended = trio.Event()
        self.nursery = nursery
        self._streams: set[LocalStream] = set()
        self._at_end: set[Callable[[], None]] = set()

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, socket: trio.SocketStream) -> LocalStream:
        """One more stream."""
        stream = LocalStream(socket)
        self._streams.add(stream)
        return stream

    def remove(self, stream: LocalStream) -> None:
        """It is over."""
        self._streams.discard(stream)
        stream.end()

    async def open_stream(self, protocol: str) -> MessageStream:
        """None can be: the peer takes no streams.

        Raises:
            HandshakeFailed: always.
        """
        raise HandshakeFailed(f"the peer takes no streams, so none for {protocol}")

    def call_at_end(self, function: Callable[[], None]) -> None:
        """Have ``function`` called when it has ended."""
        self._at_end.add(function)

    def forget_at_end(self, function: Callable[[], None]) -> None:
        """Do not call it any more."""
        self._at_end.discard(function)

    def cut_off(self, refusal: str) -> None:
        """Close at once, because of what the peer did."""
        self.abort()

    def abort(self) -> None:
        """Close at once; never waits."""
        if self.ended.is_set():
            return
        self.ended.set()
        for stream in self._streams:
            stream.end()
        for function in list(self._at_end):
            function()

    async def finish(self, limit_s: float) -> None:
        """Close: what was written is with the other process already."""
        self.abort()
