"""The nodes' control channels: who may connect, what they may say, and how fast.

A node dials, gets a `Welcome`, says `Hello`, and from then on everything between the two travels on this
one channel. A node that breaks a rule is disconnected; it reconnects when it likes.
"""

import logging
from dataclasses import dataclass
from typing import Protocol

import trio

from neurogrid_marketplace.bid import Bid, Decline
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.messages import (
    SILENCE_LIMIT_S,
    Accept,
    Claimed,
    Deny,
    Event,
    Heartbeat,
    Hello,
    Log,
    Message,
    Meter,
    Pulse,
)
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.session import Party, SignedChannel

from .directory import Directory
from .reports import NodeView
from .settings import NodeLimits

# A node has its hello ready; more than a slow handshake's worth of waiting is a stranger.
HELLO_LIMIT_S = 10.0
# A message waits for room only behind a whole mebibyte that the node has not read; it will be
# disconnected soon, and nobody should wait for that.
SEND_LIMIT_S = 2.0

NodeMessage = Bid | Decline | Accept | Deny | Event | Meter | Log | Claimed

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


class Allowance:
    """A token bucket: so many units per second on average, twice that in a burst."""

    def __init__(self, per_second: float, now: float) -> None:
        self._per_second = per_second
        self._units = 2 * per_second
        self._at = now

    def take(self, units: float, now: float) -> float:
        """Take ``units`` and return how many seconds to wait before the next."""
        refill = (now - self._at) * self._per_second
        self._units = min(2 * self._per_second, self._units + refill) - units
        self._at = now
        return max(0.0, -self._units / self._per_second)


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    """One live connection of a node."""

    node_id: str
    channel: SignedChannel


class Network:
    """All control channels."""

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

    async def send(self, node_id: str, message: Message) -> Envelope:
        """Sign a message and put it on the way to a node.

        Raises:
            ChannelClosed: the node is not connected, or has so much unread that nothing more
                can be queued.
        """
        node = self._nodes.get(node_id)
        if node is None:
            raise ChannelClosed("not connected")
        with trio.move_on_after(SEND_LIMIT_S):
            return await node.channel.send(message)
        raise ChannelClosed("reads nothing")

    async def serve(self, channel: Channel) -> None:
        """Talk with one node until either side ends it."""
        signed = await SignedChannel.welcome(channel, self._party, self._software)
        try:
            with trio.fail_after(HELLO_LIMIT_S):
                _, hello = await signed.receive()
        except trio.TooSlowError:
            signed.abort("said no hello")
            return
        if not isinstance(hello, Hello):
            _refuse(signed, "said something else than hello")
            return
        if hello.offer.node_id != signed.remote_id:
            _refuse(signed, f"said hello as {hello.offer.node_id}")
            return
        node = _Node(signed.remote_id, signed)
        older = self._nodes.get(node.node_id)
        if older is None and len(self._nodes) >= self._limits.nodes:
            _refuse(signed, "came when the market was full")
            return
        self._nodes[node.node_id] = node
        if older is not None:
            older.channel.abort("replaced by a newer connection")
        try:
            await self._joined(hello)
            await self._talk(node)
        finally:
            if self._nodes.get(node.node_id) is node:
                del self._nodes[node.node_id]
                with trio.CancelScope(shield=True):
                    await self._listener.node_left(self._directory.leave(node.node_id))

    async def _joined(self, hello: Hello) -> None:
        await self._listener.node_joined(self._directory.join(hello, self._party.now_ms()))

    async def _talk(self, node: _Node) -> None:
        messages = Allowance(self._limits.messages_per_s, trio.current_time())
        data = Allowance(self._limits.bytes_per_s, trio.current_time())
        counted_bytes = node.channel.received_bytes
        while True:
            try:
                with trio.fail_after(self._silence_limit_s):
                    envelope, message = await node.channel.receive()
            except trio.TooSlowError:
                node.channel.abort(f"silent for {self._silence_limit_s:g} s")
                return
            if self._nodes.get(node.node_id) is not node:
                return  # replaced while this was on its way
            await self._take(node, envelope, message)
            now = trio.current_time()
            arrived_bytes = node.channel.received_bytes - counted_bytes
            counted_bytes += arrived_bytes
            wait_s = max(messages.take(1, now), data.take(arrived_bytes, now))
            if wait_s > 0:
                await trio.sleep(min(wait_s, self._silence_limit_s))

    async def _take(self, node: _Node, envelope: Envelope, message: Message) -> None:
        now_ms = self._party.now_ms()
        match message:
            case Heartbeat():
                view = self._directory.beat(node.node_id, message, now_ms)
                await self._listener.node_beat(view)
                await node.channel.send(Pulse(now_ms))
            case Hello():
                if message.offer.node_id != node.node_id:
                    _refuse(node.channel, f"said hello as {message.offer.node_id}")
                    raise ChannelClosed("another node's hello")
                await self._joined(message)
            case Bid() | Decline() | Accept() | Deny() | Event() | Meter() | Log() | Claimed():
                self._directory.heard(node.node_id, now_ms)
                await self._listener.received(node.node_id, envelope, message)
            case _:
                _refuse(node.channel, f"said {envelope.type}, which only a coordinator says")
                raise ChannelClosed("a message in the wrong direction")


def _refuse(channel: SignedChannel, what: str) -> None:
    _log.warning("%s %s", channel.remote_id, what)
    channel.abort(what)
