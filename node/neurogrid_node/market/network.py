"""The connection to one coordinator: dial, hello, heartbeats, messages, and again.

Outbound only: one control stream, and beside it those of the leases (`lease_stream`). Whatever happens to
it, leases go on.
"""

import logging
import random
from collections.abc import Awaitable, Callable

import trio

from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.errors import InvalidValue, UnknownMessage
from neurogrid_marketplace.messages import (
    HEARTBEAT_INTERVAL_S,
    PROTOCOL_ID,
    SILENCE_LIMIT_S,
    Heartbeat,
    Hello,
    Message,
    Pulse,
)
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.errors import HandshakeFailed, P2pError
from neurogrid_p2p.host import Host
from neurogrid_p2p.session import Party, SignedChannel
from neurogrid_telemetry.about import about
from neurogrid_telemetry.log_lines import named

from ..log_events import NodeEvent

_log = logging.getLogger(__name__)

_DIAL_TIMEOUT_S = 15
_HANDSHAKE_TIMEOUT_S = 10
_BACKOFF_FIRST_S = 0.2
_BACKOFF_MAX_S = 5.0
# Many leases may ask for a heartbeat at the same time.
_BEAT_GAP_S = 0.1
_SEND_PATIENCE_S = 5.0
# Leases that open their streams at the same time: half of what a coordinator lets be open without
# having named their lease.
_OPENING_MAX = 8


class CoordinatorLink:
    """The way to one coordinator; is a `provider.ControlLink` and a `lease_stream.Coordinator`.

    Attributes:
        coordinator: its peer id.
        address: where it is dialled, now and next.
        party: who we are there.
        opening: held by the leases whose streams have not said which lease they are of.
    """

    def __init__(
        self,
        host: Host,
        address: str,
        party: Party,
        *,
        hello: Callable[[str], Hello],
        heartbeat: Callable[[str], Heartbeat],
        received: Callable[["CoordinatorLink", Message], Awaitable[None]],
        silence_limit_s: float = SILENCE_LIMIT_S,
        send_patience_s: float = _SEND_PATIENCE_S,
    ) -> None:
        """
        Args:
            address: a libp2p address that ends in /p2p/<the coordinator's peer id>.
            hello, heartbeat: what to say to the coordinator of this peer id.
            received: called for each message, in order.
            silence_limit_s: a coordinator that says nothing for so long is gone.
            send_patience_s: one that takes nothing for so long, with a megabyte waiting, is too.
        """
        self.coordinator = address.rsplit("/p2p/", 1)[-1]
        self.address = address
        self._others: tuple[str, ...] = ()
        self._host = host
        self.party = party
        self._hello = hello
        self._heartbeat = heartbeat
        self._received = received
        self._silence_limit_s = silence_limit_s
        self._send_patience_s = send_patience_s
        self._channel: SignedChannel | None = None
        # The channel once the coordinator has answered our hello, and who waits for that.
        self._joined: SignedChannel | None = None
        self._has_joined = trio.Event()
        self.opening = trio.Semaphore(_OPENING_MAX)
        self._beat_now = trio.Event()
        self._said = ""
        # Whether the last try came as far as that the coordinator greeted us.
        self._was_joined = False

    def is_connected(self) -> bool:
        """Whether the stream is up."""
        return self._channel is not None

    async def send(self, message: Message) -> None:
        """Send; nothing happens while disconnected. Takes a few seconds at most."""
        await self.send_signed(message)

    async def send_signed(self, message: Message) -> Envelope | None:
        """Send, and return what was signed; None if it could not be sent."""
        channel = self._channel
        if channel is None:
            return None
        try:
            with trio.move_on_after(self._send_patience_s):
                return await channel.send(message)
            channel.abort(f"took no messages for {self._send_patience_s:g} s")
        except P2pError:
            pass  # the reader hears of it too, and says why
        except InvalidValue as error:
            # Our own limits are below the frame's, so this is a defect; the stream is still good.
            _log.error("not sent to %s: %s", self.coordinator, error)
        return None

    async def open_beside(self, protocol: str) -> Channel:
        """Another channel on the connection; waits until the coordinator has answered our hello.

        Raises:
            ChannelClosed: the connection ended meanwhile, or the coordinator refused.
        """
        while self._joined is None:
            await self._has_joined.wait()
        return await self._joined.open(protocol)

    async def open_bytes(self, protocol: str) -> ByteStream:
        """A stream of bytes to the coordinator, on the same connection.

        Raises:
            HandshakeFailed: it is not connected, or does not speak ``protocol``.
        """
        if self._channel is None:
            raise HandshakeFailed("not connected to the coordinator")
        return await self._channel.open_bytes(protocol)

    def reached_at(self, addresses: tuple[str, ...]) -> None:
        """It may be dialled at these from now on; a connection that there is stays."""
        first, *others = addresses
        if self.address in addresses:
            # It has worked, or is being tried.
            first, others = self.address, [each for each in addresses if each != self.address]
        self.address, self._others = first, tuple(others)

    def beat_soon(self) -> None:
        """Send a heartbeat now: what is free has changed."""
        self._beat_now.set()

    async def run(self) -> None:
        """Keep the stream up for ever."""
        with about(peer=self.coordinator):
            await self._run()

    async def _run(self) -> None:
        backoff_s = _BACKOFF_FIRST_S
        while True:
            started_s = trio.current_time()
            self._was_joined = False
            try:
                reason = await self._once()
            except (P2pError, trio.TooSlowError) as error:
                reason = str(error) or "no answer"
            except Exception:  # noqa: BLE001 - one link's boundary: the leases and others go on
                _log.exception("link to coordinator %s", self.coordinator)
                reason = "a defect of ours"
            if trio.current_time() - started_s > _BACKOFF_MAX_S:
                backoff_s = _BACKOFF_FIRST_S
                self._said = ""
            if reason != self._said:
                # Once: a coordinator that is away for a day is one line.
                self._said = reason
                _log.warning(
                    "coordinator %s: %s; trying again",
                    self.coordinator,
                    reason,
                    extra=named(NodeEvent.COORDINATOR_LOST),
                )
            if self._others and not self._was_joined:
                self.address, self._others = self._others[0], (*self._others[1:], self.address)
            # Jitter, so that a thousand nodes do not come back in the same instant.
            await trio.sleep(random.uniform(backoff_s / 2, backoff_s))
            backoff_s = min(backoff_s * 2, _BACKOFF_MAX_S)

    async def _once(self) -> str:
        """One stream from dial to end; returns why it ended."""
        with trio.fail_after(_DIAL_TIMEOUT_S):
            raw = await self._host.dial(self.address, PROTOCOL_ID)
        return await self.converse(raw)

    async def converse(self, raw: Channel) -> str:
        """Talk on a stream until it ends; returns why it did.

        Raises:
            P2pError, TooSlowError: the coordinator does not greet as it should.
        """
        try:
            with trio.fail_after(_HANDSHAKE_TIMEOUT_S):
                channel, welcome = await SignedChannel.join(raw, self.party)
                await channel.send(self._hello(self.coordinator))
            self._channel = channel
            self._was_joined = True
            _log.info(
                "joined coordinator %s (%s)",
                self.coordinator,
                welcome.software,
                extra=named(NodeEvent.COORDINATOR_JOINED),
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._beat)
                reason = await self._receive(channel)
                nursery.cancel_scope.cancel()
            return reason
        finally:
            self._channel = self._joined = None
            self._has_joined = trio.Event()
            await raw.aclose()

    async def _receive(self, channel: SignedChannel) -> str:
        """Handle messages until the stream ends; returns why it did."""
        while True:
            try:
                with trio.fail_after(self._silence_limit_s):
                    _, message = await channel.receive()
            except UnknownMessage as error:
                _log.debug("%s: %s", self.coordinator, error)
                continue
            except P2pError as error:
                return str(error)
            except trio.TooSlowError:
                return f"silent for {self._silence_limit_s:g} s"
            if isinstance(message, Pulse):
                self._joined = channel
                self._has_joined.set()
                continue
            try:
                await self._received(self, message)
            except Exception:  # noqa: BLE001 - one message's boundary: the next one is heard
                _log.exception("%s of %s", type(message).__name__, self.coordinator)

    async def _beat(self) -> None:
        while True:
            with trio.move_on_after(HEARTBEAT_INTERVAL_S):
                await self._beat_now.wait()
            # Before looking: what changes from here on asks for another one.
            self._beat_now = trio.Event()
            await self.send(self._heartbeat(self.coordinator))
            await trio.sleep(_BEAT_GAP_S)
