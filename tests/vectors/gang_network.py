"""The vectors of a gang's private network: who is where, who dials whom, greetings, and packets that pass or do not."""

import ipaddress
import struct
from dataclasses import replace

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.gang import GangMember, GangPlace, address_of
from neurogrid_marketplace.gang_packets import (
    HEADER_BYTES,
    MTU_BYTES,
    Drop,
    Filter,
    dials,
    greeting_of,
)

from .parties import party

# Two that are dialled only through the relay, and two that have addresses.
_MEMBERS = tuple(
    GangMember(
        party(f"member {rank}").peer_id,
        (f"/ip4/192.0.2.{rank}/tcp/4001",) if rank % 2 else (),
    )
    for rank in range(4)
)
_PLACE = GangPlace("task_" + "6" * 32, 2, 1, _MEMBERS)


def gang_network() -> Json:
    """One member's place, and what follows from it."""
    own = Filter(_PLACE)
    places = [replace(_PLACE, rank=rank) for rank in range(_PLACE.size)]
    return {
        "place": plain(_PLACE),
        "hosts": dict(_PLACE.hosts()),
        "environment": dict(_PLACE.environment(["RANK"])),
        "environment_given": ["RANK"],
        "greetings_hex": [greeting_of(place).hex() for place in places],
        # Row: who; column: whom.
        "dials": [
            [place.rank != rank and dials(place, rank) for rank in range(_PLACE.size)]
            for place in places
        ],
        "outgoing": [
            {"about": about, "frame_hex": frame.hex(), "to_rank": _rank(own.outgoing(frame))}
            for about, frame in _packets(_PLACE.rank, 3)
        ],
        "incoming_from_rank": 3,
        "incoming": [
            {"about": about, "frame_hex": frame.hex(), "passes": own.incoming(frame, 3) is None}
            for about, frame in _packets(3, _PLACE.rank)
        ],
    }


def _rank(found: int | Drop) -> int | None:
    return None if isinstance(found, Drop) else found


def _packets(source: int, destination: int) -> list[tuple[str, bytes]]:
    """Packets from one rank to another, good ones and others."""
    good = _packet(address_of(source), address_of(destination), b"hello")
    return [
        ("a packet", _frame(good)),
        ("with no content", _frame(_packet(address_of(source), address_of(destination), b""))),
        (
            "the largest",
            _frame(_packet(address_of(source), address_of(destination), bytes(MTU_BYTES - 20))),
        ),
        ("from nobody", _frame(_packet("10.77.0.200", address_of(destination), b""))),
        ("from another member", _frame(_packet(address_of(2), address_of(destination), b""))),
        ("to nobody", _frame(_packet(address_of(source), "10.77.0.200", b""))),
        ("to everybody", _frame(_packet(address_of(source), "10.77.0.255", b""))),
        ("to its sender", _frame(_packet(address_of(source), address_of(source), b""))),
        ("of another version", _frame(b"\x65" + good[1:])),
        ("shorter than it says", _frame(good[:-1])),
        ("longer than it says", _frame(good + b"!")),
        ("with a header beyond its end", _frame(b"\x4f" + good[1:])),
        ("shorter than a header", _frame(good[:19])),
        ("the last possible fragment", _frame(_fragment(good, 8_188))),
        ("a fragment that ends too late", _frame(_fragment(good, 8_189))),
    ]


def _packet(source: str, destination: str, content: bytes) -> bytes:
    """RFC 791: version 4, a header of five words, UDP; the checksum is not looked at."""
    return (
        struct.pack(
            ">BBHHHBBH4s4s",
            0x45,
            0,
            20 + len(content),
            0,
            0,
            64,
            17,
            0,
            ipaddress.IPv4Address(source).packed,
            ipaddress.IPv4Address(destination).packed,
        )
        + content
    )


def _fragment(packet: bytes, offset: int) -> bytes:
    """The same as a fragment at ``offset`` times eight bytes."""
    return packet[:6] + struct.pack(">H", offset) + packet[8:]


def _frame(packet: bytes) -> bytes:
    return len(packet).to_bytes(HEADER_BYTES) + packet
