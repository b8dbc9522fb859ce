"""Where a stranger's connection may go from this machine: to the public internet that is not around it.

Strangers are jobs, whose connections a node makes, and clients, whose files a coordinator fetches.

What is private, or only looks like an address of the internet while it leads somewhere else, is in IANA's
special-purpose registries (https://www.iana.org/assignments/iana-ipv4-special-registry,
https://www.iana.org/assignments/iana-ipv6-special-registry). Of IPv6 only what is allocated for the internet
is let through, so that mapped, translated and tunnelled IPv4 addresses never are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_network,
)

from .errors import InvalidValue
from .network import HostRule

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network
IpInterface = IPv4Interface | IPv6Interface

_NEVER_IPV4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carriers' NAT; Alibaba Cloud's metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's wire server: public by its number, the host by its place
        "169.254.0.0/16",  # link-local; the metadata of most clouds
        "172.16.0.0/12",  # private; containers
        "192.0.0.0/24",  # IETF protocols, Oracle Cloud's metadata
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_INTERNET_IPV6 = IPv6Network("2000::/3")
_NEVER_IPV6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocols: Teredo, benchmarks, ORCHID, AMT, AS112
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
# A site gets at most so much (RFC 6177), so what is in it may stand behind the same router as this machine.
_SITE_BITS = 48
# An interface that claims more than this does not tell us what is near.
_LEAST_PREFIX_BITS = 8
_PRIVATE_MAX = 32


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is around this machine, and what its owner says of addresses.

    Attributes:
        near: networks that this machine's own interfaces are in: its neighbours may have public addresses.
        denied: networks that the owner denies.
        pinned: hosts whose addresses are the owner's word: they may be anywhere. Dangerous.
    """

    near: tuple[IpNetwork, ...] = ()
    denied: tuple[IpNetwork, ...] = ()
    pinned: Mapping[tuple[str, int], IpAddress] = field(default_factory=dict)

    def admits(self, address: IpAddress) -> bool:
        """Whether a connection may go there."""
        return is_public(address) and not any(
            address in network for network in (*self.near, *self.denied)
        )

    def admitted(self, found: Iterable[str]) -> list[IpAddress]:
        """Those that a connection may go to, of the addresses that were found for a name."""
        addresses = [ip_address(text) for text in dict.fromkeys(found)]
        return [address for address in addresses if self.admits(address)]


def is_public(address: IpAddress) -> bool:
    """Whether this is an address of the public internet, and nothing else in its clothes."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NEVER_IPV4)
    # With a zone ("%eth0") it is no address of the internet.
    return (
        address.scope_id is None
        and address in _INTERNET_IPV6
        and not any(address in network for network in _NEVER_IPV6)
    )


def near(interfaces: Iterable[IpInterface]) -> tuple[IpNetwork, ...]:
    """The networks around this machine.

    Args:
        interfaces: its own addresses with the lengths of their prefixes.
    """
    return tuple(sorted({_around(interface) for interface in interfaces}, key=str))


def _around(interface: IpInterface) -> IpNetwork:
    network: IpNetwork = interface.network
    if isinstance(network, IPv6Network) and network.subnet_of(_INTERNET_IPV6):
        return network.supernet(new_prefix=min(network.prefixlen, _SITE_BITS))
    return network if network.prefixlen >= _LEAST_PREFIX_BITS else ip_network(interface.ip)


def read_networks(texts: Iterable[str]) -> tuple[IpNetwork, ...]:
    """An owner's networks, or single addresses.

    Raises:
        InvalidValue: one is neither.
    """
    try:
        return tuple(ip_network(text, strict=False) for text in texts)
    except ValueError as error:
        raise InvalidValue(
            f"{error}; write a network as 203.0.113.0/24 or 2001:db8::/32"
        ) from error


def read_pinned(texts: Iterable[str]) -> dict[tuple[str, int], IpAddress]:
    """An owner's hosts with their addresses: ``name:port=address``.

    Raises:
        InvalidValue: one is something else.
    """
    found: dict[tuple[str, int], IpAddress] = {}
    for text in texts:
        host, equals, where = text.partition("=")
        if not equals or "*" in host or host.count(":") != 1:
            raise InvalidValue(
                f"{text[:80]!r}: write a host with its address: models.lan:8080=192.168.1.5"
            )
        rule = HostRule.read(host)
        try:
            found[rule.name, rule.ports[0]] = ip_address(where)
        except ValueError as error:
            raise InvalidValue(f"{text[:80]!r}: {error}") from error
    if len(found) > _PRIVATE_MAX:
        raise InvalidValue(f"at most {_PRIVATE_MAX} hosts")
    return found
