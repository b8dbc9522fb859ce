"""The leases' own streams: one for each lease of a connected node, beside its control stream.

A node opens them on the connection of its control stream, and names the lease in its first message. What
is said on one is handed on in an order of its own, so that a job which floods its log holds up itself
and nothing else. The log moves by credit: each acknowledgement says how far it may be sent.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import trio

from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.errors import UnknownMessage
from neurogrid_marketplace.messages import (
    Acknowledge,
    Attach,
    CoordinatorLeaseMessage,
    Log,
    Message,
    NodeLeaseMessage,
)
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.session import Party, SignedChannel

from .pace import Pace
from .settings import NodeLimits

# A node says which lease a stream is for as soon as it is open.
ATTACH_LIMIT_S = 10.0
# Streams of one node that have not said so yet: whoever opens them and says nothing holds no more.
UNNAMED_MAX = 16
# Log of one lease on its way: half a Yamux window, so that log that nobody takes leaves the other half
# to events, meters and claims.
LOG_GRANT_MAX_BYTES = 128 * 1024
LOG_GRANT_MIN_BYTES = 16 * 1024
# Log of all leases of a node on its way, as long as each has the least.
_NODE_LOG_BYTES = 1024 * 1024
# What one connection may have unread, in all its streams.
UNREAD_BYTES = 4 * _NODE_LOG_BYTES

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Stream:
    """One lease's stream, and how far its node may send the log on it."""

    channel: SignedChannel
    log_limit_bytes: int = 0


class LeaseStreams:
    """The lease streams of one connection of one node.

    Args:
        received: told what the node says, in the order of each lease; while it waits, that stream is
            not read.
    """

    def __init__(
        self,
        party: Party,
        limits: NodeLimits,
        software: str,
        received: Callable[[Envelope, NodeLeaseMessage], Awaitable[None]],
    ) -> None:
        self._party = party
        self._limits = limits
        self._software = software
        self._received = received
        self._pace = Pace(limits)
        self._streams: dict[str, _Stream] = {}
        self._unnamed = 0

    def __len__(self) -> int:
        return len(self._streams)

    async def send(self, message: CoordinatorLeaseMessage, *, is_last: bool) -> Envelope:
        """Sign a message and put it on its lease's stream.

        Args:
            is_last: close the stream after it.

        Raises:
            ChannelClosed: the node has no stream for this lease (now).
        """
        stream = self._streams.get(message.lease_id)
        if stream is None:
            raise ChannelClosed("no stream for this lease")
        if isinstance(message, Acknowledge):
            message = self._granting(stream, message)
        envelope = await stream.channel.send(message)
        if is_last:
            await stream.channel.aclose("nothing more to say")
        return envelope

    async def serve(self, channel: Channel) -> None:
        """Talk about one lease until either side ends its stream."""
        if self._unnamed >= UNNAMED_MAX or len(self._streams) >= self._limits.leases_per_node:
            _log.debug("%s opened too many streams", channel.remote_id)
            channel.abort("too many streams")
            return
        self._unnamed += 1
        try:
            signed = await SignedChannel.welcome(channel, self._party, self._software)
            with trio.fail_after(ATTACH_LIMIT_S):
                envelope, attach = await signed.receive()
        except trio.TooSlowError:
            channel.abort("named no lease")
            return
        except UnknownMessage as error:
            raise signed.refuse(str(error)) from error
        finally:
            self._unnamed -= 1
        if not isinstance(attach, Attach):
            raise signed.refuse("did not say first which lease a stream is for")
        older = self._streams.get(attach.lease_id)
        stream = self._streams[attach.lease_id] = _Stream(signed)
        if older is not None:
            older.channel.abort("replaced by a newer stream")
        try:
            await self._received(envelope, attach)
            await self._talk(stream, attach.lease_id)
        finally:
            if self._streams.get(attach.lease_id) is stream:
                del self._streams[attach.lease_id]

    async def _talk(self, stream: _Stream, lease_id: str) -> None:
        while True:
            await self._pace.keep(stream.channel.take_received_bytes())
            try:
                envelope, message = await stream.channel.receive()
            except UnknownMessage as error:
                _log.debug("%s: %s", stream.channel.remote_id, error)
                continue
            await self._received(envelope, self._allowed(stream, lease_id, message))

    def _allowed(self, stream: _Stream, lease_id: str, message: Message) -> NodeLeaseMessage:
        """The message, if a node may say it here.

        Raises:
            ChannelClosed: it may not, and is cut off.
        """
        name = type(message).__name__
        if not isinstance(message, NodeLeaseMessage) or isinstance(message, Attach):
            raise stream.channel.refuse(f"said {name} on a lease's stream")
        if message.lease_id != lease_id:
            raise stream.channel.refuse(f"said {name} on another lease's stream")
        if isinstance(message, Log):
            end_bytes = message.offset + len(message.text.encode())
            if end_bytes > stream.log_limit_bytes:
                raise stream.channel.refuse("sent log beyond what it may")
        return message

    def _granting(self, stream: _Stream, message: Acknowledge) -> Acknowledge:
        share_bytes = _NODE_LOG_BYTES // len(self._streams)
        grant_bytes = max(LOG_GRANT_MIN_BYTES, min(LOG_GRANT_MAX_BYTES, share_bytes))
        limit_bytes = max(stream.log_limit_bytes, message.log_bytes + grant_bytes)
        stream.log_limit_bytes = limit_bytes
        return replace(message, log_limit_bytes=limit_bytes)
