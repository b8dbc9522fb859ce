"""One member of a gang: its link, its filter, and the ways to all others."""

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

import trio

from neurogrid_marketplace.allowance import Allowance
from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.gang import GangPlace
from neurogrid_marketplace.gang_packets import (
    GANG_PROTOCOL_ID,
    HEADER_BYTES,
    MAX_GREETING_BYTES,
    Drop,
    Filter,
    Greeting,
    admits,
    dials,
    greeting_of,
    read_greeting,
)
from neurogrid_p2p.address import parse_address
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.errors import AddressInvalid, ChannelClosed, P2pError
from neurogrid_p2p.host import Host

from .link import GangLink
from .pair import Pair

_log = logging.getLogger(__name__)

GREETING_LIMIT_S = 10.0
_BACKOFF_FIRST_S = 0.1
_BACKOFF_MAX_S = 2.0


class Membership:
    """A place in a gang, with packets going to and fro while `run` runs.

    Args:
        through_relay: the address of a node at its coordinator's relay; None without one.
        bytes_per_s: what may go out, and as much come in, on average.

    Attributes:
        dropped: how many packets were, by reason.
    """

    def __init__(
        self,
        place: GangPlace,
        link: GangLink,
        host: Host,
        through_relay: Callable[[str], str | None],
        bytes_per_s: int,
    ) -> None:
        self.place = place
        self.dropped: Counter[Drop] = Counter()
        self._link = link
        self._host = host
        self._through_relay = through_relay
        self._filter = Filter(place)
        self._pairs = {
            rank: Pair(partial(self._received, rank))
            for rank in range(place.size)
            if rank != place.rank
        }
        now_s = trio.current_time()
        self._outgoing = Allowance(bytes_per_s, now_s)
        self._incoming = Allowance(bytes_per_s, now_s)

    @property
    def is_dialled(self) -> bool:
        """Whether others have to find us."""
        return not all(dials(self.place, rank) for rank in self._pairs)

    async def run(self) -> None:
        """Carry packets, and keep up the ways to whom we dial, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._link.run, self._sent)
            for rank in self._pairs:
                if dials(self.place, rank):
                    nursery.start_soon(self._dial, rank)

    def hang_up(self) -> None:
        """End the streams that others have opened; ours end with `run`."""
        for pair in self._pairs.values():
            pair.hang_up()

    def admits(self, greeting: Greeting, node_id: str) -> bool:
        """Whether a node that has come to us is the member it says it is, and one that dials us."""
        return admits(self.place, greeting, node_id) and not dials(self.place, greeting.rank)

    async def welcome(self, rank: int, stream: ByteStream) -> None:
        """Carry the packets of a member that has come to us, to the stream's end.

        Raises:
            ChannelClosed: it has left already.
        """
        await stream.write(greeting_of(self.place))
        reason = await self._pairs[rank].carry(stream)
        _log.info("gang %s: rank %d left: %s", self.place.gang_id, rank, reason)

    # --- packets -----------------------------------------------------------------------------

    async def _sent(self, frames: list[bytes]) -> None:
        """Our member has sent these."""
        for frame in frames:
            to = self._filter.outgoing(frame)
            if isinstance(to, Drop):
                self.dropped[to] += 1
            elif not self._pairs[to].queue(frame):
                self.dropped[Drop.QUEUE_FULL] += 1
        await _keep_to(self._outgoing, frames)

    async def _received(self, rank: int, frames: list[bytes]) -> None:
        """The node of another member has sent these."""
        good = []
        for frame in frames:
            why_not = self._filter.incoming(frame, rank)
            if why_not is None:
                good.append(frame)
            else:
                self.dropped[why_not] += 1
        if good:
            await self._link.send(b"".join(good))
        await _keep_to(self._incoming, frames)

    # --- dialling ----------------------------------------------------------------------------

    async def _dial(self, rank: int) -> None:
        """Keep up the way to a member's node."""
        node_id = self.place.members[rank].node_id
        addresses = self._addresses_of(rank)
        backoff_s, said = _BACKOFF_FIRST_S, ""
        while True:
            reason = "it has no address, and there is no relay"
            for address in addresses:
                try:
                    reason = await self._dial_at(rank, address)
                except (P2pError, MalformedMessage, trio.TooSlowError) as error:
                    reason = str(error) or "no answer"
                else:
                    # It was good: the next time it is tried first.
                    addresses = sorted(addresses, key=lambda other: other != address)
                    backoff_s, said = _BACKOFF_FIRST_S, ""
                    break
            if reason != said:
                said = reason
                _log.warning("gang %s: rank %d, %s: %s", self.place.gang_id, rank, node_id, reason)
            await trio.sleep(random.uniform(backoff_s / 2, backoff_s))
            backoff_s = min(backoff_s * 2, _BACKOFF_MAX_S)

    async def _dial_at(self, rank: int, address: str) -> str:
        """One stream, from its opening to its end; returns why it ended.

        Raises:
            P2pError, MalformedMessage, TooSlowError: there was none.
        """
        connection = await self._host.connect(address)
        try:
            with trio.fail_after(GREETING_LIMIT_S):
                stream = ByteStream(connection, await connection.open_stream(GANG_PROTOCOL_ID))
                await stream.write(greeting_of(self.place))
                greeting = await receive_greeting(stream)
            if greeting.rank != rank or not admits(self.place, greeting, stream.remote_id):
                raise MalformedMessage("it greets as somebody else")
            _log.info("gang %s: rank %d is here, by %s", self.place.gang_id, rank, address)
            return await self._pairs[rank].carry(stream)
        finally:
            connection.abort()

    def _addresses_of(self, rank: int) -> list[str]:
        """Where a member's node may be reached: where it says, then through the relay."""
        member = self.place.members[rank]
        relayed = self._through_relay(member.node_id)
        return [
            *(address for address in member.addresses if _is_of(address, member.node_id)),
            *([relayed] if relayed is not None else []),
        ]


async def receive_greeting(stream: ByteStream) -> Greeting:
    """What the other side says first, and nothing of what follows.

    Raises:
        MalformedMessage: something else.
        ChannelClosed: nothing.
    """
    length = int.from_bytes(await _exactly(stream, HEADER_BYTES))
    if not 0 < length <= MAX_GREETING_BYTES:
        raise MalformedMessage(f"a greeting of {length} bytes; at most {MAX_GREETING_BYTES}")
    return read_greeting(await _exactly(stream, length))


async def _exactly(stream: ByteStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = await stream.read(size - len(data))
        if not piece:
            raise ChannelClosed("it was closed before its greeting")
        data += piece
    return data


async def _keep_to(allowance: Allowance, frames: Iterable[bytes]) -> None:
    """Wait where packets come too fast: what they came through then fills up, and its sender waits."""
    wait_s = allowance.take(sum(map(len, frames)), trio.current_time())
    if wait_s > 0:
        await trio.sleep(wait_s)


def _is_of(address: str, node_id: str) -> bool:
    """Whether an address is one at which this node has to prove itself."""
    try:
        return parse_address(address).peer_id == node_id
    except AddressInvalid:
        return False
