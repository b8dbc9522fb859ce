"""Whom the node talks to, and what its jobs reach: [egress], [gangs], [discovery], [peers], [metrics] of node.toml."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from neurogrid_marketplace.addresses import IpAddress, IpNetwork, read_networks, read_pinned
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.fields import PeerId
from neurogrid_marketplace.network import MAX_OWNER_RULES, NetworkTerms
from neurogrid_p2p.discovery.settings import POINTS_MAX
from neurogrid_p2p.peer_lists import MAX_LISTED, PeerLists

from ..egress.caps import Caps


@dataclass(frozen=True, slots=True)
class EgressConfig:
    """What jobs reach of the internet (docs/egress.md).

    Attributes:
        serve: whether any job does.
        allow: hosts that jobs may reach; empty: any, at ports 443 and 80.
        deny: hosts that count before these.
        deny_networks: addresses that are not dialled, beside those that never are.
        private: hosts with the addresses at which they are dialled wherever that is. Dangerous.
        gib_per_job: what one job may move, both ways together.
        mbit_per_s: of one job, both ways together.
        connections: of one job at a time; connections_per_s: that it may begin.
        idle_s: a connection on which nothing moves for so long is closed.
    """

    serve: bool = False
    allow: Annotated[tuple[str, ...], Meta(max_length=MAX_OWNER_RULES)] = ()
    deny: Annotated[tuple[str, ...], Meta(max_length=MAX_OWNER_RULES)] = ()
    deny_networks: Annotated[tuple[str, ...], Meta(max_length=MAX_OWNER_RULES)] = ()
    private: Annotated[tuple[str, ...], Meta(max_length=32)] = ()
    gib_per_job: Annotated[int, Meta(ge=1, le=1_000_000)] = 50
    mbit_per_s: Annotated[int, Meta(ge=1, le=1_000_000)] = 100
    connections: Annotated[int, Meta(ge=1, le=1024)] = 64
    connections_per_s: Annotated[int, Meta(ge=1, le=1000)] = 20
    idle_s: Annotated[int, Meta(ge=10, le=86_400)] = 300

    def terms(self) -> NetworkTerms:
        """As they are offered.

        Raises:
            InvalidValue: a host is written wrong.
        """
        try:
            return NetworkTerms(self.allow, self.deny, self.gib_per_job << 30, self.mbit_per_s)
        except InvalidValue as error:
            raise InvalidValue(f"[egress] {error}") from error

    def caps(self) -> Caps:
        """As they are kept to."""
        return Caps(
            job_bytes=self.gib_per_job << 30,
            bytes_per_s=self.mbit_per_s * 125_000,
            connections=self.connections,
            connections_per_s=self.connections_per_s,
            idle_s=self.idle_s,
        )

    def denied(self) -> tuple[IpNetwork, ...]:
        """Networks that are not dialled.

        Raises:
            InvalidValue: one is none.
        """
        try:
            return read_networks(self.deny_networks)
        except InvalidValue as error:
            raise InvalidValue(f"[egress] deny_networks: {error}") from error

    def pinned(self) -> dict[tuple[str, int], IpAddress]:
        """Hosts that are dialled at the owner's word.

        Raises:
            InvalidValue: one is written wrong.
        """
        try:
            return read_pinned(self.private)
        except InvalidValue as error:
            raise InvalidValue(f"[egress] private: {error}") from error


@dataclass(frozen=True, slots=True)
class GangConfig:
    """Jobs that run together with jobs on other nodes, and reach them (docs/gang-network.md).

    Attributes:
        serve: whether we take any.
        mbit_per_s: what the packets of one gang may take of our network, in each direction.
    """

    serve: bool = True
    mbit_per_s: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000


@dataclass(frozen=True, slots=True)
class DiscoveryConfig:
    """Coordinators that are found, and joined beside those that are listed.

    Attributes:
        dht, rendezvous: libp2p addresses of a DHT's nodes and of rendezvous points, with peer ids.
        mdns: whether the local network is asked.
        join: peer ids of coordinators that are joined wherever they are found.
        strangers: how many others are joined at a time.
        private: whether addresses of private networks, loopback and names that strangers tell of are
            dialled; those that the local network tells of itself always are.
        interval_s: from one round of looking to the next.
    """

    dht: Annotated[tuple[str, ...], Meta(max_length=POINTS_MAX)] = ()
    rendezvous: Annotated[tuple[str, ...], Meta(max_length=POINTS_MAX)] = ()
    mdns: bool = False
    join: Annotated[tuple[PeerId, ...], Meta(max_length=64)] = ()
    strangers: Annotated[int, Meta(ge=0, le=16)] = 0
    private: bool = False
    interval_s: Annotated[int, Meta(ge=1, le=86_400)] = 300

    @property
    def is_on(self) -> bool:
        """Whether anything is asked."""
        return bool(self.dht or self.rendezvous or self.mdns)


@dataclass(frozen=True, slots=True)
class PeersConfig:
    """Who may be connected; see `PeerLists`. Read again at SIGHUP."""

    allow: Annotated[tuple[str, ...], Meta(max_length=MAX_LISTED)] = ()
    deny: Annotated[tuple[str, ...], Meta(max_length=MAX_LISTED)] = ()

    def lists(self) -> PeerLists:
        """As they are kept.

        Raises:
            InvalidValue: what stands there is no peer id.
        """
        return PeerLists.of(self.allow, self.deny)


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Numbers for Prometheus (docs/telemetry.md).

    Attributes:
        listen: address and port; "": nowhere.
    """

    listen: Annotated[
        str, Meta(pattern=r"^((\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[1-9][0-9]{0,4})?\Z")
    ] = ""

    @property
    def host(self) -> str:
        """The address, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port; 0 where it listens nowhere."""
        return int(self.listen.rpartition(":")[2] or 0)
