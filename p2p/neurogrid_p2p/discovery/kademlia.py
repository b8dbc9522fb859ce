"""The messages of libp2p's Kademlia DHT, and the table of peers that have answered us.

Only provider records: who says that it provides a key. Source: libp2p specification `kad-dht`.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from ..errors import HandshakeFailed
from ..host import Host
from ..protobuf import Fields, message
from .exchange import ask
from .peers import Peer, Scope, peer_of

KADEMLIA = "/ipfs/kad/1.0.0"
# Kademlia's k: how many peers keep a record, and how many are named in an answer.
CLOSEST = 20
# Addresses of one peer that are tried before the next peer is.
_TRIES = 2
# Providers and peers of one answer that are looked at.
NAMED_MAX = 64
# As a message says it of a peer; what we name, we have reached.
_CAN_CONNECT = 2


class Kind(IntEnum):
    """What a message is; values of its own (`PUT_VALUE`, `GET_VALUE`) are not ours to keep."""

    ADD_PROVIDER = 2
    GET_PROVIDERS = 3
    FIND_NODE = 4
    PING = 5


@dataclass(frozen=True, slots=True)
class DhtMessage:
    """A question or its answer.

    Attributes:
        key: a multihash, or of FIND_NODE a peer's id.
        closer: peers that are nearer to the key.
        providers: who provides it.
    """

    kind: int
    key: bytes = b""
    closer: tuple[Peer, ...] = ()
    providers: tuple[Peer, ...] = ()

    def to_bytes(self) -> bytes:
        """As it travels."""
        return message(
            (1, self.kind),
            (2, self.key),
            (8, [_peer_bytes(peer) for peer in self.closer]),
            (9, [_peer_bytes(peer) for peer in self.providers]),
        )


def read_message(data: bytes, scope: Scope) -> DhtMessage:
    """Read a message; peers that we would not dial are left out.

    Raises:
        HandshakeFailed: it is none.
    """
    fields = Fields(data)
    return DhtMessage(
        fields.number(1),
        fields.piece(2),
        _peers(fields.pieces(8), scope),
        _peers(fields.pieces(9), scope),
    )


def distance(key: bytes, raw_id: bytes) -> int:
    """How far a peer is from a key: both are hashed, so that nobody chooses where a key lies."""
    one, other = hashlib.sha256(key).digest(), hashlib.sha256(raw_id).digest()
    return int.from_bytes(one) ^ int.from_bytes(other)


def nearest(key: bytes, peers: Iterable[Peer]) -> list[Peer]:
    """The peers in the order of their distance from a key."""
    return sorted(peers, key=lambda peer: distance(key, peer.raw_id))


async def ask_peer(host: Host, peer: Peer, question: DhtMessage, scope: Scope) -> DhtMessage:
    """Ask a peer at its first addresses.

    Raises:
        P2pError: it is not there, or does not answer.
    """
    failure = HandshakeFailed("it has no address")
    for address in peer.addresses[:_TRIES]:
        try:
            answer = await ask(host, str(address), KADEMLIA, question.to_bytes())
            return read_message(answer, scope)
        except HandshakeFailed as error:
            failure = error
    raise failure


class Table:
    """Peers of the DHT that have answered us; bounded, and of one network only so many.

    Args:
        ours: our id, which is not in it.
    """

    def __init__(self, ours: str, most: int = 256, most_per_network: int = 16) -> None:
        self._ours = ours
        self._most = most
        self._most_per_network = most_per_network
        self._peers: dict[str, Peer] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def __contains__(self, peer_id: str) -> bool:
        return peer_id in self._peers

    def answered(self, peer: Peer) -> None:
        """Keep a peer; who is known already stays while there is room for nobody else.

        Peers that have stayed long are the likeliest to stay on, and a flood of new ones does not
        replace them.
        """
        if peer.peer_id == self._ours:
            return
        network = _network(peer)
        alike = sum(_network(other) == network for other in self._peers.values())
        is_new = peer.peer_id not in self._peers
        if is_new and (len(self._peers) >= self._most or alike >= self._most_per_network):
            return
        self._peers[peer.peer_id] = peer

    def failed(self, peer_id: str) -> None:
        """Forget a peer that does not answer."""
        self._peers.pop(peer_id, None)

    def nearest(self, key: bytes) -> list[Peer]:
        """Those nearest to a key."""
        return nearest(key, self._peers.values())[:CLOSEST]


def _network(peer: Peer) -> str:
    """The /16 of IPv4 or the /32 of IPv6 that its first address is in: one owner's, as often as not."""
    host = peer.addresses[0].host
    separator = ":" if peer.addresses[0].kind == "ip6" else "."
    return separator.join(host.split(separator)[:2])


def _peer_bytes(peer: Peer) -> bytes:
    addresses = [address.to_bytes() for address in peer.addresses]
    return message((1, peer.raw_id), (2, addresses), (3, _CAN_CONNECT))


def _peers(items: Iterable[bytes], scope: Scope) -> tuple[Peer, ...]:
    found = []
    for item in list(items)[:NAMED_MAX]:
        fields = Fields(item)
        peer = peer_of(fields.piece(1), fields.pieces(2), scope)
        if peer is not None:
            found.append(peer)
    return tuple(found)
