"""Reading processes, as the api's process has them: lends them connections, answers what they ask, starts them again.

A connection that is lent counts as before (`Connections`) until it is closed or given back. What a reading process asks is
carried out here, as if the request had come in here: by the same application, under the same limits, for the same accounts. When
one dies its connections are gone, as if we had died; what it has asked for is carried out.
"""

import asyncio
import itertools
import logging
import os
import socket
import sys
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
from starlette.types import Receive, Scope, Send

from ..server.http_connections import BoundedHttp, Connections
from ..services.submission import Terms
from .exchange import Asked
from .frames import (
    REQUEST_BYTES_MAX,
    Ask,
    Closed,
    Headers,
    Passed,
    Ping,
    Pong,
    Stop,
    Stream,
    pass_connection,
    passed_connection,
    read_asking,
)

_log = logging.getLogger(__name__)

# Until it is ready: its imports take half a second on a free core, and many times that when every core is busy.
_START_LIMIT_S = 60.0
_PING_INTERVAL_S = 5.0
# One that answers nothing for so long is stuck, and is replaced.
_PING_LIMIT_S = 15.0
_RESTART_PAUSES_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
# One that has lived for so long was fine: the next pause is the shortest again.
_HEALTHY_S = 10.0
_EXIT_LIMIT_S = 1.0


class Front(Protocol):
    """The server whose connections are lent."""

    connections: Connections
    stopping: asyncio.Event

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

    @property
    def headers(self) -> Headers:
        """What every answer has."""

    def carry_out(self, request: Coroutine[None, None, None]) -> None:
        """Do it, before the server ends."""

    async def take_back(self, taken: socket.socket, data: bytes, *, stays: bool) -> None:
        """Go on with a connection over which this has come."""


@dataclass(slots=True)
class _Lent:
    """A connection that a reading process has; ``asked``: what is carried out for it."""

    client: object
    server: object
    asked: Asked | None = None


@dataclass(slots=True)
class _Process:
    """One that runs."""

    pid: int
    stream: Stream
    lane: socket.socket
    lent: dict[int, _Lent] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    heard_s: float = field(default_factory=time.monotonic)


class Readers:
    """So many reading processes, while `run` runs.

    Args:
        terms: of tasks.
    """

    def __init__(self, count: int, terms: Terms, front: Front) -> None:
        self._count = count
        self._terms = msgspec.json.encode(terms).decode()
        self._front = front
        self._running: list[_Process] = []
        self._numbers = itertools.count()

    @property
    def pids(self) -> list[int]:
        """Process ids of those that are ready."""
        return [process.pid for process in self._running]

    def lend(self, connection: BoundedHttp, data: bytes) -> bool:
        """Lend a connection to the process that has the fewest; False: it stays.

        Args:
            data: what has come over it, and nobody has looked at.
        """
        if self._front.stopping.is_set() or len(data) > REQUEST_BYTES_MAX or not self._running:
            return False
        process = min(self._running, key=lambda each: len(each.lent))
        number = next(self._numbers)
        transport = connection.transport
        process.lent[number] = _Lent(connection.client, connection.server)
        descriptor = os.dup(transport.get_extra_info("socket").fileno())
        try:
            if not pass_connection(process.lane, descriptor, Passed(number, data)):
                del process.lent[number]
                return False
        finally:
            os.close(descriptor)
        self._front.connections.lend(transport, number)
        # Here it is over; its other descriptor keeps it open.
        transport.abort()
        return True

    async def run(self) -> None:
        """Have them running until this is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stop_in_time())
            for _ in range(self._count):
                group.create_task(self._keep())

    async def _stop_in_time(self) -> None:
        await self._front.stopping.wait()
        for process in self._running:
            process.stream.send(Stop())
            process.stream.flush()

    async def _keep(self) -> None:
        pauses = iter(_RESTART_PAUSES_S)
        while True:
            began_s = time.monotonic()
            try:
                await self._live()
            except OSError as error:
                _log.warning("a reading process can't be started: %s", error)
            if self._front.stopping.is_set():
                return
            if time.monotonic() - began_s > _HEALTHY_S:
                pauses = iter(_RESTART_PAUSES_S)
            pause_s = next(pauses, _RESTART_PAUSES_S[-1])
            _log.warning("a reading process has ended; another starts in %g s", pause_s)
            await asyncio.sleep(pause_s)

    async def _live(self) -> None:
        """One process, from its start to its end."""
        ours, theirs = socket.socketpair()
        our_lane, their_lane = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        passed = (theirs.fileno(), their_lane.fileno())
        with our_lane, ours:
            with theirs, their_lane:
                child = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", __package__, *map(str, passed), str(os.getpid())),
                    self._terms,
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=passed,
                )
            try:
                await self._speak(ours, our_lane, child)
            finally:
                await _end(child)

    async def _speak(
        self, ours: socket.socket, lane: socket.socket, child: asyncio.subprocess.Process
    ) -> None:
        loop = asyncio.get_running_loop()
        lane.setblocking(False)
        ours.setblocking(False)
        over = asyncio.Event()
        stream = Stream(lambda frame: self._heard(process, frame), over.set)
        process = _Process(child.pid, stream, lane, over=over)
        await loop.create_unix_connection(lambda: stream, sock=ours)
        loop.add_reader(lane, self._take_back, process)
        # Until it answers it may still be starting, and has nothing to do.
        stream.send(Ping())
        watch = asyncio.create_task(self._watch(process))
        try:
            await over.wait()
            _log.warning(
                "the reading process %d is gone, with %d connections", child.pid, len(process.lent)
            )
        finally:
            watch.cancel()
            loop.remove_reader(lane)
            if process in self._running:
                self._running.remove(process)
            else:
                # It is still starting, for seconds perhaps, and has nothing to say.
                _kill(child)
            stream.close()
            for number, lent in process.lent.items():
                self._front.connections.closed(number)
                if lent.asked is not None:
                    lent.asked.leave()

    async def _watch(self, process: _Process) -> None:
        limit_s = _START_LIMIT_S
        while time.monotonic() - process.heard_s < limit_s:
            await asyncio.sleep(_PING_INTERVAL_S)
            process.stream.send(Ping())
            if process in self._running:
                limit_s = _PING_LIMIT_S
        _log.warning("a reading process answers nothing for %g s", limit_s)
        process.over.set()

    def _heard(self, process: _Process, frame: bytes) -> None:
        process.heard_s = time.monotonic()
        asking = read_asking(frame)
        match asking:
            case Ask() if asking.connection in process.lent:
                lent = process.lent[asking.connection]
                lent.asked = Asked(asking, lent.client, lent.server)
                self._front.carry_out(self._answer(process, lent, lent.asked))
            case Closed() if asking.connection in process.lent:
                lost = process.lent.pop(asking.connection)
                self._front.connections.closed(asking.connection)
                if lost.asked is not None:
                    lost.asked.leave()
            case Pong():
                if process not in self._running:
                    self._running.append(process)
            case _:
                _log.error("a reading process speaks of a connection that it has not")
                process.over.set()

    async def _answer(self, process: _Process, lent: _Lent, asked: Asked) -> None:
        try:
            await self._front.app(asked.scope, asked.receive, asked.send)
            ends = self._front.stopping.is_set()
            answer = asked.answer(self._front.headers, ends=ends)
        # The boundary of one request, as in a server: whoever failed has logged it.
        except Exception as error:  # noqa: BLE001 - the boundary of one request
            _log.debug("a request was not answered: %r", error)
            answer = asked.no_answer()
        lent.asked = None
        process.stream.send(answer)

    def _take_back(self, process: _Process) -> None:
        try:
            while (passed := passed_connection(process.lane)) is not None:
                taken, note = passed
                process.lent.pop(note.connection, None)
                self._front.connections.closed(note.connection)
                self._front.carry_out(self._front.take_back(taken, note.data, stays=note.stays))
        except EOFError:
            process.over.set()


async def _end(child: asyncio.subprocess.Process) -> None:
    """Let it send what it has, and end it: it has nothing else that it could lose."""
    try:
        async with asyncio.timeout(_EXIT_LIMIT_S):
            await child.wait()
    except TimeoutError:
        _kill(child)
        await child.wait()


def _kill(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        child.kill()
