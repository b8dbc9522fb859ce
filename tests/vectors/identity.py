"""Who is who: keys and the addresses that are read off them, and what a node announces of itself."""

from neurogrid_marketplace import base58
from neurogrid_marketplace.advert import (
    ADVERT_LIFETIME_MAX_MS,
    check_advert,
    make_advert,
    meeting_place,
    parse_advert,
    provider_key,
    signed_bytes,
)
from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.errors import RemoteError
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.wire import encode_frame

from .lease_story import GENESIS_HASH, MARKET, NETWORK
from .parties import COORDINATOR, PARTIES, WINNER


def keys() -> Json:
    texts = (b"", b"\0", b"\0\0\1", b"hello world", bytes(range(32)), b"\xff" * 64)
    return {
        "parties": [
            {
                "name": who.name,
                "seed_hex": who.seed.hex(),
                "public_key_hex": who.public_key.hex(),
                "peer_id": who.peer_id,
                "address": who.address,
            }
            for who in PARTIES
        ],
        "base58": [{"hex": data.hex(), "text": base58.encode(data)} for data in texts],
        "network": {
            "genesis_hash": GENESIS_HASH,
            "program_id": str(MARKET.program_id),
            "network": NETWORK,
        },
    }


def adverts() -> Json:
    """One good advert, and what a stranger may make of it."""
    now_ms = 1_800_000_000_000
    home, other = (
        f"/ip4/192.0.2.{number}/tcp/4001/p2p/{who.peer_id}"
        for number, who in ((7, COORDINATOR), (8, WINNER))
    )
    advert = make_advert(
        COORDINATOR.sign,
        network=NETWORK,
        coordinator=COORDINATOR.peer_id,
        addresses=(home, f"/dns/coordinator.example.org/tcp/4001/p2p/{COORDINATOR.peer_id}"),
        now_ms=now_ms,
    )
    good = plain(advert)
    long = now_ms + ADVERT_LIFETIME_MAX_MS + 1
    refused: list[tuple[str, dict[str, Json], int]] = [
        ("another address", {"addresses": [home]}, now_ms),
        ("an address of somebody else", {"addresses": [home, other]}, now_ms),
        ("somebody else's name", {"coordinator": WINNER.peer_id}, now_ms),
        ("another network", {"network": "ng-0000000000000000"}, now_ms),
        ("a later end", {"expires_at_ms": advert.expires_at_ms + 1}, now_ms),
        ("a lifetime of more than seven days", {"expires_at_ms": long}, now_ms),
        ("no addresses", {"addresses": []}, now_ms),
        ("nine addresses", {"addresses": [home] * 9}, now_ms),
        ("another version", {"version": 2}, now_ms),
        ("a field more", {"later": 1}, now_ms),
        ("over", {}, advert.expires_at_ms),
        ("not yet issued", {}, now_ms - 120_001),
    ]
    for why, changes, at_ms in refused:
        try:
            check_advert(parse_advert({**good, **changes}), NETWORK, at_ms)
        except RemoteError:
            continue
        raise AssertionError(f"taken in spite of {why}")
    return {
        "network": NETWORK,
        "meeting_place": meeting_place(NETWORK),
        "provider_key_hex": provider_key(NETWORK).hex(),
        "now_ms": now_ms,
        "advert": good,
        "signed_text": signed_bytes(advert).decode(),
        "frame_hex": encode_frame({"adverts": [good]}).hex(),
        "refused": [
            {"why": why, "advert": {**good, **changes}, "now_ms": at_ms}
            for why, changes, at_ms in refused
        ],
    }
