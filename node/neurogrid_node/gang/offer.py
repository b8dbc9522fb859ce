"""Where others may dial this machine about its members of gangs."""

import ipaddress
from collections.abc import Sequence

from neurogrid_marketplace.gang import MAX_MEMBER_ADDRESSES
from neurogrid_p2p.address import parse_address, through_relay
from neurogrid_p2p.host import Host


def gang_addresses(host: Host, relays: Sequence[str]) -> tuple[str, ...]:
    """Our own addresses, and those through our relays, that are worth telling others.

    None: where such a node can't be dialled either, a coordinator has to relay.
    """
    return advertised((*host.addresses, *(through_relay(relay, host.peer_id) for relay in relays)))


def advertised(addresses: Sequence[str]) -> tuple[str, ...]:
    """The addresses that are worth telling others: loopback only where there is nothing else."""
    outward = [address for address in addresses if not _is_loopback(address)]
    return tuple(outward or addresses)[:MAX_MEMBER_ADDRESSES]


def _is_loopback(address: str) -> bool:
    parsed = parse_address(address)
    return parsed.kind in ("ip4", "ip6") and ipaddress.ip_address(parsed.host).is_loopback
