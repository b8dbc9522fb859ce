"""A connection that was lent to a reading process: one submission after the other, and back with all that is none.

It waits for nothing: a request that has not come whole goes back with its connection, and so does a connection that is
silent. So all bounds on slow and idle clients are the api's.
"""

import asyncio
import os
from typing import Protocol, cast

from ..server.http_connections import STALL_S
from .frames import REQUEST_BYTES_MAX, Answer
from .head import Request, read_submission

# A connection that says nothing for so long goes back.
SILENCE_S = 2.0


class House(Protocol):
    """What a connection needs of its process."""

    stopping: bool

    def ask(self, connection: "Connection", request: Request) -> None:
        """Have a submission answered; `Connection.answered` is called, unless it is over by then."""

    def give_back(
        self, connection: "Connection", descriptor: int, data: bytes, *, stays: bool
    ) -> bool:
        """Give it back to the api; False: not now."""

    def over(self, connection: "Connection") -> None:
        """It is closed."""


class Connection(asyncio.Protocol):
    """One connection.

    Args:
        number: as the api calls it.
        came: what had come over it before.
    """

    def __init__(self, house: House, number: int, came: bytes) -> None:
        self.number = number
        self._house = house
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        # What has come and is not looked at yet.
        self._came = came
        self._asked = False
        self._blocked = False
        self._paused = False
        self._stays = False
        self._since_s = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, with what had come before anything else does."""
        self._transport = cast("asyncio.Transport", transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        """Look at it, if nothing is under way."""
        self._came = self._came + data if self._came else data
        if not self._is_busy:
            self._look()
        elif len(self._came) > REQUEST_BYTES_MAX:
            self._pause()

    def pause_writing(self) -> None:
        """The client does not read."""
        self._blocked, self._since_s = True, self._loop.time()

    def resume_writing(self) -> None:
        """It does."""
        self._blocked = False
        if not self._is_busy and self._came:
            self._look()

    def connection_lost(self, _error: Exception | None) -> None:
        """It is over, here at least."""
        self._transport = None
        self._house.over(self)

    def answered(self, answer: Answer, kept: bytes) -> None:
        """Send it on.

        Args:
            kept: the body that was kept for the case that the task is stored.
        """
        transport = self._transport
        self._asked, self._since_s = False, self._loop.time()
        if transport is None or transport.is_closing():
            return
        transport.write(answer.head + (kept if answer.body is None else answer.body))
        if answer.ends:
            transport.close()
            return
        if self._paused:
            self._paused = False
            transport.resume_reading()
        if self._came and not self._is_busy:
            self._look()
        elif self._house.stopping:
            transport.close()

    def stop(self) -> None:
        """Close it, unless an answer is due."""
        if not self._asked and self._transport is not None:
            self._transport.close()

    def close(self) -> None:
        """Close it when what was written is out: nobody will answer any more."""
        if self._transport is not None:
            self._transport.close()

    def look_at_clock(self, now_s: float) -> None:
        """Give it back if nobody says anything, and end it if nobody listens."""
        transport = self._transport
        if transport is None or self._asked:
            return
        if self._blocked:
            if now_s - self._since_s > STALL_S:
                transport.abort()
        elif now_s - self._since_s > SILENCE_S or self._stays:
            self._return()

    @property
    def _is_busy(self) -> bool:
        return self._asked or self._blocked or self._stays

    def _look(self) -> None:
        request = read_submission(self._came)
        if request is None:
            self._stays = True
            self._return()
            return
        self._came = b""
        self._asked = True
        self._house.ask(self, request)

    def _return(self) -> None:
        """Give it back; where that is not possible now, the clock tries again."""
        transport = self._transport
        # Whoever has it next must not write before what is still to be sent from here.
        if transport is None or transport.is_closing() or transport.get_write_buffer_size():
            return
        descriptor = os.dup(transport.get_extra_info("socket").fileno())
        try:
            is_back = self._house.give_back(self, descriptor, self._came, stays=self._stays)
        finally:
            os.close(descriptor)
        if is_back:
            self._transport = None
            transport.abort()
        else:
            self._pause()

    def _pause(self) -> None:
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()
