"""Addresses of peers, as libp2p writes them: ``/ip4/192.0.2.7/tcp/4001/p2p/12D3Koo...``.

Only what we speak is understood: TCP over IPv4, IPv6 or a DNS name, to the peer itself or to a relay
that reaches it (``/ip4/.../tcp/.../p2p/RELAY/p2p-circuit/p2p/PEER``). Source: multiformats/multiaddr.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass, replace

from neurogrid_marketplace import base58
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.identity import public_key_of

from .errors import AddressInvalid, HandshakeFailed
from .varint import digits, prefixed, take

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.?", re.ASCII)
# The parts' numbers as varints. Source: multiformats/multicodec.
_CODES = {
    "ip4": b"\x04",
    "tcp": b"\x06",
    "ip6": b"\x29",
    "dns": b"\x35",
    "dns4": b"\x36",
    "dns6": b"\x37",
    "p2p": b"\xa5\x03",
}
# Longest name that DNS knows, and some room for the rest.
_MAX_ADDRESS_CHARS = 512


@dataclass(frozen=True, slots=True)
class Address:
    """Where a peer is reached.

    Attributes:
        kind: "ip4", "ip6", "dns", "dns4" or "dns6".
        host: an IP address or a name: of the peer, or of the relay that reaches it.
        port: TCP; 0 means "any free one" where we listen.
        peer_id: who is expected there, or None.
        relay_id: who relays, or None where the peer itself is there.
    """

    kind: str
    host: str
    port: int
    peer_id: str | None
    relay_id: str | None = None

    def __str__(self) -> str:
        relay = f"/p2p/{self.relay_id}/p2p-circuit" if self.relay_id else ""
        suffix = f"/p2p/{self.peer_id}" if self.peer_id else ""
        return f"/{self.kind}/{self.host}/tcp/{self.port}{relay}{suffix}"

    @property
    def relay(self) -> "Address":
        """The relay's own address, where there is one."""
        assert self.relay_id is not None, "asked of a relayed address"
        return replace(self, peer_id=self.relay_id, relay_id=None)

    def to_bytes(self) -> bytes:
        """As it travels in libp2p's own messages. Only of a peer that is reached without a relay."""
        assert self.relay_id is None, "no message of ours carries another"
        host = self.host.encode()
        if self.kind in ("ip4", "ip6"):
            host = ipaddress.ip_address(self.host).packed
        else:
            host = prefixed(host)
        data = _CODES[self.kind] + host + _CODES["tcp"] + self.port.to_bytes(2)
        if self.peer_id is not None:
            data += _CODES["p2p"] + prefixed(base58.decode(self.peer_id))
        return data


def parse_address(text: str) -> Address:
    """Read an address.

    Raises:
        AddressInvalid: not of the form ``/ip4/.../tcp/...`` with an optional ``/p2p/...``.
    """
    parts = text.split("/")
    if (
        len(text) > _MAX_ADDRESS_CHARS
        or len(parts) not in (5, 7, 10)
        or parts[0]
        or parts[3] != "tcp"
    ):
        raise AddressInvalid(f"{text[:80]!r} is not an address like /ip4/192.0.2.7/tcp/4001")
    kind, host, port = parts[1], parts[2], parts[4]
    if not _is_host(kind, host):
        raise AddressInvalid(f"{host[:80]!r} in {text[:80]!r} is no {kind} address")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise AddressInvalid(f"{port[:20]!r} in {text[:80]!r} is no TCP port")
    if len(parts) == 5:
        return Address(kind, host, int(port), None)
    first = _peer_id(parts[5:7], text)
    if len(parts) == 7:
        return Address(kind, host, int(port), first)
    if parts[7] != "p2p-circuit":
        raise AddressInvalid(f"{text[:80]!r} is not an address like /ip4/192.0.2.7/tcp/4001")
    return Address(kind, host, int(port), _peer_id(parts[8:], text), relay_id=first)


def address_from_bytes(data: bytes) -> Address:
    """Read an address as it travels in libp2p's own messages.

    Raises:
        AddressInvalid: not TCP over IP or a DNS name, or through a relay.
    """
    names = {code: name for name, code in _CODES.items()}
    parts: list[str] = []
    try:
        while data:
            code, after = take(data, 0)
            name, data = names.get(digits(code), ""), data[after:]
            if name in ("ip4", "ip6", "tcp"):
                length, after = {"ip4": 4, "ip6": 16, "tcp": 2}[name], 0
            else:
                length, after = take(data, 0)
            value, data = data[after : after + length], data[after + length :]
            if not name or len(value) < length or len(parts) > 4:
                raise AddressInvalid("an address of a kind that we do not dial")
            parts += [name, _value_text(name, value)]
    except (HandshakeFailed, UnicodeDecodeError) as error:
        raise AddressInvalid(f"no address: {error}") from error
    address = parse_address("/".join(["", *parts]))
    if address.relay_id is not None:
        raise AddressInvalid("an address through a relay")
    return address


def is_public(address: Address) -> bool:
    """Whether it is an IP address that the whole internet reaches; names are not looked up."""
    if address.kind not in ("ip4", "ip6"):
        return False
    host = ipaddress.ip_address(address.host)
    return host.is_global and not host.is_multicast


def is_loopback(address: Address) -> bool:
    """Whether it only ever means the machine that reads it."""
    return address.kind in ("ip4", "ip6") and ipaddress.ip_address(address.host).is_loopback


def through_relay(relay: str, peer_id: str) -> str:
    """The address at which a peer is reached that has a reservation at ``relay``.

    Raises:
        AddressInvalid: ``relay`` is not the address of a peer that is reached directly.
    """
    address = parse_address(relay)
    if address.peer_id is None or address.relay_id is not None:
        raise AddressInvalid(f"{relay} is not a relay's address like /ip4/192.0.2.7/tcp/4001/p2p/…")
    return str(replace(address, peer_id=peer_id, relay_id=address.peer_id))


def check_relays(relays: tuple[str, ...]) -> None:
    """Raise `AddressInvalid` unless each of ``relays`` is the address of one."""
    for relay in relays:
        parsed = parse_address(relay)
        through_relay(relay, str(parsed.peer_id))


def _peer_id(parts: list[str], text: str) -> str:
    name, peer_id = parts
    try:
        if name != "p2p":
            raise InvalidValue("expected /p2p/")
        public_key_of(peer_id)
    except InvalidValue as error:
        raise AddressInvalid(f"{text[:80]!r} names no peer: {error}") from error
    return peer_id


def _value_text(name: str, value: bytes) -> str:
    if name in ("ip4", "ip6"):
        return str(ipaddress.ip_address(value))
    if name == "tcp":
        return str(int.from_bytes(value))
    return base58.encode(value[:64]) if name == "p2p" else value.decode("ascii")


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
