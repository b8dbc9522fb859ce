"""The api's end of a stream into a job: frames, by credit both ways."""

import asyncio
import socket
from contextlib import suppress
from typing import Self

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.job_stream import (
    MAX_PAYLOAD_BYTES,
    Credit,
    FrameKind,
    FrameReader,
    Incoming,
    Open,
    OpenPort,
    Outgoing,
    Resize,
    Signal,
    StreamFrame,
    write_bytes,
    write_words,
)

_PIECE_BYTES = 64 * 1024
_BYTES = (FrameKind.OUTPUT, FrameKind.ERRORS)


class JobStreamBroken(Exception):
    """The node, or the market process, is gone, or what came is no frame."""


class JobStream:
    """One stream; read by one task, written by any. Made by `over`; close it in the end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()
        self._arrived: list[StreamFrame] = []
        self._outgoing = Outgoing()
        self._incoming = Incoming()
        self._room = asyncio.Event()
        self._unpaid_bytes = 0
        self._first = b""

    @classmethod
    async def over(cls, connected: socket.socket) -> Self:
        """A stream over a connected socket, which it then owns."""
        try:
            return cls(*await asyncio.open_unix_connection(sock=connected))
        except BaseException:
            connected.close()
            raise

    async def receive(self) -> StreamFrame:
        """The next frame. Asking for it says that the one before is dealt with; credit counts already.

        Raises:
            JobStreamBroken: there is none.
        """
        if self._unpaid_bytes:
            credit = self._incoming.taken(self._unpaid_bytes)
            self._unpaid_bytes = 0
            if credit is not None:
                # Who takes none any more may have said its last words.
                with suppress(JobStreamBroken):
                    await self.say(credit)
        try:
            frame = await self._next()
            if frame.kind is FrameKind.CREDIT:
                self._outgoing.granted(frame.words(Credit))
                self._room.set()
            elif frame.kind in _BYTES:
                self._incoming.received(len(frame.payload))
                self._unpaid_bytes = len(frame.payload)
        except MalformedMessage as error:
            raise JobStreamBroken(f"the node broke the protocol: {error}") from error
        return frame

    def begin(self, wanted: OpenPort) -> None:
        """Begin an exchange, on a stream for them, that the one before has left; it is said with what is written next."""
        self._outgoing, self._incoming = Outgoing(), Incoming()
        self._unpaid_bytes = 0
        self._first = write_words(wanted)

    @property
    def has_ended(self) -> bool:
        """Whether the node, or the market process, has ended it, and all that came was read."""
        return not self._arrived and (self._reader.at_eof() or self._writer.is_closing())

    async def say(self, words: Open | OpenPort | Resize | Signal | Credit) -> None:
        """Send some words.

        Raises:
            JobStreamBroken: nobody takes them.
        """
        await self._write(write_words(words))

    @property
    def room_bytes(self) -> int:
        """So much can be written without waiting for the program."""
        return self._outgoing.left_bytes

    async def write(self, data: bytes) -> None:
        """Send the program some input; waits while it takes none.

        Raises:
            JobStreamBroken: nobody takes it.
        """
        left = memoryview(data)
        while left:
            while not self._outgoing.left_bytes:
                self._room.clear()
                await self._room.wait()
            part = left[: min(self._outgoing.left_bytes, MAX_PAYLOAD_BYTES)]
            self._outgoing.sent(len(part))
            await self._write(write_bytes(FrameKind.INPUT, bytes(part)))
            left = left[len(part) :]

    async def end_input(self) -> None:
        """There will be no more of it.

        Raises:
            JobStreamBroken: nobody takes that.
        """
        await self._write(write_bytes(FrameKind.END_OF_INPUT))

    def close(self) -> None:
        """End it; the node ends what it runs."""
        self._writer.close()

    async def _next(self) -> StreamFrame:
        while not self._arrived:
            try:
                data = await self._reader.read(_PIECE_BYTES)
            except OSError as error:
                raise JobStreamBroken("the market process is gone") from error
            if not data:
                raise JobStreamBroken("the node is gone")
            self._arrived = list(self._frames.feed(data))
            self._arrived.reverse()
        return self._arrived.pop()

    async def _write(self, frame: bytes) -> None:
        try:
            first, self._first = self._first, b""
            self._writer.write(first + frame)
            await self._writer.drain()
        except OSError as error:
            raise JobStreamBroken("the market process is gone") from error
