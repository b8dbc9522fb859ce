import logging
from contextlib import ExitStack

import pytest
import trio

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.errors import ChannelClosed, DialFailed
from neurogrid_p2p.gate import Gate, Refusal
from neurogrid_p2p.host import open_host
from neurogrid_p2p.limits import Limits
from neurogrid_p2p.peer_lists import PeerLists
from p2p.peers import PROTOCOL, Person, listening, until

# Whoever has come in stays: leaving gives back the place.
KEPT = ExitStack()
FRIEND, FOE = Person().peer_id, Person().peer_id


async def echo(channel: Channel) -> None:
    while True:
        await channel.send(await channel.receive())


def entering(gate: Gate, *hosts: str) -> list[bool]:
    """Whether each of these connections, which stay, may come in."""
    return [KEPT.enter_context(gate.entered(host)) for host in hosts]


@pytest.mark.parametrize(
    ("limits", "hosts", "refusal"),
    [
        (Limits(connections=2), ["192.0.2.1", "198.51.100.1", "203.0.113.1"], Refusal.CONNECTIONS),
        (Limits(connections_per_host=2), ["192.0.2.1"] * 3, Refusal.HOST),
        (
            Limits(connections_per_host=2),
            ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:0:1::"],
            Refusal.HOST,
        ),
        (
            Limits(connections_per_network=2),
            ["192.0.2.1", "192.0.2.200", "192.0.2.77"],
            Refusal.NETWORK,
        ),
        (
            Limits(connections_per_network=2),
            ["2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:1:3::1"],
            Refusal.NETWORK,
        ),
        # The same addresses, written as IPv6 writes those of IPv4.
        (
            Limits(connections_per_host=2),
            ["::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"],
            Refusal.HOST,
        ),
        (Limits(connections_per_host=2), ["fe80::1%eth0", "fe80::2%eth1", "fe80::3"], Refusal.HOST),
        (Limits(connections_per_host=2), ["relay of somebody"] * 3, Refusal.HOST),
    ],
)
def test_the_third_of_them_is_refused_and_counted(
    limits: Limits, hosts: list[str], refusal: Refusal
) -> None:
    gate = Gate(limits)
    assert entering(gate, *hosts) == [True, True, False]
    assert gate.refused == {refusal: 1}
    assert gate.connections == 2


@pytest.mark.parametrize(
    "hosts",
    [
        ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
        ["2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1"],
    ],
)
def test_others_have_room(hosts: list[str]) -> None:
    assert entering(Gate(Limits(connections_per_host=1)), *hosts) == [True, True, True]


def test_networks_next_to_each_other_are_different_networks() -> None:
    gate = Gate(Limits(connections_per_network=1))
    assert entering(gate, "192.0.2.1", "192.0.3.1", "2001:db8:1::1", "2001:db8:2::1") == [True] * 4


def test_places_are_given_back_and_nothing_is_kept_of_whoever_left() -> None:
    gate = Gate(Limits(connections=1, connections_per_peer=1))
    for _ in range(3):
        with gate.entered("192.0.2.1") as may_enter, gate.handshake("192.0.2.1"):
            assert may_enter
            with gate.proven(FRIEND) as may_stay:
                assert may_stay
    kept = (gate._hosts, gate._networks, gate._handshakes, gate._peers)
    assert (gate.connections, *map(len, kept)) == (0, 0, 0, 0, 0)


def test_handshakes_are_counted_by_network_until_they_are_over() -> None:
    gate = Gate(Limits(handshakes_per_network=1))
    with gate.handshake("192.0.2.1"):
        assert entering(gate, "192.0.2.2", "198.51.100.1") == [False, True]
    assert entering(gate, "192.0.2.2") == [True]
    assert gate.refused == {Refusal.HANDSHAKES: 1}


# --- lists of peers ---------------------------------------------------------------------------------


def test_lists_are_read_and_deny_counts_before_allow() -> None:
    lists = PeerLists.of([FRIEND, FOE], [f"{FOE} sent wrong results"])
    assert lists.refusal(FRIEND) is None
    assert lists.refusal(FOE) == "denied: sent wrong results"
    assert lists.refusal(Person().peer_id) == "not on the list of those who may connect"
    assert PeerLists().refusal(FOE) is None
    assert PeerLists.of([], [FOE]).refusal(FRIEND) is None
    assert PeerLists.of([], [FOE]).refusal(FOE) == "denied: no reason given"


@pytest.mark.parametrize(
    ("allow", "deny"),
    [
        (["nonsense"], []),
        ([], ["nonsense with a reason"]),
        ([], [FOE + " " + "x" * 300]),
        ([], [""]),
    ],
)
def test_lists_that_say_nothing_are_refused(allow: list[str], deny: list[str]) -> None:
    with pytest.raises(InvalidValue):
        PeerLists.of(allow, deny)


async def test_a_denied_peer_is_closed_and_kept_out_with_one_line_that_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    foe, friend = Person(), Person()
    async with (
        listening() as server,
        open_host(foe.seed) as one,
        open_host(friend.seed) as other,
    ):
        server.serve(PROTOCOL, echo)
        (there,) = server.addresses
        channel, steady = await one.dial(there, PROTOCOL), await other.dial(there, PROTOCOL)
        server.admit(PeerLists.of([], [f"{foe.peer_id} sent wrong results"]))
        with trio.fail_after(60), pytest.raises(ChannelClosed):
            await channel.receive()
        for _ in range(2):
            with pytest.raises(DialFailed):
                await one.dial(there, PROTOCOL)
        await steady.send({"still": "there"})
        assert await steady.receive() == {"still": "there"}
        await until(lambda: server.refused == {"denied": 3})
        server.admit(PeerLists())
        await (await one.dial(there, PROTOCOL)).aclose()
    lines = [record.message for record in caplog.records if foe.peer_id in record.message]
    assert lines == [f"{foe.peer_id} is denied: sent wrong results"]


async def test_with_a_list_of_those_who_may_nobody_else_may() -> None:
    friend = Person()
    async with (
        listening() as server,
        open_host(friend.seed) as one,
        open_host(Person().seed) as other,
    ):
        server.serve(PROTOCOL, echo)
        server.admit(PeerLists.of([friend.peer_id], []))
        (there,) = server.addresses
        await one.dial(there, PROTOCOL)
        with pytest.raises(DialFailed):
            await other.dial(there, PROTOCOL)
        await until(lambda: server.refused == {"not_allowed": 1})


async def test_a_denied_peer_is_not_dialled() -> None:
    async with listening() as server, open_host(Person().seed) as client:
        server.serve(PROTOCOL, echo)
        (there,) = server.addresses
        channel = await client.dial(there, PROTOCOL)
        client.admit(PeerLists.of([], [f"{server.peer_id} pays late"]))
        with trio.fail_after(60), pytest.raises(ChannelClosed):
            await channel.receive()
        with pytest.raises(DialFailed, match="denied: pays late"):
            await client.dial(there, PROTOCOL)
        client.admit(PeerLists())
        await client.dial(there, PROTOCOL)


async def test_what_strangers_are_cut_off_for_is_counted() -> None:
    async with listening(Limits(handshake_s=2.0)) as server, open_host(Person().seed) as client:
        server.serve(PROTOCOL, echo)
        (there,) = server.addresses
        port = int(server.listen_addresses[0].rsplit("/", 1)[1])
        async with await trio.open_tcp_stream("127.0.0.1", port) as socket:
            await socket.send_all(b"GET / HTTP/1.1\r\n\r\n")
            await until(lambda: server.refused == {"handshake": 1})
        channel = await client.dial(there, PROTOCOL)
        await channel._stream.write(b"\xff\xff\xff\xff")
        await until(lambda: server.refused == {"handshake": 1, "protocol": 1})
