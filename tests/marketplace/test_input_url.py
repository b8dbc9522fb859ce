"""What may be fetched for a stranger."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.input_url import InputUrl


def test_a_url_is_taken_apart() -> None:
    url = InputUrl.read("https://Files.example.org:8443/a%20b.csv?x=1&y")
    assert (url.scheme, url.host, url.port) == ("https", "files.example.org", 8443)
    assert (url.target, url.authority) == ("/a%20b.csv?x=1&y", "files.example.org:8443")
    plain = InputUrl.read("http://example.org")
    assert (plain.port, plain.target, plain.authority) == (80, "/", "example.org")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ftp://example.org/a", "neither https"),
        ("file:///etc/passwd", "neither https"),
        ("https://user:secret@example.org/", "a password"),
        ("https://example.org\\@127.0.0.1/", "a password"),
        ("https://127.0.0.1/", "no name"),
        ("https://2130706433/", "no name"),
        ("https://0x7f.1/", "no name"),
        ("https://[::1]/", "no name"),
        ("https://[::1/", "no URL"),
        ("https://localhost/", "no name"),
        ("https://metadata/", "no name"),
        ("https://example.org:22/", "port 22"),
        ("https://example.org:0/", "port 0"),
        ("https://example.org:99999/", "no URL"),
        ("https://example.org/a b", "spaces"),
        ("https://example.org/\r\nHost: x", "spaces"),
        ("https://bücher.example/", "xn--"),
        ("https://example.org/#part", "`sha256`"),
        ("https://example.org/" + "a" * 2048, "at most"),
    ],
)
def test_what_is_fetched_for_nobody(text: str, why: str) -> None:
    with pytest.raises(InvalidValue, match=why):
        InputUrl.read(text)


def test_a_redirect_is_judged_as_if_it_had_been_asked_for() -> None:
    url = InputUrl.read("https://example.org/a/b.csv")
    assert url.redirected("../c.csv").target == "/c.csv"
    assert url.redirected("//cdn.example.net/b#x").host == "cdn.example.net"
    for location in ("http://example.org/", "https://169.254.169.254/latest", "file:///etc/passwd"):
        with pytest.raises(InvalidValue):
            url.redirected(location)
    assert InputUrl.read("http://example.org/").redirected("https://example.org/").port == 443


@given(
    st.text(), st.sampled_from(["", "https://", "http://example.org", "//", "https://example.org/"])
)
def test_whatever_is_asked_for_leads_to_a_named_host_or_nowhere(text: str, before: str) -> None:
    for read in (InputUrl.read, InputUrl.read("https://example.org/x").redirected):
        try:
            url = read(before + text)
        except InvalidValue:
            continue
        assert url.scheme in ("https", "http")
        assert url.host.isascii()
        assert not url.host.replace(".", "").isdigit()
        assert not set(url.target) & set(" \r\n\t#")
