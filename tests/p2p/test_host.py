import logging
import socket

import pytest
import trio
import trio.abc
import trio.socket

from neurogrid_marketplace.identity import peer_id_of
from neurogrid_p2p._libp2p import MuxedStreamError
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.connection import Connection
from neurogrid_p2p.errors import AddressInvalid, ChannelClosed, DialFailed
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.limits import Limits
from p2p.peers import PROTOCOL, Person, listening, raw_connection, until


async def echo(channel: Channel) -> None:
    while True:
        await channel.send(await channel.receive())


async def test_a_host_is_who_its_key_says() -> None:
    person = Person()
    async with open_host(person.seed) as host:
        assert host.peer_id == peer_id_of(person.keys.public_key().public_bytes_raw())
        assert host.addresses == ()


async def test_both_ends_know_each_other() -> None:
    callers: list[str] = []

    async def greet(channel: Channel) -> None:
        callers.append(channel.remote_id)
        await channel.send({"hello": 1})

    async with listening() as server, open_host(Person().seed) as client:
        server.serve(PROTOCOL, greet)
        channel = await client.dial(server.addresses[0], PROTOCOL)
        assert await channel.receive() == {"hello": 1}
        assert channel.remote_id == server.peer_id
        assert callers == [client.peer_id]


async def test_an_ended_handler_closes_its_channel_after_what_it_sent() -> None:
    async def last_words(channel: Channel) -> None:
        for number in range(100):
            await channel.send({"n": number, "filling": "x" * 5_000})

    async with listening() as server, open_host(Person().seed) as client:
        server.serve(PROTOCOL, last_words)
        channel = await client.dial(server.addresses[0], PROTOCOL)
        assert [(await channel.receive())["n"] for _ in range(100)] == list(range(100))
        with pytest.raises(ChannelClosed, match="closed by the peer"):
            await channel.receive()
        await until(lambda: server.connections == 0)


async def test_a_handler_that_raises_ends_its_channel_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(channel: Channel) -> None:
        await channel.receive()
        raise RuntimeError("boom")

    async with listening() as server, open_host(Person().seed) as client:
        server.serve(PROTOCOL, broken)
        server.serve("/echo/1", echo)
        steady = await client.dial(server.addresses[0], "/echo/1")
        channel = await client.dial(server.addresses[0], PROTOCOL)
        await channel.send({})
        with pytest.raises(ChannelClosed):
            await channel.receive()
        await steady.send({"still": "there"})
        assert await steady.receive() == {"still": "there"}
    assert "boom" in caplog.text


async def test_a_dial_says_why_it_failed() -> None:
    somebody_else = Person().peer_id
    async with listening() as server, open_host(Person().seed) as client:
        (there,) = server.addresses
        with pytest.raises(DialFailed, match="does not speak /other/1"):
            await client.dial(there, "/other/1")
        with pytest.raises(DialFailed, match="peer id does not correspond"):
            await client.dial(there.replace(server.peer_id, somebody_else), PROTOCOL)
        with pytest.raises(AddressInvalid, match="add /p2p/"):
            await client.dial(server.listen_addresses[0], PROTOCOL)
    with pytest.raises(ExceptionGroup) as group:
        async with open_host(Person().seed) as client:
            await client.dial(there, PROTOCOL)
    assert group.group_contains(DialFailed)


async def test_nothing_is_remembered_of_a_failed_dial() -> None:
    person = Person()
    async with open_host(Person().seed) as client:
        async with listening(person=person) as server:
            port = server.listen_addresses
        with pytest.raises(DialFailed):
            await client.dial(server.addresses[0], PROTOCOL)
        async with open_host(person.seed, port) as again:
            again.serve(PROTOCOL, echo)
            channel = await client.dial(again.addresses[0], PROTOCOL)
            await channel.send({"back": 1})
            assert await channel.receive() == {"back": 1}


class Names(trio.abc.HostnameResolver):
    """Knows one name, at several addresses."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def getaddrinfo(  # type: ignore[override]  # only what is asked of it here
        self, host: bytes, port: bytes | int, *arguments: object
    ) -> list[tuple[object, ...]]:
        found = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*found, (address, int(port))) for address in self._addresses]

    async def getnameinfo(self, sockaddr: object, flags: int) -> tuple[str, str]:
        raise NotImplementedError


async def test_a_name_with_a_stale_address_is_reached_at_the_other() -> None:
    async with listening() as server, open_host(Person().seed) as client:
        server.serve(PROTOCOL, echo)
        # Nobody listens at the first one, on the same port.
        trio.socket.set_custom_hostname_resolver(Names("127.9.9.9", "127.0.0.1"))
        there = server.addresses[0].replace("/ip4/127.0.0.1/", "/dns4/market.example/")
        channel = await client.dial(there, PROTOCOL)
        await channel.send({"hello": 1})
        assert await channel.receive() == {"hello": 1}


async def test_two_hosts_cannot_share_a_port() -> None:
    async with listening() as server:
        with pytest.raises(ExceptionGroup) as group:
            async with open_host(Person().seed, server.listen_addresses):
                pass
        assert group.group_contains(OSError)


async def test_a_peer_may_connect_twice_and_no_more() -> None:
    me = Person()
    async with listening(Limits(connections_per_peer=2)) as server, open_host(me.seed) as client:
        server.serve(PROTOCOL, echo)
        (there,) = server.addresses
        first = await client.dial(there, PROTOCOL)
        await client.dial(there, PROTOCOL)
        with pytest.raises(DialFailed):
            await client.dial(there, PROTOCOL)
        await first.aclose()
        await until(lambda: server.connections == 1)
        await client.dial(there, PROTOCOL)


async def test_a_peer_that_connects_again_and_again_leaves_room_for_another() -> None:
    pest = Person()
    refused = 0
    async with (
        listening(Limits(connections=10, connections_per_peer=2)) as server,
        open_host(pest.seed) as client,
        open_host(Person().seed) as guest,
    ):
        server.serve(PROTOCOL, echo)
        (there,) = server.addresses

        async def pester() -> None:
            nonlocal refused
            for _ in range(20):
                try:
                    await client.dial(there, PROTOCOL)
                except DialFailed:
                    refused += 1

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(pester)
        assert refused == 198
        channel = await guest.dial(there, PROTOCOL)
        await channel.send({"a": "guest"})
        assert await channel.receive() == {"a": "guest"}
        assert server.connections == 3


async def test_all_connections_together_are_bounded_and_places_are_given_back() -> None:
    async with listening(Limits(connections=3)) as server:
        server.serve(PROTOCOL, echo)
        (there,) = server.addresses
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                guests = []
                for _ in range(3):
                    host = await _enter(nursery)
                    guests.append(await host.dial(there, PROTOCOL))
                one_too_many = await _enter(nursery)
                with pytest.raises(DialFailed):
                    await one_too_many.dial(there, PROTOCOL)
                nursery.cancel_scope.cancel()
            await until(lambda: server.connections == 0)


async def test_one_ip_address_does_not_take_all_places() -> None:
    async with (
        listening(Limits(connections_per_host=1)) as server,
        open_host(Person().seed) as client,
    ):
        server.serve(PROTOCOL, echo)
        await client.dial(server.addresses[0], PROTOCOL)
        with pytest.raises(DialFailed):
            await client.dial(server.addresses[0], PROTOCOL)


async def test_a_peer_that_opens_many_streams_is_cut_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with listening(Limits(streams_per_connection=4)) as server:
        server.serve(PROTOCOL, echo)
        async with raw_connection(server.addresses[0], Person().seed) as connection:
            with caplog.at_level(logging.WARNING), pytest.raises(MuxedStreamError):
                await open_streams(connection)
            with trio.fail_after(60):
                await connection.ended.wait()
        await until(lambda: server.connections == 0)
    assert "more than 4 streams" in caplog.text


async def open_streams(connection: Connection) -> None:
    for _ in range(100):
        await connection._muxer.open_stream()


async def _enter(nursery: trio.Nursery) -> Host:
    """A host that lives as long as the nursery."""

    async def run(task_status: trio.TaskStatus[Host]) -> None:
        async with open_host(Person().seed) as host:
            task_status.started(host)
            await trio.sleep_forever()

    host: Host = await nursery.start(run)
    return host


async def test_ipv6_works_and_is_counted_by_network() -> None:
    async with (
        open_host(Person().seed, ["/ip6/::1/tcp/0"], Limits(connections_per_host=1)) as server,
        open_host(Person().seed) as client,
    ):
        server.serve(PROTOCOL, echo)
        channel = await client.dial(server.addresses[0], PROTOCOL)
        await channel.send({"six": 6})
        assert await channel.receive() == {"six": 6}
        with pytest.raises(DialFailed):
            await client.dial(server.addresses[0], PROTOCOL)
