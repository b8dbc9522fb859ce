"""Peers as libp2p's messages name them, and which of their addresses may be dialled."""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from neurogrid_marketplace import base58
from neurogrid_marketplace.errors import BadSignature, InvalidValue
from neurogrid_marketplace.identity import check_signature, public_key_of

from ..address import Address, address_from_bytes, is_loopback, is_public, parse_address
from ..errors import AddressInvalid, HandshakeFailed
from ..protobuf import Fields, message
from ..varint import prefixed

if TYPE_CHECKING:  # configurations are checked with what is here, and libp2p costs 30 MiB
    from .._libp2p import KeyPair
    from ..host import Host

# Addresses of one peer that are looked at; who sends more has chosen which.
ADDRESSES_MAX = 8
# What a peer record is signed as. Source: libp2p RFC 0003 "Peer Routing Records".
_RECORD_DOMAIN = b"libp2p-peer-record"
_RECORD_TYPE = b"\x03\x01"


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer, and where somebody says it is; nothing is proven before it is dialled.

    Attributes:
        addresses: each with the peer's id at its end.
    """

    peer_id: str
    addresses: tuple[Address, ...]

    @property
    def raw_id(self) -> bytes:
        """The id as messages carry it."""
        return base58.decode(self.peer_id)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which addresses that strangers name are dialled: by default those of the whole internet.

    A stranger's word must not make us knock at the doors of our own network.

    Attributes:
        private: addresses of private networks and this machine, and names, too.
        on_lan: addresses of private networks, because it was heard there.
    """

    private: bool = False
    on_lan: bool = False

    def takes(self, address: Address) -> bool:
        """Whether it may be dialled (of a relayed one: its relay)."""
        if self.private or is_public(address):
            return True
        if not self.on_lan or address.kind not in ("ip4", "ip6") or is_loopback(address):
            return False
        host = ipaddress.ip_address(address.host)
        return not (host.is_multicast or host.is_unspecified or host.is_reserved)

    def usable(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Of a coordinator's own advert, what may be dialled; here a name is as good as an address."""
        found = []
        for text in texts:
            try:
                address = parse_address(text)
            except AddressInvalid:
                continue
            if self.takes(address) or address.kind.startswith("dns"):
                found.append(text)
        return tuple(found)


def peer_of(raw_id: bytes, raw_addresses: Iterable[bytes], scope: Scope) -> Peer | None:
    """The peer that a message names; None where there is nothing that we could or would dial."""
    peer_id = base58.encode(raw_id[:64])
    try:
        public_key_of(peer_id)
    except InvalidValue:
        return None
    found = []
    for raw in list(raw_addresses)[:ADDRESSES_MAX]:
        try:
            address = address_from_bytes(raw)
        except AddressInvalid:
            continue
        if address.peer_id in (None, peer_id) and scope.takes(address):
            found.append(replace(address, peer_id=peer_id))
    return Peer(peer_id, tuple(dict.fromkeys(found))) if found else None


def peer_at(text: str) -> Peer:
    """The peer of an address that a person has written.

    Raises:
        AddressInvalid: it is not one of a peer that is reached directly.
    """
    address = parse_address(text)
    if address.peer_id is None or address.relay_id is not None:
        raise AddressInvalid(f"{text} does not end in /p2p/ and a peer id")
    return Peer(address.peer_id, (address,))


def at_host(host: str, port: int) -> str:
    """The address of a port of a machine that is known by an IP address or a name.

    Raises:
        AddressInvalid: ``host`` is neither.
    """
    for kind in ("ip4", "ip6", "dns"):
        text = f"/{kind}/{host}/tcp/{port}"
        try:
            parse_address(text)
        except AddressInvalid:
            continue
        return text
    raise AddressInvalid(f"{host!r} is no IP address and no name")


def reached_at(host: "Host", hosts: Sequence[str]) -> tuple[str, ...]:
    """Where others reach a host: as it listens, or on the same ports of the machines ``hosts``.

    Args:
        hosts: IP addresses or names.
    """
    if not hosts:
        return host.addresses
    ports = {parse_address(text).port for text in host.listen_addresses}
    return tuple(
        f"{at_host(name, port)}/p2p/{host.peer_id}" for name in hosts for port in sorted(ports)
    )


def seal_record(keys: "KeyPair", peer: Peer, sequence: int) -> bytes:
    """Our signed word on where we are: a libp2p signed envelope with a peer record."""
    payload = message(
        (1, peer.raw_id),
        (2, sequence),
        (3, [message((1, _without_id(address))) for address in peer.addresses]),
    )
    return message(
        (1, keys.public_key.serialize()),
        (2, _RECORD_TYPE),
        (3, payload),
        (5, keys.private_key.sign(_signed(payload))),
    )


def open_record(data: bytes, scope: Scope) -> Peer | None:
    """The peer whose signed record this is; None where there is nothing that we would dial.

    Raises:
        HandshakeFailed: no record, or not signed by the peer it is of.
    """
    envelope = Fields(data)
    payload = envelope.piece(3)
    record = Fields(payload)
    raw_id = record.piece(1)
    try:
        public_key = public_key_of(base58.encode(raw_id[:64]))
        if envelope.piece(2) != _RECORD_TYPE:
            raise HandshakeFailed("a signed envelope with something else than a peer record")
        check_signature(public_key, _signed(payload), envelope.piece(5))
    except (InvalidValue, BadSignature) as error:
        raise HandshakeFailed(f"not a peer's signed record: {error}") from error
    return peer_of(raw_id, (Fields(item).piece(1) for item in record.pieces(3)), scope)


def _signed(payload: bytes) -> bytes:
    return prefixed(_RECORD_DOMAIN) + prefixed(_RECORD_TYPE) + prefixed(payload)


def _without_id(address: Address) -> bytes:
    return replace(address, peer_id=None).to_bytes()
