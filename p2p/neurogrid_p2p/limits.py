"""How much strangers may take of a host. Read with configurations, so nothing here needs libp2p: it costs 30 MiB."""

from dataclasses import dataclass, replace
from typing import Annotated

from msgspec import Meta

# Time for a connection to authenticate, and for a new stream to name its protocol. A handshake takes
# 4 ms of CPU a side, so a whole market of 2,000 nodes that comes back at once takes 8 s.
HANDSHAKE_LIMIT_S = 20.0
# What may be sent on a stream before its reader has taken any of it. Source: the specification of Yamux.
WINDOW_BYTES = 256 * 1024

_Positive = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much strangers may take. Whoever is over a limit is disconnected.

    Attributes:
        connections: in all, those in their handshake included; about 70 KiB each.
        connections_per_peer: two, so that a node whose old connection hangs can come back.
        connections_per_host: from one IPv4 address or IPv6 /64 network; a farm behind one
            address is legitimate.
        connections_per_network: from one IPv4 /24 or IPv6 /48 network.
        handshakes_per_network: of those, that have not proven yet who they are; 4 ms of CPU each.
        handshake_s: how long that may take; and then, until the first stream.
        streams_per_connection: open at once.
        unread_bytes_per_connection: what has arrived and nobody has read.
    """

    connections: int = 4096
    connections_per_peer: int = 2
    connections_per_host: int = 1024
    connections_per_network: int = 2048
    handshakes_per_network: int = 512
    handshake_s: float = HANDSHAKE_LIMIT_S
    streams_per_connection: int = 4
    unread_bytes_per_connection: int = 4 * WINDOW_BYTES


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """How much a relay gives away.

    Attributes:
        reservations: peers that may keep themselves reachable through us.
        reservations_per_host: of them, with the same IP address: a household's or a rack's.
        reservation_s: how long one lasts without being renewed.
        circuits: open at a time.
        circuits_per_peer: of them, to the same peer.
        circuit_s: how long one lasts.
        circuit_bytes: how much it carries in each direction.
    """

    reservations: _Positive = 128
    reservations_per_host: _Positive = 16
    reservation_s: Annotated[int, Meta(ge=60)] = 3600
    circuits: _Positive = 256
    circuits_per_peer: _Positive = 16
    circuit_s: _Positive = 3600
    circuit_bytes: Annotated[int, Meta(ge=65_536)] = 256 * 1024**2

    def beside(self, limits: Limits) -> Limits:
        """The limits of a host that relays beside what it does anyway under ``limits``."""
        return replace(
            limits,
            connections=limits.connections + self.reservations + self.circuits,
            # One for the reservation, one that replaces it, and one for each circuit to others.
            connections_per_peer=limits.connections_per_peer + 2 + self.circuits_per_peer,
            streams_per_connection=limits.streams_per_connection + self.circuits_per_peer,
            unread_bytes_per_connection=limits.unread_bytes_per_connection
            + self.circuits_per_peer * WINDOW_BYTES,
        )
