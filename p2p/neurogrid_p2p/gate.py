"""Who may come in: limits by peer and by network, lists of peers, and what was refused and why.

Everything here is decided before libp2p has done anything for a stranger, or right after it has proven
who it is.
"""

import ipaddress
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum

from .limits import Limits
from .peer_lists import MAX_LISTED, PeerLists

# Bits of a network that one subscriber gets, and of one that a provider or a site does.
_SUBSCRIBER_BITS = {4: 32, 6: 64}
_NETWORK_BITS = {4: 24, 6: 48}

_log = logging.getLogger(__name__)


class Refusal(StrEnum):
    """Why somebody was refused, or cut off."""

    CONNECTIONS = "connections"
    HOST = "host"
    NETWORK = "network"
    HANDSHAKES = "handshakes"
    HANDSHAKE = "handshake"
    PEER = "peer"
    DENIED = "denied"
    NOT_ALLOWED = "not_allowed"
    STREAMS = "streams"
    NO_STREAM = "no_stream"
    PROTOCOL = "protocol"


class Gate:
    """Counts what there is by where it comes from; nothing is kept of whoever has left.

    Attributes:
        refused: how many were, by reason, since the start.
        connections: how many there are.
        lists: of peers.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.lists = PeerLists()
        self.refused: Counter[Refusal] = Counter()
        self.connections = 0
        self._hosts: Counter[str] = Counter()
        self._networks: Counter[str] = Counter()
        self._handshakes: Counter[str] = Counter()
        self._peers: Counter[str] = Counter()
        # Peers whose refusal by a list has been logged: each comes again every few seconds.
        self._named: set[str] = set()

    def admit(self, lists: PeerLists) -> None:
        """Take other lists."""
        self.lists = lists
        self._named.clear()

    def refuse(self, why: Refusal, who: str) -> None:
        """Count a refusal."""
        self.refused[why] += 1
        _log.debug("refused %s: %s", who, why)

    def refuse_listed(self, peer_id: str) -> bool:
        """Whether the lists refuse a peer; counts it, and says so in the log once."""
        why = self.lists.refusal(peer_id)
        if why is None:
            return False
        is_denied = peer_id in self.lists.deny
        self.refuse(Refusal.DENIED if is_denied else Refusal.NOT_ALLOWED, peer_id)
        if peer_id not in self._named and len(self._named) < MAX_LISTED:
            self._named.add(peer_id)
            _log.warning("%s is %s", peer_id, why)
        return True

    @contextmanager
    def entered(self, host: str) -> Iterator[bool]:
        """One connection from ``host``, an IP address or a relay; whether it may come in."""
        subscriber, network = _prefix(host, _SUBSCRIBER_BITS), _prefix(host, _NETWORK_BITS)
        why = self._refusal(subscriber, network)
        if why is not None:
            self.refuse(why, host)
            yield False
            return
        self.connections += 1
        self._hosts[subscriber] += 1
        self._networks[network] += 1
        try:
            yield True
        finally:
            self.connections -= 1
            _decrement(self._hosts, subscriber)
            _decrement(self._networks, network)

    @contextmanager
    def handshake(self, host: str) -> Iterator[None]:
        """While a connection has not proven whose it is."""
        network = _prefix(host, _NETWORK_BITS)
        self._handshakes[network] += 1
        try:
            yield
        finally:
            _decrement(self._handshakes, network)

    @contextmanager
    def proven(self, peer_id: str) -> Iterator[bool]:
        """One connection of a peer that has proven who it is; whether it may stay."""
        if self.refuse_listed(peer_id):
            yield False
            return
        if self._peers[peer_id] >= self.limits.connections_per_peer:
            self.refuse(Refusal.PEER, peer_id)
            yield False
            return
        self._peers[peer_id] += 1
        try:
            yield True
        finally:
            _decrement(self._peers, peer_id)

    def _refusal(self, subscriber: str, network: str) -> Refusal | None:
        limits = self.limits
        if self.connections >= limits.connections:
            return Refusal.CONNECTIONS
        if self._hosts[subscriber] >= limits.connections_per_host:
            return Refusal.HOST
        if self._networks[network] >= limits.connections_per_network:
            return Refusal.NETWORK
        if self._handshakes[network] >= limits.handshakes_per_network:
            return Refusal.HANDSHAKES
        return None


def _prefix(host: str, bits: Mapping[int, int]) -> str:
    """The network that ``host`` is in; what is no IP address stands for itself."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(ipaddress.ip_network((address, bits[address.version]), strict=False))


def _decrement(counter: Counter[str], key: str) -> None:
    """Count one less, and forget what is at zero, so that strangers leave nothing behind."""
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
