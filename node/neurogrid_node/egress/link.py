"""Our end of a job's link: it gives us the very socket at which the job's connections arrive.

The link listens in the job's network and passes the listening socket on (`images/egress-link`), so we take the
connections there though we are in another network. It does so again whenever we are back.
"""

import logging
import socket
import struct
from collections.abc import Awaitable, Callable

import trio

_log = logging.getLogger(__name__)

_DESCRIPTOR = struct.Struct("i")
# What one that connects has to have sent by then.
_HANDOVER_LIMIT_S = 10.0


class EgressLink:
    """The socket of one job's link, on the listener of `links.listening`."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self._handed_over = trio.Event()

    async def until_connected(self) -> None:
        """Wait for the job's listening socket."""
        await self._handed_over.wait()

    async def run(self, serve: Callable[[trio.SocketListener], Awaitable[None]]) -> None:
        """Have the job's connections served for ever; the socket that came last counts.

        Args:
            serve: takes connections until it is cancelled.
        """
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()
            while True:
                stream = await self._listener.accept()
                scope.cancel()
                scope = trio.CancelScope()
                nursery.start_soon(self._serve, stream, serve, scope)

    async def _serve(
        self,
        stream: trio.SocketStream,
        serve: Callable[[trio.SocketListener], Awaitable[None]],
        scope: trio.CancelScope,
    ) -> None:
        # The stream stays open meanwhile: at its end the link would hand its socket over again.
        with scope, stream.socket:
            listener = None
            with trio.move_on_after(_HANDOVER_LIMIT_S):
                listener = await _received(stream)
            if listener is not None:
                self._handed_over.set()
                with listener.socket:
                    await serve(listener)


async def _received(stream: trio.SocketStream) -> trio.SocketListener | None:
    """The listening socket that a link passes on; None if it does not."""
    try:
        _, ancillary, _, _ = await stream.socket.recvmsg(
            1, socket.CMSG_LEN(_DESCRIPTOR.size), socket.MSG_CMSG_CLOEXEC
        )
    except OSError as error:
        _log.warning("a job's link: %s", error)
        return None
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found = socket.socket(fileno=_DESCRIPTOR.unpack(data)[0])
            if found.family == socket.AF_INET and found.getsockopt(
                socket.SOL_SOCKET, socket.SO_ACCEPTCONN
            ):
                return trio.SocketListener(trio.socket.from_stdlib_socket(found))
            found.close()
    _log.warning("a job's link passes on no listening socket")
    return None
