import pytest
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # it has no types

from neurogrid_p2p.address import Address, parse_address, reachable_hosts, through_relay
from neurogrid_p2p.errors import AddressInvalid
from p2p.peers import Person

PEER = Person().peer_id


@pytest.mark.parametrize(
    "text",
    [
        "/ip4/192.0.2.7/tcp/4001",
        "/ip6/2001:db8::1/tcp/0",
        "/dns/market.example.org/tcp/65535",
        "/dns4/a.b/tcp/1",
        f"/ip4/127.0.0.1/tcp/4001/p2p/{Person().peer_id}",
        f"/dns/relay.org/tcp/4001/p2p/{Person().peer_id}/p2p-circuit/p2p/{Person().peer_id}",
    ],
)
def test_an_address_reads_back_as_it_was_written(text: str) -> None:
    assert str(parse_address(text)) == text


def test_an_address_names_host_port_and_peer() -> None:
    peer_id = Person().peer_id
    assert parse_address(f"/dns6/x.org/tcp/80/p2p/{peer_id}") == Address(
        "dns6", "x.org", 80, peer_id
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "192.0.2.7:4001",
        "/ip4/192.0.2.7/udp/4001",
        "/ip4/192.0.2.256/tcp/4001",
        "/ip4/::1/tcp/4001",
        "/ip6/127.0.0.1/tcp/4001",
        "/ip4/192.0.2.7/tcp/65536",
        "/ip4/192.0.2.7/tcp/-1",
        "/ip4/192.0.2.7/tcp/٤",
        "/ip4/192.0.2.7/tcp/4001/p2p/12D3KooWnobody",
        "/ip4/192.0.2.7/tcp/4001/p2p-circuit/x",
        f"/ip4/192.0.2.7/tcp/4001/p2p/{PEER}/p2p-circuit",
        f"/ip4/192.0.2.7/tcp/4001/p2p/{PEER}/p2p-circuit/p2p/12D3KooWnobody",
        f"/ip4/192.0.2.7/tcp/4001/p2p/{PEER}/p2p-circus/p2p/{PEER}",
        "/dns/-x.org/tcp/80",
        "/dns/x.org/tcp/80/",
        "/dns/" + "a." * 300 + "/tcp/80",
        "/unix/tmp/tcp/1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressInvalid):
        parse_address(text)


def test_every_interface_is_reached_on_loopback_first_and_nothing_is_listed_twice() -> None:
    assert reachable_hosts("192.0.2.7") == ("192.0.2.7",)
    for wildcard, loopback in (("0.0.0.0", "127.0.0.1"), ("::", "::1")):
        hosts = reachable_hosts(wildcard)
        assert hosts[0] == loopback
        assert wildcard not in hosts
        assert len(set(hosts)) == len(hosts)


def test_a_relayed_address_names_the_relay_and_who_is_behind_it() -> None:
    there = f"/ip4/192.0.2.7/tcp/4001/p2p/{PEER}"
    behind = Person().peer_id
    address = parse_address(through_relay(there, behind))
    assert (address.peer_id, address.relay_id) == (behind, PEER)
    assert str(address.relay) == there
    for relay in ("/ip4/192.0.2.7/tcp/4001", str(address)):
        with pytest.raises(AddressInvalid, match="not a relay's address"):
            through_relay(relay, behind)


@pytest.mark.parametrize(
    "text",
    [
        f"/ip4/192.0.2.7/tcp/4001/p2p/{PEER}",
        "/ip6/2001:db8::1/tcp/1",
        "/dns/a.example/tcp/65535",
        "/dns4/a.example/tcp/1",
        "/dns6/a.example/tcp/1",
    ],
)
def test_an_address_travels_as_multiaddr_writes_it(text: str) -> None:
    assert parse_address(text).to_bytes() == Multiaddr(text).to_bytes()
