"""Our end of a member's link: the Unix socket over which the packets of its interface come and go.

The link connects, and does so again whenever we are back; the newest connection counts.
"""

import logging
from collections.abc import Awaitable, Callable

import trio

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.gang_packets import FrameCutter

_log = logging.getLogger(__name__)

# As much as the link sends in one call.
_READ_BYTES = 262_144
# A link that takes nothing for so long is stuck or gone; it is asked to connect again.
_WRITE_LIMIT_S = 5.0


class GangLink:
    """The socket of one member's link, on the listener of `links.listening`."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self._stream: trio.SocketStream | None = None
        self._connected = trio.Event()
        self._writing = trio.Lock()

    async def until_connected(self) -> None:
        """Wait for the link, whose interface is then up."""
        await self._connected.wait()

    async def run(self, received: Callable[[list[bytes]], Awaitable[None]]) -> None:
        """Serve the link for ever.

        Args:
            received: called with frames of the interface, in order.
        """
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()
            while True:
                stream = await self._listener.accept()
                scope.cancel()
                scope = trio.CancelScope()
                nursery.start_soon(self._serve, stream, received, scope)

    async def send(self, frames: bytes) -> None:
        """Hand over frames; without a link, or to one that breaks, they are lost, as packets are."""
        async with self._writing:
            stream = self._stream
            if stream is None:
                return
            try:
                with trio.move_on_after(_WRITE_LIMIT_S) as limit:
                    await stream.send_all(frames)
                is_whole = not limit.cancelled_caught
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                is_whole = False
            except trio.Cancelled:
                # Part of a frame may be out, so nothing can follow it.
                self._leave(stream)
                raise
            if not is_whole:
                self._leave(stream)

    async def _serve(
        self,
        stream: trio.SocketStream,
        received: Callable[[list[bytes]], Awaitable[None]],
        scope: trio.CancelScope,
    ) -> None:
        cutter = FrameCutter()
        self._stream = stream
        self._connected.set()
        try:
            with scope:
                while data := await stream.receive_some(_READ_BYTES):
                    await received(cutter.feed(data))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except MalformedMessage as error:
            _log.error("a gang's link: %s", error)
        finally:
            self._leave(stream)

    def _leave(self, stream: trio.SocketStream) -> None:
        if self._stream is stream:
            self._stream = None
        stream.socket.close()
