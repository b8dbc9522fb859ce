"""One command beside a job, or one connection to it, joined to the client's stream: bytes by credit, both ways."""

import signal
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import trio

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.job_stream import (
    MAX_PAYLOAD_BYTES,
    Credit,
    Exited,
    ExitReason,
    FrameKind,
    Incoming,
    Outgoing,
    Resize,
    Signal,
    SignalName,
    StreamFrame,
    write_bytes,
    write_words,
)
from neurogrid_p2p.errors import ChannelClosed

from ..container.errors import EngineError
from ..container.execs import Output
from .frames import FrameStream

# Sent along with what opens a stream, and given before anything is read: new sockets and pipes take more.
_BEGIN_BYTES = 16 * 1024
_NUMBERS = {name: signal.Signals[f"SIG{name.value}"] for name in SignalName}


class Program(Protocol):
    """What a client's stream is joined to: a command (`RunningExec`), or who answers at a port."""

    async def read(self) -> Output | None:
        """What it says next; None when it says no more."""

    async def write(self, data: bytes) -> None:
        """Give it all of this."""

    async def end_input(self) -> None:
        """There will be no more of it."""

    async def resize(self, columns: int, rows: int) -> None:
        """Its terminal has another size."""

    async def signal(self, number: signal.Signals) -> None:
        """Signal it."""

    async def exit_code(self) -> int:
        """How it ended, once it has."""


class Session:
    """A program and its client.

    Args:
        idle_s: it is over when nothing has gone either way for so long.
    """

    def __init__(self, stream: FrameStream, running: Program, idle_s: float) -> None:
        self._stream = stream
        self._running = running
        self._idle_s = idle_s
        self._outgoing = Outgoing()
        self._incoming = Incoming()
        # What came and was not given to the command yet; credit bounds it.
        self._waiting: deque[bytes] = deque()
        self._input_ends = False
        self._changed = trio.Event()
        self._idle = trio.CancelScope()

    async def run(self) -> Exited:
        """Until the command has ended; how it did.

        Raises:
            ChannelClosed: the client is gone, or broke the protocol.
        """
        exited = Exited(-1, ExitReason.IDLE)
        with self._idle:
            self._moved()
            await self._begin()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear)
                nursery.start_soon(self._feed)
                exited = await self._say()
                nursery.cancel_scope.cancel()
        return exited

    async def _begin(self) -> None:
        """Give the program what came along with what opened it: what is new takes so much without being read."""
        left_bytes = _BEGIN_BYTES
        while left_bytes > 0 and (frame := self._stream.arrived()) is not None:
            await self._heard(frame)
            left_bytes -= len(frame.payload)
        if left_bytes >= 0:
            while self._waiting:
                await self._give()

    def _moved(self) -> None:
        self._idle.deadline = trio.current_time() + self._idle_s

    async def _say(self) -> Exited:
        """Pass on what the command says, then how it ended."""
        try:
            while (piece := await self._running.read()) is not None:
                self._moved()
                await self._send(piece)
            return Exited(await self._running.exit_code())
        except EngineError:
            return Exited(-1, ExitReason.LOST)

    async def _send(self, piece: Output) -> None:
        kind = FrameKind.ERRORS if piece.is_error else FrameKind.OUTPUT
        data = memoryview(piece.data)
        while data:
            if not self._outgoing.left_bytes:
                await self._until(lambda: self._outgoing.left_bytes > 0)
            part = data[: min(self._outgoing.left_bytes, MAX_PAYLOAD_BYTES)]
            self._outgoing.sent(len(part))
            await self._stream.send(write_bytes(kind, bytes(part)))
            self._moved()
            data = data[len(part) :]

    async def _hear(self) -> None:
        while True:
            await self._heard(await self._stream.receive())

    async def _heard(self, frame: StreamFrame) -> None:
        try:
            await self._take(frame)
        except MalformedMessage as error:
            raise ChannelClosed(f"broke the protocol: {error}") from error

    async def _take(self, frame: StreamFrame) -> None:
        match frame.kind:
            case FrameKind.INPUT if not self._input_ends:
                self._incoming.received(len(frame.payload))
                self._waiting.append(frame.payload)
            case FrameKind.END_OF_INPUT:
                self._input_ends = True
            case FrameKind.CREDIT:
                self._outgoing.granted(frame.words(Credit))
            case FrameKind.RESIZE:
                size = frame.words(Resize)
                # An engine that is away is noticed by whoever reads the output.
                with suppress(EngineError):
                    await self._running.resize(size.columns, size.rows)
            case FrameKind.SIGNAL:
                number = _NUMBERS[frame.words(Signal).name]
                with suppress(EngineError):
                    await self._running.signal(number)
            case _:
                raise MalformedMessage(f"{frame.kind.name} is not expected")
        self._moved()
        self._changed.set()

    async def _feed(self) -> None:
        """Give the command its input as it takes it."""
        while True:
            await self._until(lambda: bool(self._waiting or self._input_ends))
            if not self._waiting:
                await self._running.end_input()
                return
            await self._give()

    async def _give(self) -> None:
        data = self._waiting.popleft()
        await self._running.write(data)
        self._moved()
        credit = self._incoming.taken(len(data))
        if credit is not None:
            await self._stream.send(write_words(credit))

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            # Set for everybody who waits, and made anew by whoever looks first.
            if self._changed.is_set():
                self._changed = trio.Event()
            await self._changed.wait()
