"""What a channel needs of whatever carries it: a connection of libp2p's, or one over sockets of this machine."""

from collections.abc import Callable
from typing import Protocol

import trio


class MessageStream(Protocol):
    """Bytes both ways, read by one task and written by one task.

    `read` and `write` raise `MuxedStreamError` or `ConnectionClosedError` where it is over.
    """

    @property
    def closed(self) -> bool:
        """Whether both directions are."""

    @property
    def reset_received(self) -> bool:
        """Whether the peer has ended it without having read everything."""

    async def read(self, n: int) -> bytes:
        """At least one and up to ``n`` bytes; none at the end."""

    async def write(self, data: bytes) -> None:
        """Send all of ``data``, waiting while the peer has no room."""

    async def close(self) -> None:
        """Say that we write no more."""

    async def discard(self) -> None:
        """End it in both directions, with whatever has not been read."""


class Line(Protocol):
    """Streams to and from one peer.

    Attributes:
        remote_id: the peer's id.
        ended: set when it is over.
    """

    remote_id: str
    ended: trio.Event

    @property
    def nursery(self) -> trio.Nursery:
        """Where tasks live that belong to it."""

    async def open_stream(self, protocol: str) -> MessageStream:
        """Open a stream to the peer; raises `HandshakeFailed`."""

    def call_at_end(self, function: Callable[[], None]) -> None:
        """Have ``function`` called when it has ended."""

    def forget_at_end(self, function: Callable[[], None]) -> None:
        """Do not call it any more."""

    def cut_off(self, refusal: str) -> None:
        """Close at once, because of what the peer did."""

    def abort(self) -> None:
        """Close at once; never waits."""

    async def finish(self, limit_s: float) -> None:
        """Let what was written arrive, for up to ``limit_s``, then close."""


def end_stream(line: Line, stream: MessageStream) -> None:
    """End one stream at once, in both directions, read or not; never waits."""
    if not line.ended.is_set():
        line.nursery.start_soon(stream.discard)
