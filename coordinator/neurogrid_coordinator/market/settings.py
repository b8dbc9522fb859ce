"""What the market process is told when it starts. Nothing here is secret: it stands in its argv."""

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from neurogrid_marketplace.messages import SILENCE_LIMIT_S
from neurogrid_p2p.limits import RelayLimits
from neurogrid_telemetry.log_settings import LogSettings

# Each is a task and a connection that is made again and again.
MAX_DIALLED = 64

_Positive = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """What the nodes may take, all together and each.

    Attributes:
        nodes: connected at a time. Each may be connected twice, while a newer connection
            replaces an older one; connections beyond that are refused.
        connections_per_host, connections_per_network, handshakes_per_network, handshake_s: of
            strangers, see `gate.Limits`.
        leases_per_node: streams of leases that one node may have; as many as a hello can list.
        messages_per_s, bytes_per_s: of one node on its control stream, and on all streams of its
            leases together; on average, twice that in a burst. What comes faster is read more slowly.
    """

    nodes: _Positive = 2000
    connections_per_host: _Positive = 1024
    connections_per_network: _Positive = 2048
    handshakes_per_network: _Positive = 512
    handshake_s: _Positive = 20
    leases_per_node: _Positive = 256
    messages_per_s: _Positive = 200
    bytes_per_s: _Positive = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Announcement:
    """Where nodes that do not know us may find us, by a process of its own.

    Attributes:
        listen: where that process listens.
        hosts, dht, rendezvous, mdns, private, serve: see `neurogrid_p2p.discovery.settings.Settings`;
            what ``hosts`` and ``private`` say is true of the addresses where nodes connect, too.
    """

    listen: tuple[str, ...]
    hosts: tuple[str, ...] = ()
    dht: tuple[str, ...] = ()
    rendezvous: tuple[str, ...] = ()
    mdns: bool = False
    private: bool = False
    serve: bool = False


@dataclass(frozen=True, slots=True)
class MarketSettings:
    """How the market process runs.

    Attributes:
        key_file: the coordinator's identity, a Solana key file (`neurogrid_wallet.keys`).
        network: the market's tag (`envelope.network_id`).
        listen: where nodes connect, for example ``/ip4/0.0.0.0/tcp/4001``; port 0 takes any free
            port, and a restarted child takes the same again.
        dial: nodes that we dial, with their peer ids.
        files: host and port of the api's HTTP, where nodes' requests for files go; "" if they ask
            it themselves.
        silence_s: the connection of a node that says nothing for so long is closed.
        min_stake_micro_usdc: nodes with less at risk are asked for nothing.
        relays: where we keep reservations, for nodes that cannot dial us.
        relay: what we relay for others; None for nothing.
        announcement: where we are announced; None for nowhere.
        log: where the child logs, with an absolute path.
    """

    key_file: str
    network: str
    listen: tuple[str, ...]
    limits: NodeLimits = NodeLimits()
    dial: tuple[str, ...] = ()
    files: str = ""
    silence_s: _Positive = SILENCE_LIMIT_S
    min_stake_micro_usdc: int = 0
    relays: tuple[str, ...] = ()
    relay: RelayLimits | None = None
    announcement: Announcement | None = None
    log: LogSettings = field(default_factory=LogSettings)
