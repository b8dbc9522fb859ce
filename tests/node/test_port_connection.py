"""A connection to a program's port: what it has said is read, however it goes."""

import socket

import pytest
import trio

from neurogrid_node.container.errors import EngineUnavailable
from neurogrid_node.container.ports import PortConnection

# Less than sockets hold, so that all of it is there before anybody reads.
ANSWER = b"no, " * 8_000


async def connected() -> tuple[PortConnection, socket.socket]:
    """A connection, and the program's end of it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = trio.socket.socket()
        await ours.connect(listening.getsockname())
        theirs, _ = listening.accept()
    return PortConnection(trio.SocketStream(ours)), theirs


async def test_who_answers_before_it_has_read_the_request_is_heard() -> None:
    connection, program = await connected()
    await connection.write(b"x" * 10_000)
    program.sendall(ANSWER)
    # With something unread: that breaks the connection.
    program.close()
    # More of the request, which nobody takes.
    for _ in range(3):
        await connection.write(b"x" * 10_000)
    heard = b""
    while len(heard) < len(ANSWER):
        piece = await connection.read()
        assert piece is not None
        heard += piece.data
    assert heard == ANSWER
    await connection.aclose()


async def test_who_breaks_off_is_no_end() -> None:
    connection, program = await connected()
    await connection.write(b"x")
    program.close()
    with pytest.raises(EngineUnavailable):
        await connection.read()
    await connection.aclose()
