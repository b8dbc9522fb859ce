"""No address that a job's connection may go to is anything but the public internet's."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.addresses import (
    Surroundings,
    is_public,
    near,
    read_networks,
    read_pinned,
)
from neurogrid_marketplace.errors import InvalidValue

embedded = st.ip_addresses(v=4).filter(lambda address: not is_public(address))


@pytest.mark.parametrize(
    "text",
    [
        *("8.8.8.8", "1.1.1.1", "151.101.0.223", "192.0.1.1", "172.32.0.1", "100.128.0.1"),
        *("2606:4700:4700::1111", "2a04:4e42::223", "2001:4860:4860::8888"),
    ],
)
def test_the_public_internet_is_let_through(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1"),
        *("127.1.2.3", "169.254.169.254", "169.254.170.2", "168.63.129.16", "172.16.0.1"),
        *("172.17.0.1", "172.31.255.255", "192.0.0.192", "192.168.1.1", "198.18.0.1"),
        *("224.0.0.251", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.88.99.1"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "2606:4700::1%eth0", "fec0::1", "ff02::fb"),
        *("fc00::1", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "2002:7f00:1::", "2001::1"),
        *("2001:db8::1", "3fff::1", "100::1", "5f00::1"),
    ],
)
def test_whatever_is_private_or_leads_there_is_not(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@given(st.ip_addresses())
def test_what_is_let_through_is_global_by_the_standard_librarys_word_too(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@given(embedded)
def test_no_ipv4_address_gets_through_in_ipv6_clothes(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for prefix, shift in (
        ("::ffff:0:0", 0),
        ("::", 0),
        ("64:ff9b::", 0),
        ("64:ff9b:1::", 0),
        ("2002::", 80),
        ("2001::", 0),
    ):
        wrapped = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | number << shift)
        assert not is_public(wrapped), wrapped


@pytest.mark.parametrize(
    ("interface", "neighbour", "stranger"),
    [
        # A neighbour in a data centre's network, and who is behind the same router at home.
        ("8.8.8.8/24", "8.8.8.77", "8.8.9.1"),
        ("2a02:1234:5678:1::5/64", "2a02:1234:5678:99::1", "2a02:1234:5679::1"),
        ("2a02:1234:5678:1::5/128", "2a02:1234:5678:99::1", "2a02:1234:5679::1"),
        ("8.8.8.8/32", "8.8.8.8", "8.8.8.9"),
        # One that claims half the internet says only where it is itself.
        ("8.8.8.8/1", "8.8.8.8", "8.8.8.9"),
    ],
)
def test_neighbours_are_not_reached_at_public_addresses_either(
    interface: str, neighbour: str, stranger: str
) -> None:
    around = Surroundings(near=near([ipaddress.ip_interface(interface)]))
    assert not around.admits(ipaddress.ip_address(neighbour))
    assert around.admits(ipaddress.ip_address(stranger))


def test_networks_that_the_owner_denies_are_not_reached() -> None:
    around = Surroundings(denied=read_networks(["8.8.8.0/24", "1.1.1.1"]))
    assert not around.admits(ipaddress.ip_address("8.8.8.8"))
    assert not around.admits(ipaddress.ip_address("1.1.1.1"))
    assert around.admits(ipaddress.ip_address("8.8.4.4"))


def test_a_pinned_host_names_its_port_and_its_address() -> None:
    assert read_pinned(["models.lan:8080=192.168.1.5"]) == {
        ("models.lan", 8080): ipaddress.ip_address("192.168.1.5")
    }


@pytest.mark.parametrize(
    "text",
    [
        *("models.lan", "models.lan:8080", "models.lan=192.168.1.5", "*.lan:80=10.0.0.1"),
        *("models.lan:8080=other", "models.lan:25=10.0.0.1", "lan:80=10.0.0.1"),
    ],
)
def test_what_pins_more_than_one_host_at_one_port_to_one_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        read_pinned([text])


def test_a_network_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"203\.0\.113\.0/24"):
        read_networks(["example.com"])
