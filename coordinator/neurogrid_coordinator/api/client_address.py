"""Whose request it is that a reverse proxy passes on. Pure.

A proxy that the operator trusts adds the address that it was asked from to `X-Forwarded-For` or `Forwarded`
(RFC 7239). What anybody else writes there is their own word for who they are, and is not looked at; nor is the
one of the two headers that the proxies do not write, since they pass it on as it came.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
ProxyHeader = Literal["x-forwarded-for", "forwarded"]

# Longer lists are nobody's: a request passes a handful of proxies.
_HOPS_MAX = 32
_SCHEMES = frozenset({"http", "https"})
# Whoever has one IPv6 address has all of its /64.
_IPV6_PREFIX = 64


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from; ``scheme``: by which it reached the outermost trusted proxy, "" if unknown."""

    address: str
    scheme: str = ""


@dataclass(frozen=True, slots=True)
class Proxies:
    """Who may say whose request it is: networks of trusted proxies, and the header that they write."""

    networks: Sequence[IpNetwork] = ()
    header: ProxyHeader = "x-forwarded-for"


NO_PROXIES = Proxies()


def origin_of(peer: str, headers: Iterable[tuple[bytes, bytes]], proxies: Proxies) -> Origin:
    """The first address, seen from us, that no trusted proxy has.

    Args:
        peer: the other end of the connection.
        headers: names in lower case.
    """
    trusted = proxies.networks
    if not is_within(peer, trusted):
        return Origin(peer)
    hops, scheme = (_forwarded if proxies.header == "forwarded" else _x_forwarded)(headers)
    address = peer
    for hop in reversed(hops[-_HOPS_MAX:]):
        if _parsed(hop) is None:
            # Not an address: whoever wrote it hides who asked, and stands for them.
            break
        address = hop
        if not is_within(hop, trusted):
            break
    return Origin(address, scheme)


@lru_cache(maxsize=4096)
def group_of(address: str) -> str:
    """What is counted as one client: an IPv4 address, or the /64 of an IPv6 address."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((parsed, _IPV6_PREFIX), strict=False))
    return address


def _forwarded(headers: Iterable[tuple[bytes, bytes]]) -> tuple[list[str], str]:
    """Addresses, the nearest proxy's word last, and the scheme that it was asked by."""
    elements = [
        _pairs(element)
        for name, value in headers
        if name == b"forwarded"
        for element in value.decode("latin-1").split(",")
    ]
    scheme = elements[-1].get("proto", "").lower() if elements else ""
    hops = [_without_port(pairs["for"]) for pairs in elements if "for" in pairs]
    return hops, scheme if scheme in _SCHEMES else ""


def _x_forwarded(headers: Iterable[tuple[bytes, bytes]]) -> tuple[list[str], str]:
    """As `_forwarded`, from the headers that came before it."""
    hops: list[str] = []
    scheme = ""
    for name, value in headers:
        text = value.decode("latin-1")
        if name == b"x-forwarded-for":
            hops += [_without_port(part.strip()) for part in text.split(",")]
        elif name == b"x-forwarded-proto":
            scheme = text.rpartition(",")[2].strip().lower()
    return hops, scheme if scheme in _SCHEMES else ""


def _pairs(element: str) -> dict[str, str]:
    """``for=192.0.2.60;proto=http`` as a dict, names in lower case, quotes taken off."""
    split = (pair.partition("=") for pair in element.split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in split}


def _without_port(text: str) -> str:
    """``192.0.2.1:4711`` and ``[2001:db8::1]:4711`` without the port."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


@lru_cache(maxsize=4096)
def _parsed(text: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def is_within(text: str, networks: Iterable[IpNetwork]) -> bool:
    """Whether it is an address of one of these networks."""
    address = _parsed(text)
    return address is not None and any(address in network for network in networks)
