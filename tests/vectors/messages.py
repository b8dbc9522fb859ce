"""What is signed and sent: canonical JSON, each message, and what an older peer makes of a newer one's."""

import hashlib
from collections.abc import Iterable

from neurogrid_marketplace.canonical import Json, canonical_bytes, sha256_hex
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.errors import MalformedMessage, UnknownMessage
from neurogrid_marketplace.messages import (
    Accept,
    Award,
    Event,
    Meter,
    VoucherMessage,
    parse_body,
)
from neurogrid_marketplace.wire import encode_frame

from .lease_story import LEASE_ID, Stream, tell
from .use_story import tell_use


def canonical() -> Json:
    values: tuple[Json, ...] = (
        {},
        {"b": 1, "a": [True, False, None], "B": -7, "_": 2**53 - 1, "a_": {}},
        'quote " backslash \\ slash / tab \t newline \n return \r bell \x07 escape \x1b delete \x7f',
        "grüße, 世界 😀 \u2028",
        [[], [[]], 0],
    )
    return {
        "accepted": [
            {
                "value": value,
                "text": canonical_bytes(value).decode(),
                "sha256": sha256_hex(value),
            }
            for value in values
        ],
        "refused": [
            {"json": "1.5", "why": "a fraction"},
            {"json": "1.0", "why": "written as a fraction"},
            {"json": '{"ü": 1}', "why": "a key that is not ASCII"},
            {"json": "[" * 18 + "]" * 18, "why": "nested deeper than 16"},
            {"json": '"\\ud800"', "why": "a lone surrogate"},
        ],
    }


def messages() -> Json:
    return _told(tell().streams)


def messages_of_use() -> Json:
    return _told(tell_use().streams)


def _told(streams: Iterable[Stream]) -> Json:
    return [
        {
            "protocol": stream.protocol,
            "sender": "coordinator" if envelope.sender != stream.node.peer_id else name,
            "recipient": name if envelope.sender != stream.node.peer_id else "coordinator",
            "envelope": envelope.to_dict(),
            "signed_text": _signed_text(envelope),
            "envelope_hash": envelope.hash(),
            "message_hash": _message_hash(envelope),
            # A map's order is free on the wire; this is one of many frames of this envelope.
            "frame_hex": encode_frame(dict(envelope.to_dict())).hex(),
        }
        for stream in streams
        for name in (stream.node.name,)
        for envelope in stream.said
    ]


def versions() -> Json:
    """What a peer of this version makes of what a later one says."""
    meter: dict[str, Json] = {"lease_id": LEASE_ID, "metered_ms": 1, "cumulative_micro_usdc": 2}
    cases: tuple[tuple[str, dict[str, Json]], ...] = (
        ("meter", meter),
        ("meter", meter | {"later": {"deep": [1]}}),
        ("meter", meter | {"later": 1, "critical": ["lease_id"]}),
        ("meter", meter | {"later": 1, "critical": ["later"]}),
        ("meter", meter | {"critical": "later"}),
        ("meter", meter | {"critical": ["metered_ms"] * 17}),
        ("rumour", {"lease_id": LEASE_ID}),
        ("rumour", {"lease_id": LEASE_ID, "critical": ["rumour"]}),
        ("rumour", {"lease_id": LEASE_ID, "critical": ["lease_id"]}),
    )
    return [{"type": kind, "body": body, "verdict": _verdict(kind, body)} for kind, body in cases]


def _verdict(kind: str, body: dict[str, Json]) -> str:
    try:
        parse_body(kind, body)
    except UnknownMessage:
        return "passed over"
    except MalformedMessage:
        return "refused"
    return "taken"


def _signed_text(envelope: Envelope) -> str:
    """As docs/protocol.md says it, written a second time on purpose."""
    fields = {key: value for key, value in envelope.to_dict().items() if key != "signature"}
    text = f"neurogrid:{envelope.type}:v{envelope.version}\0" + canonical_bytes(fields).decode()
    joined = text.encode() + bytes.fromhex(envelope.signature)
    assert hashlib.sha256(joined).hexdigest() == envelope.hash()
    return text


def _message_hash(envelope: Envelope) -> str | None:
    message = parse_body(envelope.type, envelope.body)
    if isinstance(message, Demand | Award | Accept | Event | Meter | VoucherMessage):
        return message.hash()
    return None
