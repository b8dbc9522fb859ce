"""What a task may list, what an owner lets through, and that the second covers the first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.errors import InvalidValue, MalformedMessage
from neurogrid_marketplace.fields import decode, plain
from neurogrid_marketplace.network import (
    DEFAULT_PORTS,
    NEVER_PORTS,
    REFUSALS,
    HostRule,
    Network,
    NetworkTerms,
    Refused,
    is_host_name,
)

# Few labels, so that rules meet often.
names = st.lists(st.sampled_from(["a", "b", "x-1", "_c"]), min_size=1, max_size=3).map(
    lambda labels: ".".join([*labels, "example"])
)
ports = st.sampled_from([80, 443, 8443, 9000])
task_rules = st.builds(
    lambda wild, name, port: f"{wild}{name}{port}",
    st.sampled_from(["", "*."]),
    names,
    st.sampled_from(["", ":80", ":443", ":8443"]),
)
owner_rules = st.builds(
    lambda name, port: f"{name}{port}",
    st.one_of(st.just("*"), names, names.map(lambda name: f"*.{name}")),
    st.sampled_from(["", ":*", ":443", ":8443"]),
)
networks = st.lists(task_rules, min_size=1, max_size=4, unique=True).map(
    lambda rules: Network(tuple(rules))
)
owners = st.builds(
    lambda allow, deny: NetworkTerms(tuple(allow), tuple(deny), 1, 1),
    st.lists(owner_rules, max_size=4),
    st.lists(owner_rules, max_size=2),
)


@pytest.mark.parametrize(
    ("rule", "host", "port", "matches"),
    [
        ("example.org", "example.org", 443, True),
        ("example.org", "example.org", 80, True),
        ("example.org", "example.org", 8443, False),
        ("example.org", "files.example.org", 443, False),
        ("example.org", "notexample.org", 443, False),
        ("example.org", "example.org.evil.example", 443, False),
        ("example.org:8443", "example.org", 443, False),
        ("example.org:8443", "example.org", 8443, True),
        ("*.example.com", "a.example.com", 443, True),
        ("*.example.com", "a.b.example.com", 443, True),
        ("*.example.com", "example.com", 443, False),
        ("*.example.com", "badexample.com", 443, False),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", 443, True),
    ],
)
def test_a_rule_matches_its_names_at_its_ports(
    rule: str, host: str, port: int, *, matches: bool
) -> None:
    assert HostRule.read(rule).matches(host, port) is matches


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("127.0.0.1", "addresses are not taken"),
        ("127.1", "addresses are not taken"),
        ("2130706433", "addresses are not taken"),
        ("0177.0.0.1", "addresses are not taken"),
        ("0x7f.0.0.1", "addresses are not taken"),
        ("example.0x7f", "addresses are not taken"),
        ("[::1]", "addresses are not taken"),
        ("::1", "addresses are not taken"),
        ("localhost", "a name with a dot"),
        ("*", "a name with a dot"),
        ("*.com", "a name with a dot"),
        ("a.*.com", "a name with a dot"),
        ("*a.example.com", "a name with a dot"),
        ("*.*.example.com", "a name with a dot"),
        ("-a.example.com", "a name with a dot"),
        ("a..example.com", "a name with a dot"),
        ("a b.example.com", "a name with a dot"),
        ("a.example.com\n", "a name with a dot"),
        ("a" * 64 + ".example.com", "a name with a dot"),
        ("", "a name with a dot"),
        ("example.com:*", "a name with a dot"),
        ("example.com:0", "a name with a dot"),
        ("example.com:070", "a name with a dot"),
        ("example.com:65536", "at most 65535"),
        ("example.com:25", "port 25"),
        ("example.com.", "the name alone"),
        ("https://example.com/", "the name alone"),
        ("Example.com", "lower case"),
        ("bücher.example", "xn--"),
        (".".join(["a" * 50] * 5 + ["example"]), "at most 253"),
    ],
)
def test_what_is_no_rule_of_a_task_says_what_to_write(text: str, advice: str) -> None:
    with pytest.raises(InvalidValue, match=advice):
        HostRule.read(text)


@pytest.mark.parametrize("entries", [(), ("a.example", "a.example"), ("a.example",) * 33])
def test_a_list_has_bounds_and_each_host_once(entries: tuple[str, ...]) -> None:
    with pytest.raises(MalformedMessage):
        decode(Network, {"allow": list(entries)})


def test_a_list_travels_as_it_is_written() -> None:
    sent = Network(("example.org", "*.example.com:8443"))
    assert decode(Network, plain(sent)) == sent


@given(owners, networks, names, ports)
def test_a_node_that_takes_a_list_lets_all_of_it_through(
    terms: NetworkTerms, network: Network, host: str, port: int
) -> None:
    if terms.refused(network) is None and network.admits(host, port):
        allow = [HostRule.read_owners(text) for text in terms.allow or ("*",)]
        deny = [HostRule.read_owners(text, ()) for text in terms.deny]
        assert any(rule.matches(host, port) for rule in allow)
        assert not any(rule.matches(host, port) for rule in deny)


@given(owner_rules, owner_rules, names, ports)
def test_covering_and_meeting_are_what_they_say(one: str, other: str, host: str, port: int) -> None:
    first, second = HostRule.read_owners(one), HostRule.read_owners(other)
    if first.covers(second) and second.matches(host, port):
        assert first.matches(host, port)
    if first.matches(host, port) and second.matches(host, port):
        assert first.meets(second)
        assert second.meets(first)
    if first.covers(second):
        assert first.meets(second)
    assert first.covers(first)


@pytest.mark.parametrize(
    ("allow", "deny", "asked", "refused"),
    [
        ((), (), ("example.org",), None),
        ((), (), ("example.org:8443",), "example.org:8443"),
        (("*:*",), (), ("example.org:8443",), None),
        (("example.org",), (), ("example.org", "evil.example"), "evil.example"),
        (("*.example.org",), (), ("example.org",), "example.org"),
        (("*.example.org",), (), ("*.files.example.org",), None),
        (("files.example.org",), (), ("*.example.org",), "*.example.org"),
        # What is denied is denied at all ports, and a list is let through whole or not at all.
        (("*:*",), ("ads.example.com",), ("*.example.com:8443",), "*.example.com:8443"),
        ((), ("*.example.com",), ("example.com",), None),
        ((), ("*.example.com:80",), ("a.example.com:443",), None),
    ],
)
def test_what_an_owner_lets_jobs_reach(
    allow: tuple[str, ...], deny: tuple[str, ...], asked: tuple[str, ...], refused: str | None
) -> None:
    assert NetworkTerms(allow, deny, 1, 1).refused(Network(asked)) == refused


def test_no_rule_of_anybodys_opens_a_port_of_mail() -> None:
    assert not set(DEFAULT_PORTS) & NEVER_PORTS
    for port in sorted(NEVER_PORTS):
        with pytest.raises(InvalidValue):
            HostRule.read_owners(f"*:{port}")
        assert not Network(("example.com",)).admits("example.com", port)


@given(st.text(max_size=40))
def test_no_text_does_worse_than_a_clear_error(text: str) -> None:
    for read in (HostRule.read, HostRule.read_owners):
        try:
            rule = read(text)
        except InvalidValue:
            continue
        assert rule.name == "*" or is_host_name(rule.name.removeprefix("*."))


def test_every_refusal_has_a_meaning() -> None:
    assert set(REFUSALS) == set(Refused)
