"""The socket's file, and who is at its other end: what the daemon and the commands share."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import trio

SOCKET_NAME: Final = "control.sock"
# sun_path has 108, and a zero at its end.
_ADDRESS_BYTES_MAX = 107
# struct ucred.
_PEER = struct.Struct("iII")


@dataclass(frozen=True, slots=True)
class Peer:
    """Who opened the other end, by the kernel's word."""

    pid: int
    uid: int


@contextmanager
def address_in(directory: Path) -> Iterator[str]:
    """The socket's address: its path, or a shorter way to it where an address has no room for that.

    Raises:
        OSError: there is no such directory.
    """
    path = str(directory / SOCKET_NAME)
    if len(path.encode()) <= _ADDRESS_BYTES_MAX:
        yield path
        return
    folder = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET_NAME}"
    finally:
        os.close(folder)


def peer_of(end: "socket.socket | trio.SocketStream") -> Peer:
    """Who is at the other end."""
    found = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    assert isinstance(found, bytes), "as many bytes as were asked for"
    pid, uid, _ = _PEER.unpack(found)
    return Peer(pid, uid)
