"""Peers as strangers name them: what is dialled, and what a signed record proves."""

import pytest

from neurogrid_marketplace import base58
from neurogrid_p2p._libp2p import envelope_pb2
from neurogrid_p2p.address import parse_address
from neurogrid_p2p.connection import Keys
from neurogrid_p2p.discovery.peers import Peer, Scope, open_record, peer_at, peer_of, seal_record
from neurogrid_p2p.errors import AddressInvalid, HandshakeFailed
from neurogrid_p2p.protobuf import Fields, message
from p2p.peers import Person

INTERNET, LAN, ALL = Scope(), Scope(on_lan=True), Scope(private=True)
SOMEBODY, OTHER = Person(), Person()


def raw(text: str) -> bytes:
    return parse_address(text).to_bytes()


@pytest.mark.parametrize(
    ("address", "internet", "lan"),
    [
        ("/ip4/9.9.9.9/tcp/1", True, True),
        ("/ip4/192.168.1.7/tcp/1", False, True),
        ("/ip4/10.0.0.7/tcp/1", False, True),
        ("/ip4/169.254.1.1/tcp/1", False, True),
        ("/ip4/127.0.0.1/tcp/1", False, False),
        ("/ip4/0.0.0.0/tcp/1", False, False),
        ("/ip4/224.0.0.251/tcp/1", False, False),
        ("/ip4/255.255.255.255/tcp/1", False, False),
        ("/ip6/fe80::1/tcp/1", False, True),
        ("/ip6/::1/tcp/1", False, False),
        ("/dns/printer.example/tcp/1", False, False),
    ],
)
def test_strangers_have_us_dial_the_internet_and_the_local_network_itself(
    address: str, internet: bool, lan: bool
) -> None:
    parsed = parse_address(address)
    assert INTERNET.takes(parsed) is internet
    assert LAN.takes(parsed) is lan
    assert ALL.takes(parsed)


def test_a_relayed_address_is_where_its_relay_is() -> None:
    hidden = f"/tcp/1/p2p/{OTHER.peer_id}/p2p-circuit/p2p/{SOMEBODY.peer_id}"
    assert INTERNET.takes(parse_address(f"/ip4/9.9.9.9{hidden}"))
    assert not INTERNET.takes(parse_address(f"/ip4/10.0.0.1{hidden}"))


def test_of_an_advert_what_may_be_dialled_is_used_and_the_rest_passed_over() -> None:
    end = f"/tcp/1/p2p/{SOMEBODY.peer_id}"
    texts = [f"/ip4/10.0.0.1{end}", f"/ip4/9.9.9.9{end}", f"/dns/a.example{end}", "/unix/x"]
    assert INTERNET.usable(texts) == (texts[1], texts[2])
    assert LAN.usable(texts) == (texts[0], texts[1], texts[2])


def test_a_peer_has_the_addresses_that_are_its_own_and_of_our_kind() -> None:
    peer = peer_of(
        base58.decode(SOMEBODY.peer_id),
        [
            raw("/ip4/9.9.9.9/tcp/1"),
            raw("/ip4/9.9.9.9/tcp/1"),
            raw(f"/ip4/9.9.9.8/tcp/1/p2p/{OTHER.peer_id}"),
            raw(f"/ip4/9.9.9.7/tcp/1/p2p/{SOMEBODY.peer_id}"),
            raw("/ip4/10.0.0.1/tcp/1"),
            b"nonsense",
        ],
        INTERNET,
    )
    assert peer is not None
    assert [address.host for address in peer.addresses] == ["9.9.9.9", "9.9.9.7"]
    assert {address.peer_id for address in peer.addresses} == {SOMEBODY.peer_id}
    assert peer_of(base58.decode(SOMEBODY.peer_id), [raw("/ip4/10.0.0.1/tcp/1")], INTERNET) is None
    assert peer_of(b"\x12\x20" + bytes(32), [raw("/ip4/9.9.9.9/tcp/1")], INTERNET) is None


def test_more_addresses_than_a_few_are_not_looked_at() -> None:
    many = [raw(f"/ip4/9.9.9.{number}/tcp/1") for number in range(100)]
    peer = peer_of(base58.decode(SOMEBODY.peer_id), many, INTERNET)
    assert peer is not None
    assert len(peer.addresses) == 8


@pytest.mark.parametrize(
    "text", ["/ip4/9.9.9.9/tcp/1", "example.org", "/ip4/9.9.9.9/udp/1/quic/p2p/x"]
)
def test_what_a_person_names_says_who_is_there(text: str) -> None:
    with pytest.raises(AddressInvalid):
        peer_at(text)


def record(person: Person, of: Person) -> bytes:
    address = parse_address(f"/ip4/9.9.9.9/tcp/1/p2p/{of.peer_id}")
    return seal_record(Keys(person.seed).libp2p, Peer(of.peer_id, (address,)), 7)


def test_a_record_proves_where_its_signer_says_it_is() -> None:
    data = record(SOMEBODY, SOMEBODY)
    peer = open_record(data, INTERNET)
    assert peer is not None
    assert [str(each) for each in peer.addresses] == [f"/ip4/9.9.9.9/tcp/1/p2p/{SOMEBODY.peer_id}"]
    assert open_record(data, Scope()) == peer
    # As libp2p's own class reads it.
    theirs = envelope_pb2.Envelope.FromString(data)
    assert theirs.public_key.Data == base58.decode(SOMEBODY.peer_id)[-32:]
    assert theirs.payload_type == b"\x03\x01"


def test_a_record_of_somebody_else_or_changed_is_none() -> None:
    with pytest.raises(HandshakeFailed, match="not a peer's signed record"):
        open_record(record(OTHER, SOMEBODY), INTERNET)
    data = record(SOMEBODY, SOMEBODY)
    changed = data.replace(
        parse_address("/ip4/9.9.9.9/tcp/1").to_bytes(), raw("/ip4/9.9.9.8/tcp/1")
    )
    assert changed != data
    with pytest.raises(HandshakeFailed, match="not a peer's signed record"):
        open_record(changed, INTERNET)
    with pytest.raises(HandshakeFailed):
        open_record(b"", INTERNET)
    fields = Fields(data)
    other = message(
        (1, fields.piece(1)), (2, b"\x03\x02"), (3, fields.piece(3)), (5, fields.piece(5))
    )
    with pytest.raises(HandshakeFailed, match="something else"):
        open_record(other, INTERNET)
