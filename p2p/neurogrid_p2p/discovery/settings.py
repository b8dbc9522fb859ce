"""What the discovery process is told when it starts."""

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.fields import Word
from neurogrid_telemetry.log_settings import LogSettings

from ..errors import AddressInvalid
from .peers import at_host, peer_at

# Nodes of a DHT, rendezvous points, and whatever else is listed.
POINTS_MAX = 8

_Seed = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Places = Annotated[tuple[str, ...], Meta(max_length=POINTS_MAX)]


@dataclass(frozen=True, slots=True)
class Settings:
    """One run of the process.

    Attributes:
        seed: of its identity, hex; one that is announced keeps it.
        network: whose coordinators are looked for.
        listen: where it listens; empty: it only dials.
        hosts: under which others reach it; empty: as it listens.
        dht, rendezvous: addresses of nodes and points, each with its peer id.
        mdns: whether the local network is asked and told.
        mdns_interfaces: IP addresses of the interfaces for that; empty: all.
        private: whether addresses of private networks are announced and dialled.
        find: whether coordinators are looked for. Announced is what it is told to carry.
        serve: whether it is a rendezvous point and a node of the DHT for others.
        interval_s: from one round of looking to the next.
        parent_pid: who must not be outlived; 0: that the orders end is enough.
        log: where it logs, with an absolute path.
    """

    seed: _Seed
    network: Word
    listen: _Places = ()
    hosts: _Places = ()
    dht: _Places = ()
    rendezvous: _Places = ()
    mdns: bool = False
    mdns_interfaces: _Places = ()
    private: bool = False
    find: bool = False
    serve: bool = False
    interval_s: Annotated[int, Meta(ge=1, le=86_400)] = 300
    parent_pid: int = 0
    log: LogSettings = field(default_factory=LogSettings)


def check_places(dht: tuple[str, ...], rendezvous: tuple[str, ...], hosts: tuple[str, ...]) -> None:
    """Raise `InvalidValue` unless these can be used as such; the message names the key."""
    for key, addresses in (("dht", dht), ("rendezvous", rendezvous)):
        for address in addresses:
            try:
                peer_at(address)
            except AddressInvalid as error:
                raise InvalidValue(f"[discovery] {key}: {error}") from error
    for host in hosts:
        try:
            at_host(host, 1)
        except AddressInvalid as error:
            raise InvalidValue(
                f"[discovery] hosts: {host!r} is no IP address and no name"
            ) from error
