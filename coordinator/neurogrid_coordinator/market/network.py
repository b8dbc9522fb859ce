"""The nodes' connections: who may connect, what they may say, and how fast.

A node dials, gets a `Welcome` on its control stream, says `Hello`, and opens a stream of its own for each
lease (`lease_streams`). A node that breaks a rule is disconnected; it reconnects when it likes.
"""

import logging
from dataclasses import dataclass
from typing import Protocol

import trio

from neurogrid_marketplace.bid import Bid, Decline
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.errors import UnknownMessage
from neurogrid_marketplace.job_stream import WINDOW_BYTES
from neurogrid_marketplace.messages import (
    SILENCE_LIMIT_S,
    Accept,
    CoordinatorLeaseMessage,
    Deny,
    Heartbeat,
    Hello,
    Message,
    NodeLeaseMessage,
    Pulse,
)
from neurogrid_marketplace.sealing import Commit
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.limits import Limits
from neurogrid_p2p.session import Party, SignedChannel
from neurogrid_telemetry.about import about

from .directory import Directory
from .files import REQUESTS_PER_NODE
from .job_streams import JOB_STREAMS_PER_NODE
from .lease_streams import UNNAMED_MAX, UNREAD_BYTES, LeaseStreams
from .pace import Pace
from .reports import NodeView
from .settings import NodeLimits

# A node has its hello ready; more than a slow handshake's worth of waiting is a stranger.
HELLO_LIMIT_S = 10.0
# A message waits for room only behind a whole mebibyte that the node has not read; it will be
# disconnected soon, and nobody should wait for that.
SEND_LIMIT_S = 2.0

NodeMessage = Bid | Decline | Commit | Accept | Deny | NodeLeaseMessage

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who wants to know; told of one node's doings in their order."""

    async def node_joined(self, view: NodeView) -> None:
        """A node said hello: a new one, one that reconnected, or one whose offer changed."""

    async def node_beat(self, view: NodeView) -> None:
        """A node said what is free and how its leases are."""

    async def node_left(self, view: NodeView) -> None:
        """A node's last connection ended."""

    async def received(self, node_id: str, envelope: Envelope, message: NodeMessage) -> None:
        """A node said something else. While this waits, the node is not read."""


def host_limits(limits: NodeLimits) -> Limits:
    """What the host lets strangers take, so that nodes can have what ``limits`` lets them have."""
    return Limits(
        # Each may be connected twice, while a newer connection replaces an older one.
        connections=2 * limits.nodes,
        connections_per_host=limits.connections_per_host,
        connections_per_network=limits.connections_per_network,
        handshakes_per_network=limits.handshakes_per_network,
        handshake_s=limits.handshake_s,
        # Its leases' streams, those that have not said which, its requests for files, ours into its jobs,
        # and the control stream.
        streams_per_connection=limits.leases_per_node
        + UNNAMED_MAX
        + REQUESTS_PER_NODE
        + JOB_STREAMS_PER_NODE
        + 1,
        # Not a window for each: what is granted keeps an honest node at a quarter of the first part.
        unread_bytes_per_connection=UNREAD_BYTES + JOB_STREAMS_PER_NODE * WINDOW_BYTES,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    """One live connection of a node: its control stream, and those of its leases."""

    node_id: str
    channel: SignedChannel
    leases: LeaseStreams


class Network:
    """All connections of nodes."""

    def __init__(
        self,
        party: Party,
        directory: Directory,
        limits: NodeLimits,
        listener: Listener,
        software: str,
        silence_limit_s: float = SILENCE_LIMIT_S,
    ) -> None:
        self._party = party
        self._directory = directory
        self._limits = limits
        self._listener = listener
        self._software = software
        self._silence_limit_s = silence_limit_s
        self._nodes: dict[str, _Node] = {}

    async def send(self, node_id: str, message: Message, *, is_last: bool = False) -> Envelope:
        """Sign a message and put it on the way to a node.

        Args:
            is_last: close the lease's stream after it.

        Raises:
            ChannelClosed: the node is not connected, has no stream (yet) for the lease that this is
                about, or has so much unread that nothing more can be queued.
        """
        node = self._nodes.get(node_id)
        if node is None:
            raise ChannelClosed("not connected")
        with trio.move_on_after(SEND_LIMIT_S):
            if isinstance(message, CoordinatorLeaseMessage):
                return await node.leases.send(message, is_last=is_last)
            return await node.channel.send(message)
        raise ChannelClosed("reads nothing")

    async def open_bytes(self, node_id: str, protocol: str) -> ByteStream:
        """A stream of bytes to a node, on the connection of its control stream.

        Raises:
            ChannelClosed: the node is not connected.
            HandshakeFailed: it does not speak ``protocol``.
        """
        node = self._nodes.get(node_id)
        if node is None:
            raise ChannelClosed("not connected")
        return await node.channel.open_bytes(protocol)

    @property
    def lease_streams(self) -> int:
        """How many there are, of all nodes."""
        return sum(len(node.leases) for node in self._nodes.values())

    async def serve_lease(self, channel: Channel) -> None:
        """Talk with one node about one lease until either side ends that stream."""
        node = self._nodes.get(channel.remote_id)
        if node is None or not node.channel.shares_connection(channel):
            _log.debug("%s opened a lease's stream without a control stream", channel.remote_id)
            channel.disconnect("a lease's stream without a control stream")
            return
        with about(peer=node.node_id):
            await node.leases.serve(channel)

    async def serve(self, channel: Channel) -> None:
        """Talk with one node until either side ends it."""
        with about(peer=channel.remote_id):
            await self._serve(channel)

    async def _serve(self, channel: Channel) -> None:
        signed = await SignedChannel.welcome(channel, self._party, self._software)
        try:
            with trio.fail_after(HELLO_LIMIT_S):
                _, hello = await signed.receive()
        except trio.TooSlowError:
            signed.abort("said no hello")
            return
        except UnknownMessage as error:
            raise signed.refuse(str(error)) from error
        if not isinstance(hello, Hello):
            raise signed.refuse("said something else than hello")
        if hello.offer.node_id != signed.remote_id:
            raise signed.refuse(f"said hello as {hello.offer.node_id}")
        older = self._nodes.get(signed.remote_id)
        if older is None and len(self._nodes) >= self._limits.nodes:
            raise signed.refuse("came when the market was full")
        node = self._node(signed)
        self._nodes[node.node_id] = node
        if older is not None:
            older.channel.abort("replaced by a newer connection")
        try:
            await self._joined(node, hello)
            await self._talk(node)
        finally:
            if self._nodes.get(node.node_id) is node:
                del self._nodes[node.node_id]
                with trio.CancelScope(shield=True):
                    await self._listener.node_left(self._directory.leave(node.node_id))

    def _node(self, channel: SignedChannel) -> _Node:
        async def received(envelope: Envelope, message: NodeLeaseMessage) -> None:
            await self._hand_on(node, envelope, message)

        leases = LeaseStreams(self._party, self._limits, self._software, received)
        node = _Node(channel.remote_id, channel, leases)
        return node

    async def _joined(self, node: _Node, hello: Hello) -> None:
        now_ms = self._party.now_ms()
        await self._listener.node_joined(self._directory.join(hello, now_ms))
        # From now on it may open the streams of its leases.
        await node.channel.send(Pulse(now_ms))

    async def _talk(self, node: _Node) -> None:
        pace = Pace(self._limits)
        while True:
            await pace.keep(node.channel.take_received_bytes())
            try:
                with trio.fail_after(self._silence_limit_s):
                    envelope, message = await node.channel.receive()
            except UnknownMessage as error:
                _log.debug("%s: %s", node.node_id, error)
                continue
            except trio.TooSlowError:
                node.channel.abort(f"silent for {self._silence_limit_s:g} s")
                return
            if self._nodes.get(node.node_id) is not node:
                return  # replaced while this was on its way
            await self._take(node, envelope, message)

    async def _take(self, node: _Node, envelope: Envelope, message: Message) -> None:
        match message:
            case Heartbeat():
                now_ms = self._party.now_ms()
                view = self._directory.beat(node.node_id, message, now_ms)
                await self._listener.node_beat(view)
                await node.channel.send(Pulse(now_ms))
            case Hello():
                if message.offer.node_id != node.node_id:
                    raise node.channel.refuse(f"said hello as {message.offer.node_id}")
                await self._joined(node, message)
            case Bid() | Decline() | Commit() | Accept() | Deny():
                await self._hand_on(node, envelope, message)
            case _:
                raise node.channel.refuse(f"said {envelope.type} on its control stream")

    async def _hand_on(self, node: _Node, envelope: Envelope, message: NodeMessage) -> None:
        if self._nodes.get(node.node_id) is not node:
            raise ChannelClosed("replaced by a newer connection")
        self._directory.heard(node.node_id, self._party.now_ms())
        await self._listener.received(node.node_id, envelope, message)
