"""Whether this machine takes members of gangs, and where others may dial it about them."""

import ipaddress
import logging
from collections.abc import Sequence

from neurogrid_marketplace.gang import MAX_MEMBER_ADDRESSES
from neurogrid_p2p.address import parse_address, through_relay
from neurogrid_p2p.host import Host

from .config import Config
from .gangs import Gangs
from .provider import Provider

_log = logging.getLogger(__name__)


async def offer_gangs(gangs: Gangs, host: Host, config: Config, provider: Provider) -> None:
    """Try whether a member's interface comes up here, and say so to coordinators if it does."""
    obstacle = "[gang] serve is false" if not config.gang.serve else await gangs.obstacle()
    if obstacle:
        _log.warning("no gangs run here: %s", obstacle)
        return
    relayed = [through_relay(relay, host.peer_id) for relay in config.relays]
    addresses = advertised((*host.addresses, *relayed))
    if not addresses:
        _log.info(
            "no node can dial us about gangs: where it can't be dialled either, a coordinator has to relay"
        )
    await provider.found_gangs(addresses)


def advertised(addresses: Sequence[str]) -> tuple[str, ...]:
    """The addresses that are worth telling others: loopback only where there is nothing else."""
    outward = [address for address in addresses if not _is_loopback(address)]
    return tuple(outward or addresses)[:MAX_MEMBER_ADDRESSES]


def _is_loopback(address: str) -> bool:
    parsed = parse_address(address)
    return parsed.kind in ("ip4", "ip6") and ipaddress.ip_address(parsed.host).is_loopback
