"""An advert: a coordinator's signed word on where it is reached, which anybody may keep and pass on.

Whoever looks for coordinators hears of them from strangers: rendezvous points, nodes of a DHT, machines on
the same network. None of them has to be trusted, because the word is the coordinator's own; the worst they
can do is to keep it to themselves, or to pass on an old one until it ends.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

from msgspec import Meta

from .canonical import canonical_bytes
from .envelope import CLOCK_TOLERANCE_MS
from .errors import BadSignature, InvalidValue, MalformedMessage, ReplayedMessage
from .fields import Millis, PeerId, SignatureHex, Word, decode, plain
from .identity import check_signature, public_key_of

# On whose streams whoever carries adverts hands them out.
ADVERTS_PROTOCOL_ID = "/neurogrid/adverts/1"
# Adverts that are handed out at once.
ADVERTS_MAX = 16
ADVERT_LIFETIME_MS = 24 * 3600 * 1000
# One that promises more is refused: addresses do not stay for ever.
ADVERT_LIFETIME_MAX_MS = 7 * 24 * 3600 * 1000
_VERSION = 1
_DOMAIN = b"neurogrid:advert:v1\0"

PeerAddress = Annotated[str, Meta(pattern=r"^/[!-~]{1,511}\Z")]


@dataclass(frozen=True, slots=True)
class Advert:
    """Where a coordinator is reached.

    Attributes:
        version: of this table.
        network: the market's tag (`envelope.network_id`).
        coordinator: whose advert it is, and who has signed it.
        addresses: at which it serves nodes; each ends in ``/p2p/`` and its id.
        issued_at_ms, expires_at_ms: its own clock, Unix milliseconds.
        signature: Ed25519 by the coordinator's key.
    """

    version: Annotated[int, Meta(ge=1, le=65_535)]
    network: Word
    coordinator: PeerId
    addresses: Annotated[tuple[PeerAddress, ...], Meta(min_length=1, max_length=8)]
    issued_at_ms: Millis
    expires_at_ms: Millis
    signature: SignatureHex


def make_advert(
    sign: Callable[[bytes], bytes],
    *,
    network: str,
    coordinator: str,
    addresses: tuple[str, ...],
    now_ms: int,
    lifetime_ms: int = ADVERT_LIFETIME_MS,
) -> Advert:
    """Make and sign an advert.

    Raises:
        InvalidValue: its readers would refuse it.
    """
    unsigned = Advert(
        _VERSION, network, coordinator, addresses, now_ms, now_ms + lifetime_ms, "0" * 128
    )
    advert = replace(unsigned, signature=sign(signed_bytes(unsigned)).hex())
    try:
        check_advert(parse_advert(plain(advert)), network, now_ms)
    except (MalformedMessage, BadSignature, ReplayedMessage) as error:
        raise InvalidValue(f"an advert that nobody takes: {error}") from error
    return advert


def parse_advert(value: object) -> Advert:
    """Read an advert from decoded msgpack or JSON; checks shapes, not the signature.

    Raises:
        MalformedMessage: it is none, or of another version.
    """
    if not isinstance(value, dict) or set(value) != set(Advert.__dataclass_fields__):
        raise MalformedMessage("an advert has exactly the fields of its table")
    advert = decode(Advert, value)
    if advert.version != _VERSION:
        raise MalformedMessage(f"an advert of version {advert.version}, this side reads {_VERSION}")
    return advert


def check_advert(advert: Advert, network: str, now_ms: int) -> None:
    """Check that an advert is its coordinator's, for this network and for now.

    Raises:
        MalformedMessage: addresses of somebody else, or a lifetime that nobody may promise.
        BadSignature: forged, changed, or for another network.
        ReplayedMessage: over, or not yet begun.
    """
    if advert.network != network:
        raise BadSignature(f"made for network {advert.network}, not {network}")
    if not all(text.endswith(f"/p2p/{advert.coordinator}") for text in advert.addresses):
        raise MalformedMessage("an address of another peer")
    if not 0 < advert.expires_at_ms - advert.issued_at_ms <= ADVERT_LIFETIME_MAX_MS:
        raise MalformedMessage(
            f"a lifetime of {(advert.expires_at_ms - advert.issued_at_ms) // 1000} s"
        )
    if advert.issued_at_ms > now_ms + CLOCK_TOLERANCE_MS:
        raise ReplayedMessage(
            f"issued {(advert.issued_at_ms - now_ms) // 1000} s from now; set both clocks"
        )
    if advert.expires_at_ms <= now_ms:
        raise ReplayedMessage(f"over since {(now_ms - advert.expires_at_ms) // 1000} s")
    try:
        public_key = public_key_of(advert.coordinator)
    except InvalidValue as error:
        raise MalformedMessage(str(error)) from error
    check_signature(public_key, signed_bytes(advert), bytes.fromhex(advert.signature))


def meeting_place(network: str) -> str:
    """The name under which a network's coordinators are looked for: a rendezvous point's namespace."""
    return f"neurogrid:coordinators:{network}"


def provider_key(network: str) -> bytes:
    """The same as a DHT's key: a multihash, SHA-256 of the name. Source: multiformats/multihash."""
    return b"\x12\x20" + hashlib.sha256(meeting_place(network).encode()).digest()


def signed_bytes(advert: Advert) -> bytes:
    """What an advert's signature covers."""
    fields = plain(advert)
    del fields["signature"]
    return _DOMAIN + canonical_bytes(fields)
