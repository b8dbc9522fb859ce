"""What the api's process and a reading process say to each other: frames over a stream, and connections over another socket.

Frames of one turn of the loop go out a few at a time: a system call for each would cost as much as what it carries, and if all
waited for the last, one process would rest while the other works.
"""

import array
import asyncio
import socket
from collections.abc import Callable
from typing import cast

import msgspec

from ..services.written_tasks import WrittenTask

Headers = list[tuple[bytes, bytes]]

# What of a connection's bytes travels with it, or is asked about: a request that is longer is read where it came in.
REQUEST_BYTES_MAX = 64 * 1024
# A request, its task in words and its answer are shorter together.
_FRAME_BYTES_MAX = 16 * 1024 * 1024
_LENGTH_BYTES = 4
# So many frames at a time. With all of a turn's, 32 clients who wait had 2,500 submissions in a second, with four to eight 3,200.
_FRAMES_AT_ONCE = 8
_DESCRIPTOR = array.array("i").itemsize


class Ask(msgspec.Struct, frozen=True, array_like=True, tag="ask"):
    """To the api: a submission has come.

    Attributes:
        number: of this question.
        connection: which has been lent.
        written: the task, where it could be written; else the api reads the body itself.
        words_bytes: length of the answer's body that is kept for the case that this task is stored.
    """

    number: int
    connection: int
    headers: Headers
    body: bytes
    written: WrittenTask | None
    words_bytes: int


class Closed(msgspec.Struct, frozen=True, array_like=True, tag="closed"):
    """To the api: a connection that was lent is over."""

    connection: int


class Pong(msgspec.Struct, frozen=True, array_like=True, tag="pong"):
    """To the api: still here."""


class Answer(msgspec.Struct, frozen=True, array_like=True, tag="answer"):
    """To who asked.

    Attributes:
        head: all of it.
        body: None: the one that was kept.
        ends: whether the connection is to be closed after it.
    """

    number: int
    head: bytes
    body: bytes | None
    ends: bool


class Stop(msgspec.Struct, frozen=True, array_like=True, tag="stop"):
    """From the api: it stops. Answers that are due still come."""


class Ping(msgspec.Struct, frozen=True, array_like=True, tag="ping"):
    """From the api."""


class Passed(msgspec.Struct, frozen=True, array_like=True):
    """What goes along with a connection: what came over it and was not looked at.

    Attributes:
        stays: it is not to be lent again.
    """

    connection: int
    data: bytes
    stays: bool = False


Asking = Ask | Closed | Pong
Telling = Answer | Stop | Ping
_encode = msgspec.msgpack.Encoder().encode
read_asking: Callable[[bytes], Asking] = msgspec.msgpack.Decoder(Asking).decode
read_telling: Callable[[bytes], Telling] = msgspec.msgpack.Decoder(Telling).decode
_read_passed = msgspec.msgpack.Decoder(Passed).decode


class Stream(asyncio.Protocol):
    """One end of the frames' stream.

    Args:
        received: is given each frame.
        ended: is told once that there will be no more, which a frame that is none means too.
    """

    def __init__(self, received: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        self._received = received
        self._ended = ended
        self._transport: asyncio.WriteTransport | None = None
        self._came = bytearray()
        self._going: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Give out what is complete."""
        came = self._came
        came += data
        at = 0
        while len(came) - at >= _LENGTH_BYTES:
            length = int.from_bytes(came[at : at + _LENGTH_BYTES])
            end = at + _LENGTH_BYTES + length
            if length > _FRAME_BYTES_MAX:
                self.close()
                return
            if len(came) < end:
                break
            frame = bytes(came[at + _LENGTH_BYTES : end])
            at = end
            try:
                self._received(frame)
            except msgspec.DecodeError:
                self.close()
                return
        if at:
            del came[:at]

    def connection_lost(self, _error: Exception | None) -> None:
        """It is over."""
        self._transport = None
        self._ended()

    def send(self, frame: Asking | Telling) -> None:
        """Send it at the end of this turn of the loop, or with some others before; nothing happens where the other end is
        gone."""
        data = _encode(frame)
        if not self._going:
            asyncio.get_running_loop().call_soon(self.flush)
        self._going += (len(data).to_bytes(_LENGTH_BYTES), data)
        if len(self._going) >= 2 * _FRAMES_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Send now what waits."""
        if self._going and self._transport is not None:
            self._transport.write(b"".join(self._going))
        self._going.clear()

    def close(self) -> None:
        """End it, when what was sent is out."""
        self.flush()
        if self._transport is not None:
            self._transport.close()


def pass_connection(lane: socket.socket, descriptor: int, passed: Passed) -> bool:
    """Pass a connection on; False: the lane is full, or gone. The descriptor stays ours to close."""
    rights = array.array("i", [descriptor])
    try:
        lane.sendmsg([_encode(passed)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    except OSError:
        return False
    return True


def passed_connection(lane: socket.socket) -> tuple[socket.socket, Passed] | None:
    """A connection that was passed on; None: there is none now.

    Raises:
        EOFError: nor will there be.
    """
    try:
        data, control, _, _ = lane.recvmsg(2 * REQUEST_BYTES_MAX, socket.CMSG_SPACE(_DESCRIPTOR))
    except BlockingIOError:
        return None
    except OSError as error:
        raise EOFError from error
    if not data:
        raise EOFError
    (_, _, rights) = control[0]
    (descriptor,) = array.array("i", rights[:_DESCRIPTOR])
    return socket.socket(fileno=descriptor), _read_passed(data)
