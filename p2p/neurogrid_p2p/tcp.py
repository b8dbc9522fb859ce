"""The TCP socket under a connection, as libp2p wants to see it.

libp2p's own wrapper asks the kernel for two bytes of length, then for a body: two system calls and
two wake-ups per message. This one reads ahead. It also closes without writing anything, which is
the only close that cannot hang on a frozen peer.
"""

import socket

import trio

from ._libp2p import ConnectionClosedError
from .carrier import Carrier

# One Noise message at its longest.
_READ_BYTES = 65_536


class TcpStream(Carrier):
    """One TCP connection; read by one task and written by one task at a time."""

    is_relayed = False

    def __init__(self, stream: trio.SocketStream) -> None:
        """Take a connected socket.

        Raises:
            OSError: the peer is gone already.
        """
        self._stream = stream
        self._buffer = b""
        self._offset = 0
        name = stream.socket.getpeername()
        self.remote_host: str = name[0]
        self._remote_port: int = name[1]

    async def read(self, n: int | None = None) -> bytes:
        """At least one and up to ``n`` bytes; none at the end."""
        if self._offset == len(self._buffer):
            try:
                self._buffer = bytes(await self._stream.receive_some(_READ_BYTES))
            except trio.BrokenResourceError as error:
                raise ConnectionClosedError("reset by the peer", transport="tcp") from error
            except trio.ClosedResourceError:
                return b""
            self._offset = 0
        end = len(self._buffer) if n is None else min(self._offset + n, len(self._buffer))
        data = self._buffer[self._offset : end]
        self._offset = end
        return data

    async def write(self, data: bytes) -> None:
        """Hand ``data`` to the kernel.

        Raises:
            ConnectionClosedError: either end closed.
        """
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionClosedError("closed", transport="tcp") from error

    def abort(self) -> None:
        """Close at once, dropping what the kernel has not sent; pending reads and writes end."""
        self._stream.socket.close()

    def finish(self) -> None:
        """Say that nothing more will be written; what was written still arrives."""
        try:
            self._stream.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.abort()  # the peer was faster

    def get_remote_address(self) -> tuple[str, int] | None:
        """The other end's address."""
        return self.remote_host, self._remote_port
