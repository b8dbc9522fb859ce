"""Signed messages over a channel: what one side seals, the other checks.

The coordinator speaks first on every stream: its `Welcome` names the session, and every later message
of both sides carries that name and counts up from there (see `neurogrid_marketplace.envelope`). Whoever
breaks a rule is disconnected, and the rule is logged; nothing else follows from it.
"""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import trio

from neurogrid_marketplace.envelope import Envelope, Session, parse_envelope, seal
from neurogrid_marketplace.errors import MalformedMessage, RemoteError, UnknownMessage
from neurogrid_marketplace.messages import Message, Welcome, parse_body, to_body, type_name

from .byte_stream import ByteStream
from .channel import Channel
from .errors import ChannelClosed

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Party:
    """Who signs here, in which market, by which clock.

    Attributes:
        peer_id: ours.
        network: the market's tag (`envelope.network_id`).
        sign: the 64-byte Ed25519 signature of a message by the key in ``peer_id``.
        now_ms: Unix milliseconds.
    """

    peer_id: str
    network: str
    sign: Callable[[bytes], bytes]
    now_ms: Callable[[], int]


class SignedChannel:
    """A channel whose messages are signed, numbered and checked.

    Made by `welcome` (the coordinator) or `join` (a node). `send` and `receive` may be cancelled at
    any time; each may be called by several tasks.

    Attributes:
        remote_id: the peer's id.
        session: the name of the session.
    """

    def __init__(self, channel: Channel, party: Party, session: str) -> None:
        self.remote_id = channel.remote_id
        self.session = session
        self._channel = channel
        self._party = party
        self._admission = Session(
            network=party.network,
            session=session,
            local=party.peer_id,
            remote=channel.remote_id,
        )
        self._next_sequence = 0
        self._counted_bytes = 0
        # A number is taken and queued in one step, so that they leave in order.
        self._sending = trio.Lock()

    @classmethod
    async def welcome(cls, channel: Channel, party: Party, software: str) -> Self:
        """Open a session as the coordinator.

        Args:
            software: name and version, as in "neurogrid/1.0".

        Raises:
            ChannelClosed: the peer is gone.
        """
        signed = cls(channel, party, secrets.token_hex(16))
        await signed.send(Welcome(signed.session, software))
        return signed

    @classmethod
    async def join(cls, channel: Channel, party: Party) -> tuple[Self, Welcome]:
        """Enter the session that the coordinator opens; the deadline is the caller's.

        Raises:
            ChannelClosed: it closed, or broke the protocol.
        """
        value = await channel.receive()
        try:
            envelope = parse_envelope(value)
            signed = cls(channel, party, envelope.session)
            message = signed._open(envelope)
            if not isinstance(message, Welcome) or message.session != envelope.session:
                raise MalformedMessage("the first message is not the welcome to its session")
        except RemoteError as error:
            raise await _refuse(channel, error) from error
        return signed, message

    def take_received_bytes(self) -> int:
        """What has arrived since this was asked last."""
        arrived = self._channel.received_bytes - self._counted_bytes
        self._counted_bytes += arrived
        return arrived

    @property
    def waiting_bytes(self) -> int:
        """What waits to be sent."""
        return self._channel.waiting_bytes

    @property
    def closed_reason(self) -> str | None:
        """Why the channel is closed; None while it is open."""
        return self._channel.closed_reason

    async def send(self, message: Message) -> Envelope:
        """Sign and queue a message; returns what was signed, to be kept as evidence.

        Raises:
            ChannelClosed: it is closed.
            InvalidValue: the message is too large to travel.
        """
        async with self._sending:
            envelope = seal(
                self._party.sign,
                network=self._party.network,
                type=type_name(message),
                sender=self._party.peer_id,
                recipient=self.remote_id,
                session=self.session,
                sequence=self._next_sequence,
                sent_at_ms=self._party.now_ms(),
                body=to_body(message),
            )
            await self._channel.send(dict(envelope.to_dict()))
            self._next_sequence += 1
        return envelope

    async def receive(self) -> tuple[Envelope, Message]:
        """The next message, checked, and the envelope that proves it.

        Raises:
            ChannelClosed: the peer closed, went away, or broke the protocol.
            UnknownMessage: it said what a later version may say; receive on.
        """
        value = await self._channel.receive()
        try:
            envelope = parse_envelope(value)
            return envelope, self._open(envelope)
        except UnknownMessage:
            raise
        except RemoteError as error:
            raise await _refuse(self._channel, error) from error

    async def open_bytes(self, protocol: str) -> ByteStream:
        """A stream of bytes to the same peer, beside this channel.

        Raises:
            HandshakeFailed: the connection is over, or the peer does not speak ``protocol``.
        """
        return await self._channel.open_bytes(protocol)

    async def aclose(self, reason: str = "closed here") -> None:
        """Send what waits, then close; takes at most three seconds."""
        await self._channel.aclose(reason)

    def abort(self, reason: str) -> None:
        """Close at once; what waits is dropped."""
        self._channel.abort(reason)

    def refuse(self, what: str) -> ChannelClosed:
        """Cut off a peer that broke the protocol, with every channel that it has; for raising."""
        _log.warning("%s %s", self.remote_id, what)
        self._channel.disconnect(what)
        return ChannelClosed(what)

    async def open(self, protocol: str) -> Channel:
        """Another channel to the same peer; see `Channel.open`."""
        return await self._channel.open(protocol)

    def shares_connection(self, other: Channel) -> bool:
        """Whether both travel on one connection."""
        return self._channel.shares_connection(other)

    def _open(self, envelope: Envelope) -> Message:
        self._admission.admit(envelope, self._party.now_ms())
        return parse_body(envelope.type, envelope.body)


async def _refuse(channel: Channel, error: RemoteError) -> ChannelClosed:
    """Cut off a peer that broke the protocol."""
    reason = f"broke the protocol: {error}"
    _log.warning("%s %s", channel.remote_id, reason)
    channel.disconnect(reason)
    return ChannelClosed(reason)
