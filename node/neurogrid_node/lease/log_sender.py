"""Sending a job's log to its coordinator: in order, as far as it grants, from what it has stored.

What is written in small pieces is gathered: each message costs both sides a signature. A piece may be
lost with its stream, or be refused by a coordinator that is busy; what is not acknowledged for a while is
sent again from there.
"""

import math
from collections.abc import Callable
from typing import Protocol

import trio

from neurogrid_marketplace.messages import Log, NodeLeaseMessage

PIECE_BYTES = 24 * 1024
# Log that grows is gathered for so long, counted from the piece before; longer while that one is not
# acknowledged. A line after a pause goes at once.
GATHER_S = 0.025
# Without an acknowledgement for so long, what is not acknowledged is sent again.
RESEND_S = 3.0
_LOOK_S = 0.5


class Link(Protocol):
    """The way to a lease's coordinator: its stream, or nothing while there is none."""

    def is_connected(self) -> bool:
        """Whether a message sent now has a chance."""

    async def send(self, message: NodeLeaseMessage) -> None:
        """Send; silently nothing while disconnected, because everything is sent again.

        Takes a few seconds at most.
        """


class LogSource(Protocol):
    """Where the log is; a `sandbox.Sandbox`."""

    async def log_grown(self, lease_id: str, beyond_bytes: int) -> None:
        """Wait for more log than that."""

    async def read_log(self, lease_id: str, offset: int, max_bytes: int) -> str:
        """A piece of the log."""


class LogSender:
    """Sends the log of one lease."""

    def __init__(
        self, lease_id: str, source: LogSource, link: Link, stored_bytes: Callable[[], int]
    ) -> None:
        """
        Args:
            stored_bytes: how much the coordinator has acknowledged.
        """
        self._lease_id = lease_id
        self._source = source
        self._link = link
        self._stored_bytes = stored_bytes
        self._sent_bytes = stored_bytes()
        self._limit_bytes = 0
        self._sent_at_s = -math.inf
        self._acknowledged = trio.Event()
        self._waiting = trio.CancelScope()

    def opened(self) -> None:
        """There is a new stream: nothing is granted on it yet, and what was sent may be lost."""
        self._limit_bytes = 0
        self._rewind()

    def granted(self, limit_bytes: int) -> None:
        """The coordinator takes the log up to this offset."""
        self._limit_bytes = max(self._limit_bytes, limit_bytes)
        self.acknowledged()

    def acknowledged(self) -> None:
        """More may be stored now."""
        self._acknowledged.set()
        self._acknowledged = trio.Event()

    async def until_stored(self, log_bytes: int) -> None:
        """Wait until so much is stored, or nobody is there to store it."""
        while self._stored_bytes() < log_bytes and self._link.is_connected():
            with trio.move_on_after(_LOOK_S):
                await self._acknowledged.wait()

    async def run(self) -> None:
        """Send for ever; cancel it to stop."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._resend)
            while True:
                with trio.CancelScope() as self._waiting:
                    await self._wait_until_due()
                if self._waiting.cancelled_caught:
                    continue
                offset = self._sent_bytes
                size = min(PIECE_BYTES, self._limit_bytes - offset)
                text = await self._source.read_log(self._lease_id, offset, size)
                if not text:
                    # The rest of the grant is less than one character.
                    await self._look_later()
                # While it was read, a new stream may have turned us back.
                elif self._sent_bytes == offset:
                    self._sent_bytes += len(text.encode())
                    self._sent_at_s = trio.current_time()
                    await self._link.send(Log(self._lease_id, offset, text))

    async def _wait_until_due(self) -> None:
        """Wait for a piece that is full, or small with nothing before it on its way."""
        await self._source.log_grown(self._lease_id, self._sent_bytes)
        with trio.move_on_at(self._sent_at_s + GATHER_S) as gathering:
            await self._source.log_grown(self._lease_id, self._sent_bytes + PIECE_BYTES - 1)
        is_small = gathering.cancelled_caught
        while (
            not self._link.is_connected()
            or self._sent_bytes >= self._limit_bytes
            or (is_small and self._sent_bytes > self._stored_bytes())
        ):
            await self._look_later()

    async def _look_later(self) -> None:
        with trio.move_on_after(_LOOK_S):
            await self._acknowledged.wait()

    def _rewind(self) -> None:
        """Go on from what is stored."""
        self._sent_bytes = self._stored_bytes()
        self._waiting.cancel()

    async def _resend(self) -> None:
        before = self._stored_bytes()
        while True:
            await trio.sleep(RESEND_S)
            stored = self._stored_bytes()
            if stored == before:
                self._rewind()
            before = stored
