"""Addresses of peers, as libp2p writes them: ``/ip4/192.0.2.7/tcp/4001/p2p/12D3Koo...``.

Only what we speak is understood: TCP over IPv4, IPv6 or a DNS name. Source: multiformats/multiaddr.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.identity import public_key_of

from .errors import AddressInvalid

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.?", re.ASCII)
# Longest name that DNS knows, and some room for the rest.
_MAX_ADDRESS_CHARS = 512


@dataclass(frozen=True, slots=True)
class Address:
    """Where a peer listens.

    Attributes:
        kind: "ip4", "ip6", "dns", "dns4" or "dns6".
        host: an IP address or a name.
        port: TCP; 0 means "any free one" where we listen.
        peer_id: who is expected there, or None.
    """

    kind: str
    host: str
    port: int
    peer_id: str | None

    def __str__(self) -> str:
        suffix = f"/p2p/{self.peer_id}" if self.peer_id else ""
        return f"/{self.kind}/{self.host}/tcp/{self.port}{suffix}"


def parse_address(text: str) -> Address:
    """Read an address.

    Raises:
        AddressInvalid: not of the form ``/ip4/.../tcp/...`` with an optional ``/p2p/...``.
    """
    parts = text.split("/")
    if len(text) > _MAX_ADDRESS_CHARS or len(parts) not in (5, 7) or parts[0] or parts[3] != "tcp":
        raise AddressInvalid(f"{text[:80]!r} is not an address like /ip4/192.0.2.7/tcp/4001")
    kind, host, port = parts[1], parts[2], parts[4]
    if not _is_host(kind, host):
        raise AddressInvalid(f"{host[:80]!r} in {text[:80]!r} is no {kind} address")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise AddressInvalid(f"{port[:20]!r} in {text[:80]!r} is no TCP port")
    peer_id = None
    if len(parts) == 7:
        peer_id = parts[6]
        try:
            if parts[5] != "p2p":
                raise InvalidValue("expected /p2p/")
            public_key_of(peer_id)
        except InvalidValue as error:
            raise AddressInvalid(f"{text[:80]!r} names no peer: {error}") from error
    return Address(kind, host, int(port), peer_id)


def _is_host(kind: str, host: str) -> bool:
    if kind in ("dns", "dns4", "dns6"):
        return len(host) <= 253 and _HOST_NAME.fullmatch(host) is not None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return kind == f"ip{address.version}"


def reachable_hosts(host: str) -> tuple[str, ...]:
    """The addresses under which a socket bound to ``host`` is reached from this machine and its
    network: ``host`` itself, or, for "every interface", loopback and the address of the default
    route."""
    if host not in ("0.0.0.0", "::"):
        return (host,)
    family, loopback, elsewhere = (
        (socket.AF_INET, "127.0.0.1", "192.0.2.1")
        if host == "0.0.0.0"
        else (socket.AF_INET6, "::1", "2001:db8::1")
    )
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a UDP socket sends nothing; it only picks the route (to a documentation
            # address, RFC 5737 and 3849).
            probe.connect((elsewhere, 9))
        except OSError:
            return (loopback,)
        outward: str = probe.getsockname()[0]
    return (loopback, outward) if outward != loopback else (loopback,)
