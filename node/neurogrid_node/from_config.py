"""What the owner's configuration makes of the daemon's parts: its rules for bids, what it offers, whom it dials."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from neurogrid_marketplace.resources import Capacity
from neurogrid_p2p.address import parse_address
from neurogrid_p2p.errors import AddressInvalid
from neurogrid_p2p.limits import Limits as HostLimits

from .access.door import STREAMS_MAX
from .config import Config
from .gang.gangs import with_gangs
from .machine.inventory import Inventory
from .market.bidder import LEASES_MAX, Policy
from .market.network import CoordinatorLink
from .use.door import STREAMS_MAX as USE_STREAMS_MAX

_GIB = 1024**3


def policy_of(config: Config, wallet: str) -> Policy:
    """What the owner has decided of bids."""
    return Policy(
        prices=config.prices.price_list(),
        wallet=wallet,
        region=config.region,
        max_timeout_s=config.risk.max_timeout_s,
        may_pull=config.images.pull,
        registries=config.images.rules(),
        allowed_image_prefixes=config.images.allow,
        conditions=config.conditions.clauses(),
        spot=config.spot.terms(),
        # Whoever goes for another would have to be on the same machine.
        displaces=config.spot.take and config.spot.displace and config.engine.kind == "docker",
        network=config.egress.terms() if config.egress.serve else None,
        models=config.models.terms(),
    )


def host_limits() -> HostLimits:
    """What others may take of our host. A coordinator's connection has a stream for each of its leases, which we
    open, and those into their jobs and to replicas, which it opens."""
    streams = LEASES_MAX + STREAMS_MAX + USE_STREAMS_MAX + HostLimits().streams_per_connection
    return with_gangs(replace(HostLimits(), streams_per_connection=streams))


def capacity(inventory: Inventory, config: Config, disk_in_use_bytes: int) -> Capacity:
    """What of the machine is offered."""
    offer = config.offer
    disk_there = inventory.disk_free_bytes + disk_in_use_bytes
    cores = min(offer.cpu_cores or inventory.cpu_cores, inventory.cpu_cores)
    memory = min(offer.memory_gib * _GIB or inventory.memory_bytes, inventory.memory_bytes)
    disk = min(offer.disk_gib * _GIB or disk_there, disk_there)
    return Capacity(cores * 1000, memory, disk, inventory.offered_gpus())


def own_hosts_of(
    config: Config, links: Mapping[str, CoordinatorLink]
) -> Callable[[str], Sequence[str]]:
    """By coordinator, the machines on private networks that its files may be on."""

    def hosts(coordinator: str) -> Sequence[str]:
        link = links.get(coordinator)
        try:
            address = parse_address(link.address) if link else None
        except AddressInvalid:
            address = None  # a direct client's: it is not dialled
        # The host of a relayed address is the relay's, which has no files for us.
        if address is None or address.relay_id:
            return config.file_hosts
        return (address.host, *config.file_hosts)

    return hosts


def relays_of(config: Config) -> dict[str, str]:
    """By coordinator, where its relay is, should it have one: we get there as to itself."""
    addresses = [parse_address(text) for text in config.coordinators]
    return {str(address.peer_id): str(address) for address in addresses if address.relay_id is None}
