"""A reading process: it reads submissions, checks them, and writes tasks and answers down, and has the api's process store them.

It has no database, no keys and no say: whose a request is, and whether it is let in, the api decides. It may die at any time.
"""

import asyncio
import gc
import itertools
import logging
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import uvloop

from neurogrid_p2p.orphans import die_with

from ..services.submission import Terms
from .connection import Connection
from .frames import (
    Answer,
    Ask,
    Closed,
    Passed,
    Ping,
    Pong,
    Stop,
    Stream,
    pass_connection,
    passed_connection,
    read_telling,
)
from .head import Request
from .words import write

_log = logging.getLogger(__name__)

_CLOCK_S = 1.0
_LAST_WORDS_S = 0.5
# So many new objects before the collector looks at them; see `daemon`.
_YOUNG_OBJECTS = 10_000


class Reader:
    """All that a reading process has."""

    def __init__(self, lane: socket.socket, terms: Terms) -> None:
        self.stopping = False
        self.ended = asyncio.Event()
        self._lane = lane
        self._terms = terms
        self._stream = Stream(self._told, self.ended.set)
        self._numbers = itertools.count()
        self._connections: dict[int, Connection] = {}
        # Number of a question -> who waits for its answer, and the body that is kept.
        self._asked: dict[int, tuple[Connection, bytes]] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._attaching: set[asyncio.Task[None]] = set()

    async def run(self, stream: socket.socket) -> None:
        """Read until the api's process ends this."""
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self._stream, sock=stream)
        loop.add_reader(self._lane, self._take)
        clock = asyncio.create_task(self._clock())
        await self.ended.wait()
        clock.cancel()
        loop.remove_reader(self._lane)
        for connection in list(self._connections.values()):
            connection.close()
        # What was said last is on its way to clients that read.
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._empty.wait()

    def ask(self, connection: Connection, request: Request) -> None:
        """Have a submission answered."""
        written = write(request.body, self._terms)
        task, words = (None, b"") if written is None else written
        number = next(self._numbers)
        self._asked[number] = (connection, words)
        self._stream.send(
            Ask(number, connection.number, request.headers, request.body, task, len(words))
        )

    def give_back(
        self, connection: Connection, descriptor: int, data: bytes, *, stays: bool
    ) -> bool:
        """Give a connection back; False: not now."""
        if not pass_connection(self._lane, descriptor, Passed(connection.number, data, stays)):
            return False
        self._forget(connection)
        return True

    def over(self, connection: Connection) -> None:
        """A connection is closed; nothing, where it was given back."""
        if self._forget(connection):
            self._stream.send(Closed(connection.number))

    def _forget(self, connection: Connection) -> bool:
        known = self._connections.pop(connection.number, None) is not None
        if not self._connections:
            self._empty.set()
        return known

    def _told(self, frame: bytes) -> None:
        told = read_telling(frame)
        match told:
            case Answer():
                connection, kept = self._asked.pop(told.number)
                connection.answered(told, kept)
            case Ping():
                self._stream.send(Pong())
            case Stop():
                self.stopping = True
                for connection in list(self._connections.values()):
                    connection.stop()

    def _take(self) -> None:
        try:
            while (passed := passed_connection(self._lane)) is not None:
                attaching = asyncio.create_task(self._attach(*passed))
                self._attaching.add(attaching)
                attaching.add_done_callback(self._attaching.discard)
        except EOFError:
            self.ended.set()

    async def _attach(self, taken: socket.socket, passed: Passed) -> None:
        connection = Connection(self, passed.connection, passed.data)
        self._connections[passed.connection] = connection
        self._empty.clear()
        try:
            taken.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, taken)
        except OSError as error:
            _log.debug("a connection was over before it was taken: %s", error)
            taken.close()
            self.over(connection)

    async def _clock(self) -> None:
        while True:
            await asyncio.sleep(_CLOCK_S)
            now_s = asyncio.get_running_loop().time()
            for connection in list(self._connections.values()):
                connection.look_at_clock(now_s)


def main(arguments: Sequence[str]) -> int:
    """Read until the api's process ends.

    Args:
        arguments: descriptors of stream and lane, the process id of the api's, and its terms as JSON.
    """
    stream, lane = (socket.socket(fileno=int(number)) for number in arguments[:2])
    die_with(int(arguments[2]))
    terms = msgspec.json.decode(arguments[3], type=Terms)
    # Whoever stops all processes at once: the api has this one stop, when answers are out.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING)
    lane.setblocking(False)
    stream.setblocking(False)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])

    async def read() -> None:
        await Reader(lane, terms).run(stream)

    uvloop.run(read())
    # Nothing here is to be saved, and what else there is ends with the process.
    os._exit(0)
