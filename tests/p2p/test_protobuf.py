"""Protobuf by hand, and addresses in bytes: as libp2p's own classes write them, and nothing worse than an error."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_p2p._libp2p import circuit_pb2
from neurogrid_p2p.address import address_from_bytes, is_loopback, is_public, parse_address
from neurogrid_p2p.errors import AddressInvalid, HandshakeFailed
from neurogrid_p2p.protobuf import Fields, message
from p2p.peers import Person

PEER = Person().peer_id


def test_what_we_write_libp2p_reads_and_the_other_way_round() -> None:
    theirs = circuit_pb2.HopMessage(
        type=circuit_pb2.HopMessage.CONNECT,
        peer=circuit_pb2.PeerId(id=b"me", addrs=[b"one", b"two"]),
        limit=circuit_pb2.Limit(duration=300, data=2**40),
    )
    ours = message(
        (1, 1),
        (2, message((1, b"me"), (2, [b"one", b"two"]))),
        (4, message((1, 300), (2, 2**40))),
    )
    assert circuit_pb2.HopMessage.FromString(ours) == theirs
    fields = Fields(theirs.SerializeToString())
    assert fields.number(1) == 1
    assert Fields(fields.piece(2)).pieces(2) == (b"one", b"two")
    assert Fields(fields.piece(4)).number(2) == 2**40
    assert (fields.number(9), fields.piece(9), fields.pieces(9), fields.text(9)) == (0, b"", (), "")


def test_fields_of_fixed_size_are_passed_over() -> None:
    data = b"\x09" + bytes(8) + b"\x15" + bytes(4) + message((3, 7))
    assert Fields(data).number(3) == 7


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x0a\x05abc", "ends within a field"),
        (b"\x0a", "ends within a number"),
        (b"\x08" + b"\xff" * 10, "more than ten bytes"),
        (b"\x0b", "of kind 3"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "ends within a field"),
        (message(*[(1, 1)] * 1025), "more than 1024 fields"),
    ],
)
def test_what_is_no_message_says_why(data: bytes, says: str) -> None:
    with pytest.raises(HandshakeFailed, match=says):
        Fields(data)


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_a_clear_error(data: bytes) -> None:
    with contextlib.suppress(HandshakeFailed):
        Fields(data)
    try:
        address = address_from_bytes(data)
    except AddressInvalid:
        return
    assert address_from_bytes(address.to_bytes()) == address


@pytest.mark.parametrize(
    "text",
    [
        "/ip4/192.0.2.7/tcp/4001",
        f"/ip4/192.0.2.7/tcp/4001/p2p/{PEER}",
        f"/ip6/2001:db8::7/tcp/1/p2p/{PEER}",
        "/dns4/example.org/tcp/65535",
        "/dns/example.org/tcp/65535",
    ],
)
def test_addresses_travel_as_bytes(text: str) -> None:
    assert str(address_from_bytes(parse_address(text).to_bytes())) == text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes.fromhex("04c0000207"),  # no port
        bytes.fromhex("04c0000207 91020fa1".replace(" ", "")),  # UDP
        bytes.fromhex("04c0000207060fa1cc03"),  # QUIC on top
        bytes.fromhex("04c00002"),  # cut off
        bytes.fromhex("350361ff62060001"),  # a name that is none
        bytes.fromhex("06000104c0000207"),  # the wrong way round
        bytes.fromhex("04c0000207060001") * 4,
        bytes.fromhex("04c0000207060001a5030400240801"),  # half a peer id
    ],
)
def test_other_addresses_are_refused(data: bytes) -> None:
    with pytest.raises(AddressInvalid):
        address_from_bytes(data)


@pytest.mark.parametrize(
    ("host", "public", "loopback"),
    [
        ("/ip4/9.9.9.9", True, False),
        ("/ip6/2620:fe::fe", True, False),
        ("/ip4/127.0.0.1", False, True),
        ("/ip6/::1", False, True),
        ("/ip4/10.0.0.1", False, False),
        ("/ip4/169.254.169.254", False, False),
        ("/ip4/100.64.0.1", False, False),
        ("/ip6/fd00::1", False, False),
        ("/ip6/::ffff:10.0.0.1", False, False),
        ("/dns/localhost", False, False),
    ],
)
def test_addresses_are_told_apart_by_who_can_reach_them(
    host: str, public: bool, loopback: bool
) -> None:
    address = parse_address(f"{host}/tcp/1")
    assert (is_public(address), is_loopback(address)) == (public, loopback)
