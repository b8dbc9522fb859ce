"""The stream of one lease to its coordinator, beside the control stream and on the same connection.

Whatever happens to it, the lease goes on: what must arrive is kept by its runner and sent again when
there is a stream. Each one begins by saying what this side has of the lease; the coordinator answers with
what it has.
"""

import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

import trio

from neurogrid_marketplace.errors import InvalidValue, UnknownMessage
from neurogrid_marketplace.messages import (
    LEASE_PROTOCOL_ID,
    Attach,
    CoordinatorLeaseMessage,
    Message,
    NodeLeaseMessage,
)
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.errors import P2pError
from neurogrid_p2p.session import Party, SignedChannel

_log = logging.getLogger(__name__)

_OPEN_TIMEOUT_S = 15
_BACKOFF_FIRST_S = 0.2
_BACKOFF_MAX_S = 5.0
_SEND_PATIENCE_S = 5.0


class Coordinator(Protocol):
    """The connection to a lease's coordinator; a `network.CoordinatorLink`."""

    @property
    def party(self) -> Party:
        """Who we are there."""

    @property
    def opening(self) -> trio.Semaphore:
        """Held by those whose streams have not named their lease yet."""

    async def open_beside(self, protocol: str) -> Channel:
        """Another channel on the connection; waits until there is one.

        Raises:
            ChannelClosed: the connection ended meanwhile, or the coordinator refused.
        """

    def beat_soon(self) -> None:
        """Send a heartbeat now: it carries the leases' progress."""


class LeaseStream:
    """The way to one lease's coordinator; is an `executor.Link`."""

    def __init__(
        self, lease_id: str, coordinator: Coordinator, *, send_patience_s: float = _SEND_PATIENCE_S
    ) -> None:
        """
        Args:
            send_patience_s: a coordinator that takes nothing for so long, with a megabyte waiting,
                is gone.
        """
        self._lease_id = lease_id
        self._coordinator = coordinator
        self._send_patience_s = send_patience_s
        self._channel: SignedChannel | None = None

    def is_connected(self) -> bool:
        """Whether the stream is up."""
        return self._channel is not None

    def beat_soon(self) -> None:
        """Send a heartbeat now: it carries the leases' progress."""
        self._coordinator.beat_soon()

    async def send(self, message: NodeLeaseMessage) -> None:
        """Send; nothing happens while there is no stream. Takes a few seconds at most."""
        channel = self._channel
        if channel is None:
            return
        try:
            with trio.move_on_after(self._send_patience_s):
                await channel.send(message)
                return
            channel.abort(f"took no messages for {self._send_patience_s:g} s")
        except P2pError:
            pass  # the reader hears of it too
        except InvalidValue as error:
            # Our own limits are below the frame's, so this is a defect; the stream is still good.
            _log.error("lease %s: not sent: %s", self._lease_id, error)

    async def run(
        self, attach: Callable[[], Attach], received: Callable[[CoordinatorLeaseMessage], None]
    ) -> None:
        """Keep the stream up until this is cancelled.

        Args:
            attach: what we have of the lease; said first on each stream.
            received: called for each message, in order.
        """
        backoff_s = _BACKOFF_FIRST_S
        while True:
            began_s = trio.current_time()
            try:
                async with self._opened(attach) as channel:
                    began_s = trio.current_time()
                    await self._receive(channel, received)
            except (P2pError, trio.TooSlowError) as error:
                _log.debug("stream of lease %s: %s", self._lease_id, str(error) or "no answer")
            except Exception:  # noqa: BLE001 - one stream's boundary: the lease goes on
                _log.exception("stream of lease %s", self._lease_id)
            if trio.current_time() - began_s > _BACKOFF_MAX_S:
                backoff_s = _BACKOFF_FIRST_S
            await trio.sleep(random.uniform(backoff_s / 2, backoff_s))
            backoff_s = min(backoff_s * 2, _BACKOFF_MAX_S)

    @asynccontextmanager
    async def _opened(self, attach: Callable[[], Attach]) -> AsyncIterator[SignedChannel]:
        """A stream that has said what we have; it is the one that `send` uses."""
        async with AsyncExitStack() as closing:
            async with self._coordinator.opening:
                raw = await self._coordinator.open_beside(LEASE_PROTOCOL_ID)
                closing.push_async_callback(raw.aclose)
                with trio.fail_after(_OPEN_TIMEOUT_S):
                    channel, _ = await SignedChannel.join(raw, self._coordinator.party)
                    await channel.send(attach())
            self._channel = channel
            try:
                yield channel
            finally:
                self._channel = None

    async def _receive(
        self, channel: SignedChannel, received: Callable[[CoordinatorLeaseMessage], None]
    ) -> None:
        while True:
            try:
                _, message = await channel.receive()
            except UnknownMessage as error:
                _log.debug("lease %s: %s", self._lease_id, error)
                continue
            received(self._allowed(channel, message))

    def _allowed(self, channel: SignedChannel, message: Message) -> CoordinatorLeaseMessage:
        """The message, if a coordinator may say it here.

        Raises:
            ChannelClosed: it may not, and is left.
        """
        name = type(message).__name__
        if not isinstance(message, CoordinatorLeaseMessage):
            raise channel.refuse(f"said {name} on a lease's stream")
        if message.lease_id != self._lease_id:
            raise channel.refuse(f"said {name} on another lease's stream")
        return message


class NoStream:
    """The way to a coordinator that is no longer in the configuration."""

    def is_connected(self) -> bool:
        """Never."""
        return False

    def beat_soon(self) -> None:
        """Nothing."""

    async def send(self, message: NodeLeaseMessage) -> None:
        """Nothing."""

    async def run(
        self, attach: Callable[[], Attach], received: Callable[[CoordinatorLeaseMessage], None]
    ) -> None:
        """Nothing, for ever."""
        await trio.sleep_forever()
