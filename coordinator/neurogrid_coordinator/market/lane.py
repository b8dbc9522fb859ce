"""Sockets that the api gives us: over a socket that passes descriptors, each with what it is for."""

import array
import logging
import socket
from collections.abc import Awaitable, Callable

import msgspec
import trio

from .rpc import SocketWanted

_REQUEST_BYTES = 512
_DESCRIPTOR_BYTES = array.array("i").itemsize

_log = logging.getLogger(__name__)


Serve = Callable[[SocketWanted, socket.socket], Awaitable[None]]


async def take_sockets(lane: socket.socket, serve: Serve) -> None:
    """Have each socket served in a task of its own, until the api is gone.

    Args:
        serve: owns the socket; must not raise.
    """
    async with trio.open_nursery() as nursery:
        with trio.socket.from_stdlib_socket(lane) as receiving:
            while True:
                try:
                    data, ancillary, _, _ = await receiving.recvmsg(
                        _REQUEST_BYTES,
                        socket.CMSG_SPACE(_DESCRIPTOR_BYTES),
                        socket.MSG_CMSG_CLOEXEC,
                    )
                except OSError:
                    break
                if not data:
                    break
                given = _socket_of(ancillary)
                if given is None:
                    # The kernel has closed it, and so tells the api.
                    _log.error("a socket of the api's was dropped: no more files may be open")
                    continue
                nursery.start_soon(serve, msgspec.json.decode(data, type=SocketWanted), given)
        # Whoever is the other end of these is gone.
        nursery.cancel_scope.cancel()


def _socket_of(ancillary: list[tuple[int, int, bytes]]) -> socket.socket | None:
    """The socket that came along; None where this process has no room for it."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            (descriptor,) = array.array("i", data)
            return socket.socket(fileno=descriptor)
    return None
