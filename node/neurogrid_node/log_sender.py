"""Sending a job's log to its coordinator: in order, a window at a time, from what it has stored.

A piece may be lost with its connection, or be refused by a coordinator that is busy; what is not
acknowledged for a while is sent again from there.
"""

from collections.abc import Callable
from typing import Protocol

import trio

from neurogrid_marketplace.messages import Log, Message

# Log text that may be on its way unacknowledged: one yamux window (p2p.md, section 5).
WINDOW_BYTES = 256 * 1024
PIECE_BYTES = 24 * 1024
# Without an acknowledgement for so long, the window is sent again.
RESEND_S = 3.0
_LOOK_S = 0.5


class Link(Protocol):
    """The way to a lease's coordinator: the control stream, or nothing while it is away."""

    def is_connected(self) -> bool:
        """Whether a message sent now has a chance."""

    async def send(self, message: Message) -> None:
        """Send; silently nothing while disconnected, because everything is sent again.

        Takes a few seconds at most.
        """

    def beat_soon(self) -> None:
        """Send a heartbeat now: it carries the leases' progress."""


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
        self._acknowledged = trio.Event()
        self._waiting_for_more = trio.CancelScope()

    def rewind(self) -> None:
        """Go on from what is stored: what was sent since may be lost."""
        self._sent_bytes = self._stored_bytes()
        self._waiting_for_more.cancel()

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
                with trio.CancelScope() as self._waiting_for_more:
                    await self._source.log_grown(self._lease_id, self._sent_bytes)
                if self._waiting_for_more.cancelled_caught:
                    continue
                in_flight = self._sent_bytes - self._stored_bytes()
                if not self._link.is_connected() or in_flight >= WINDOW_BYTES:
                    with trio.move_on_after(_LOOK_S):
                        await self._acknowledged.wait()
                    continue
                offset = self._sent_bytes
                text = await self._source.read_log(self._lease_id, offset, PIECE_BYTES)
                # While it was read, a new connection may have turned us back.
                if text and self._sent_bytes == offset:
                    self._sent_bytes += len(text.encode())
                    await self._link.send(Log(self._lease_id, offset, text))

    async def _resend(self) -> None:
        before = self._stored_bytes()
        while True:
            await trio.sleep(RESEND_S)
            stored = self._stored_bytes()
            if stored == before:
                self.rewind()
            before = stored
