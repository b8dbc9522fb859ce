import ipaddress

import pytest

from neurogrid_coordinator.api.client_address import (
    NO_PROXIES,
    Origin,
    Proxies,
    group_of,
    origin_of,
)

TRUSTED = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
OLDER = Proxies(TRUSTED)
NEWER = Proxies(TRUSTED, "forwarded")
SPOOFED = [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-proto", b"https")]


def test_without_trusted_proxies_nobody_speaks_for_anybody() -> None:
    assert origin_of("10.0.0.1", SPOOFED, NO_PROXIES) == Origin("10.0.0.1")
    assert origin_of("198.51.100.1", SPOOFED, OLDER) == Origin("198.51.100.1")
    assert origin_of("not an address", SPOOFED, OLDER) == Origin("not an address")


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ([b"203.0.113.9"], "203.0.113.9"),
        ([b"203.0.113.9:4711"], "203.0.113.9"),
        ([b"[2001:db8::1]:4711"], "2001:db8::1"),
        ([b"2001:db8::1"], "2001:db8::1"),
        # What the client itself wrote stands before what the proxy added.
        ([b"1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        ([b"1.1.1.1", b"203.0.113.9"], "203.0.113.9"),
        # A chain of proxies of ours.
        ([b"1.1.1.1, 203.0.113.9, 10.2.3.4, fd00::7"], "203.0.113.9"),
        # Who hides counts as the last that is known.
        ([b"1.1.1.1, unknown"], "10.0.0.1"),
        ([b"1.1.1.1, unknown, 10.2.3.4"], "10.2.3.4"),
        ([b"10.9.9.9"], "10.9.9.9"),
        ([b""], "10.0.0.1"),
        ([b"\xff\xfe"], "10.0.0.1"),
        ([b", ".join([b"203.0.113.9"] * 10_000)], "203.0.113.9"),
    ],
)
def test_the_last_address_that_no_proxy_has_is_whose_request_it_is(
    said: list[bytes], wanted: str
) -> None:
    headers = [(b"x-forwarded-for", value) for value in said]
    assert origin_of("10.0.0.1", headers, OLDER).address == wanted


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (b"for=203.0.113.9;proto=https;by=10.0.0.1", Origin("203.0.113.9", "https")),
        (b'For="[2001:db8::1]:4711";Proto=HTTPS', Origin("2001:db8::1", "https")),
        (b"for=1.1.1.1, for=203.0.113.9;proto=http", Origin("203.0.113.9", "http")),
        (b"for=_hidden", Origin("10.0.0.1")),
        (b"for=unknown;proto=gopher", Origin("10.0.0.1")),
        (b"nonsense", Origin("10.0.0.1")),
    ],
)
def test_forwarded_is_read_as_its_standard_has_it(said: bytes, wanted: Origin) -> None:
    assert origin_of("10.0.0.1", [(b"forwarded", said)], NEWER) == wanted


def test_the_header_that_the_proxies_do_not_write_says_nothing() -> None:
    forwarded = [(b"forwarded", b"for=203.0.113.9;proto=https")]
    assert origin_of("10.0.0.1", forwarded, OLDER) == Origin("10.0.0.1")
    assert origin_of("10.0.0.1", SPOOFED, NEWER) == Origin("10.0.0.1")


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_an_ipv6_network_counts_as_one_client(address: str, group: str) -> None:
    assert group_of(address) == group
