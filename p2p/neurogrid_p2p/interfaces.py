"""The networks around this machine, as its interfaces tell."""

import ipaddress
import socket

import psutil

from neurogrid_marketplace.addresses import IpInterface, IpNetwork, near


def networks_near() -> tuple[IpNetwork, ...]:
    """The networks that this machine's interfaces are in now."""
    interfaces: list[IpInterface] = []
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family in (socket.AF_INET, socket.AF_INET6):
                plain = address.address.partition("%")[0]
                interfaces.append(
                    ipaddress.ip_interface(f"{plain}/{_prefix_bits(plain, address.netmask)}")
                )
    return near(interfaces)


def _prefix_bits(address: str, netmask: str | None) -> int:
    most = ipaddress.ip_address(address).max_prefixlen
    if netmask is None:
        return most
    return int(ipaddress.ip_address(netmask)).bit_count()
