"""Which machine a lease's files are fetched from and put to.

The address comes from the coordinator, and the node stands inside its owner's network: an address
on a private network is only used when it is the coordinator's own machine, as configured, or one
that the owner listed (``file_hosts``). The name is looked up once and the connection goes to exactly
the address that was checked, so that a name which changes its mind leads nowhere else.
"""

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
import trio

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class HostRefused(Exception):
    """Files are not exchanged with this address; the message says why."""


@dataclass(frozen=True, slots=True)
class ArtifactHost:
    """Where files are.

    Attributes:
        url: without a slash at the end; its host is the checked IP address.
        name: the host as it was named, with its port: for the Host header.
        server_name: the host alone, which a certificate must be for.
    """

    url: str
    name: str
    server_name: str


async def find_host(url: str, own_hosts: Sequence[str]) -> ArtifactHost:
    """Look up the host of ``url``.

    Args:
        own_hosts: names or addresses that may be on private networks.

    Raises:
        HostRefused: it may not be used.
        OSError: a name is not found, for the moment.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise HostRefused(f"{url[:200]!r} is no address: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise HostRefused(f"{url[:200]!r} is no http address")
    # With these, what we append would not be the path.
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise HostRefused(f"{url[:200]!r} has more than a host and a path")
    own: set[IpAddress] | None = None
    for address in await _addresses(parsed.host):
        if not (address.is_global and not address.is_multicast):
            if own is None:
                own = {found for host in own_hosts for found in await _addresses(host)}
            if address not in own:
                continue
        pinned = parsed.copy_with(host=str(address))
        return ArtifactHost(str(pinned).rstrip("/"), parsed.netloc.decode(), parsed.host)
    raise HostRefused(
        f"{parsed.host} is on a private network and not its coordinator's host: list it under "
        "file_hosts in node.toml if it is to be trusted"
    )


async def _addresses(host: str) -> list[IpAddress]:
    found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = []
    for *_, sockaddr in found:
        address = ipaddress.ip_address(str(sockaddr[0]).partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        addresses.append(mapped or address)
    return addresses
