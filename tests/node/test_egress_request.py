"""What a proxy takes for a target, and what of a request and a response is passed on."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.network import Refused, is_host_name
from neurogrid_node.egress.dialling import ConnectionRefused
from neurogrid_node.egress.request import Target, passed_back, passed_on, target_of

Headers = list[tuple[str, str]]


def asked(method: str, target: str, headers: Headers | None = None) -> h11.Request:
    return h11.Request(
        method=method, target=target, headers=[("host", "wherever"), *(headers or [])]
    )


@pytest.mark.parametrize(
    ("method", "target", "found"),
    [
        ("CONNECT", "example.org:443", Target("example.org", 443, b"")),
        ("CONNECT", "ExAmPle.org.:8443", Target("example.org", 8443, b"")),
        ("GET", "http://example.org/simple/?a=b", Target("example.org", 80, b"/simple/?a=b")),
        ("GET", "HTTP://example.org:8080", Target("example.org", 8080, b"/")),
        ("GET", "http://example.org?a", Target("example.org", 80, b"/?a")),
        ("POST", "http://example.org/@evil.example", Target("example.org", 80, b"/@evil.example")),
    ],
)
def test_targets_that_are_taken(method: str, target: str, found: Target) -> None:
    assert target_of(asked(method, target)) == found


@pytest.mark.parametrize(
    ("method", "target", "reason"),
    [
        ("CONNECT", "127.0.0.1:443", Refused.ADDRESS),
        ("CONNECT", "2130706433:443", Refused.ADDRESS),
        ("CONNECT", "0177.0.0.1:443", Refused.ADDRESS),
        ("CONNECT", "0x7f000001:443", Refused.ADDRESS),
        ("CONNECT", "127.1:443", Refused.ADDRESS),
        ("CONNECT", "example.0x1:443", Refused.ADDRESS),
        ("CONNECT", "[::1]:443", Refused.ADDRESS),
        ("CONNECT", "[::ffff:127.0.0.1]:443", Refused.ADDRESS),
        ("CONNECT", "::1:443", Refused.BAD_REQUEST),
        ("CONNECT", "example.org", Refused.BAD_REQUEST),
        ("CONNECT", "example.org:", Refused.BAD_REQUEST),
        ("CONNECT", "example.org:0", Refused.BAD_REQUEST),
        ("CONNECT", "example.org:65536", Refused.BAD_REQUEST),
        ("CONNECT", "example.org:443/", Refused.BAD_REQUEST),
        ("CONNECT", "evil@example.org:443", Refused.BAD_REQUEST),
        ("CONNECT", "localhost:443", Refused.BAD_REQUEST),
        ("CONNECT", "example.org..:443", Refused.BAD_REQUEST),
        ("CONNECT", "example.org%00.evil.example:443", Refused.BAD_REQUEST),
        ("CONNECT", "*.example.com:443", Refused.BAD_REQUEST),
        ("GET", "/", Refused.BAD_REQUEST),
        ("GET", "https://example.org/", Refused.BAD_REQUEST),
        ("GET", "ftp://example.org/", Refused.BAD_REQUEST),
        ("GET", "http://user@example.org/", Refused.BAD_REQUEST),
        ("GET", "http://example.org#@evil.example/", Refused.BAD_REQUEST),
        ("GET", "http://example.org\\@evil.example/", Refused.BAD_REQUEST),
        ("GET", "http://169.254.169.254/latest/meta-data/", Refused.ADDRESS),
        ("GET", "http://[fd00:ec2::254]/", Refused.ADDRESS),
        ("GET", "http:///", Refused.BAD_REQUEST),
        ("OPTIONS", "*", Refused.BAD_REQUEST),
    ],
)
def test_targets_that_are_refused(method: str, target: str, reason: Refused) -> None:
    with pytest.raises(ConnectionRefused) as refusal:
        target_of(asked(method, target))
    assert refusal.value.reason is reason


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1), st.booleans())
def test_no_target_leads_to_anything_but_a_name_and_a_port(text: str, tunnel: bool) -> None:
    try:
        found = target_of(asked("CONNECT" if tunnel else "GET", text))
    except ConnectionRefused:
        return
    assert is_host_name(found.host)
    assert 0 < found.port <= 65_535


def test_a_tunnel_is_asked_for_without_a_body() -> None:
    for header in (("content-length", "5"), ("transfer-encoding", "chunked")):
        with pytest.raises(ConnectionRefused):
            target_of(asked("CONNECT", "example.org:443", [header]))


def test_what_is_passed_on_names_its_target_and_has_nothing_of_the_connection() -> None:
    request = asked(
        "GET",
        "http://example.org:8080/a",
        [
            ("proxy-authorization", "Basic c2VjcmV0"),
            ("connection", "keep-alive, x-mine"),
            ("x-mine", "1"),
            ("upgrade", "websocket"),
            ("te", "trailers"),
            ("accept", "*/*"),
        ],
    )
    sent = passed_on(request, target_of(request))
    assert (sent.method, sent.target) == (b"GET", b"/a")
    assert list(sent.headers) == [
        (b"host", b"example.org:8080"),
        (b"accept", b"*/*"),
        (b"connection", b"close"),
    ]


def test_a_body_with_two_lengths_is_refused() -> None:
    headers = [("content-length", "5"), ("transfer-encoding", "chunked")]
    request = asked("POST", "http://example.org/", headers)
    with pytest.raises(ConnectionRefused):
        passed_on(request, target_of(request))


def test_what_is_passed_back_has_nothing_of_the_hosts_connection() -> None:
    response = h11.Response(
        status_code=200,
        headers=[
            ("content-length", "3"),
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("set-cookie", "a=b"),
        ],
    )
    assert list(passed_back(response).headers) == [
        (b"content-length", b"3"),
        (b"set-cookie", b"a=b"),
        (b"connection", b"close"),
    ]
