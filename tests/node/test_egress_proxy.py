"""A job's proxy against real sockets: what gets through, and what hostile jobs and hosts get of it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import h11
import pytest
import trio

from certificates import certificate
from neurogrid_marketplace.addresses import Surroundings
from neurogrid_marketplace.network import Refused
from neurogrid_node.egress.client_hello import UNRECOGNIZED_NAME
from neurogrid_node.egress.dialling import look_up
from neurogrid_node.egress.proxy import Limits
from neurogrid_node.egress.request import HEAD_BYTES_MAX
from neurogrid_p2p.interfaces import networks_near
from node.egress_world import (
    CAPS,
    HOST,
    INTERNET,
    World,
    egress_world,
    loopback,
    rest_of,
    until,
)
from node.test_egress_client_hello import hello_for

KIB = 1 << 10
MIB = 1 << 20


def reasons(world: World) -> list[Refused]:
    return [each.reason for each in world.record.use().refusals]


def answers(
    text: bytes, seen: list[bytes] | None = None
) -> Callable[[trio.SocketStream], Awaitable[None]]:
    """A host that takes a request without a body and says this."""

    async def handle(stream: trio.SocketStream) -> None:
        head = await until(stream, b"\r\n\r\n")
        if seen is not None:
            seen.append(head)
        await stream.send_all(text)

    return handle


async def echo(stream: trio.SocketStream) -> None:
    while data := await stream.receive_some(64 * KIB):
        await stream.send_all(data)
    await stream.send_eof()


# --- tunnels ----------------------------------------------------------------------------------------


async def test_a_tunnel_carries_tls_to_the_host_both_ways_and_is_counted() -> None:
    server, client = certificate(HOST)

    async def serve(stream: trio.SocketStream) -> None:
        tls = trio.SSLStream(stream, server, server_side=True, https_compatible=True)
        data = b""
        while len(data) < MIB:
            data += await tls.receive_some(64 * KIB)
        await tls.send_all(data)
        await tls.aclose()

    async with egress_world() as world:
        port = await world.serve(serve)
        stream, answer = await world.tunnel(port)
        assert answer == b"HTTP/1.1 200 Connection established"
        tls = trio.SSLStream(stream, client, server_hostname=HOST, https_compatible=True)
        sent = bytes(range(256)) * 4 * KIB
        got = bytearray()

        async def take() -> None:
            while len(got) < MIB:
                got.extend(await tls.receive_some(64 * KIB))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await tls.send_all(sent)
        assert bytes(got) == sent
        await tls.aclose()
        (use,) = world.record.use().hosts
        assert (use.host, use.port, use.connections) == (HOST, port, 1)
        assert use.sent_bytes > MIB < use.received_bytes
        assert not reasons(world)


async def test_a_hello_that_comes_with_the_request_is_not_lost() -> None:
    async with egress_world() as world:
        port = await world.serve(echo)
        hello = hello_for(HOST)
        async with await world.connect() as stream:
            await stream.send_all(b"CONNECT %s:%d HTTP/1.0\r\n\r\n" % (HOST.encode(), port) + hello)
            await stream.send_eof()
            assert (await rest_of(stream)).endswith(b"\r\n\r\n" + hello)


async def test_tls_for_another_name_is_refused_in_its_own_words() -> None:
    seen: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        seen.append(await rest_of(stream))

    async with egress_world() as world:
        port = await world.serve(serve)
        for name in ("other.example.com", None):
            stream, _ = await world.tunnel(port)
            async with stream:
                await stream.send_all(hello_for(name))
                assert await rest_of(stream) == UNRECOGNIZED_NAME
        assert reasons(world) == [Refused.OTHER_NAME]
        assert b"".join(seen) == b"", "nothing of it reached the host"


@pytest.mark.parametrize("said", [b"SSH-2.0-x\r\n", b"GET / HTTP/1.1\r\n\r\n", b"EHLO me\r\n"])
async def test_a_tunnel_carries_nothing_but_tls(said: bytes) -> None:
    async with egress_world() as world:
        stream, _ = await world.tunnel(await world.serve(echo))
        async with stream:
            await stream.send_all(said)
            assert await rest_of(stream) == b""
        assert reasons(world) == [Refused.NO_TLS]
        assert world.record.use().sent_bytes == 0


async def test_either_ends_end_ends_a_tunnel() -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)

    async with egress_world() as world:
        stream, _ = await world.tunnel(await world.serve(hang_up))
        async with stream:
            await stream.send_all(hello_for(HOST))
            assert await rest_of(stream) == b""
        left = trio.Event()

        async def until_left(stream: trio.SocketStream) -> None:
            await rest_of(stream)
            left.set()

        stream, _ = await world.tunnel(await world.serve(until_left))
        await stream.send_all(hello_for(HOST))
        await stream.aclose()
        await left.wait()


# --- plain requests ---------------------------------------------------------------------------------


async def test_a_plain_request_is_written_anew_and_so_is_its_response() -> None:
    seen: list[bytes] = []
    async with egress_world() as world:
        port = await world.serve(
            answers(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello", seen)
        )
        got = await world.ask(
            b"GET http://%s:%d/a?b HTTP/1.1\r\nHost: evil.example\r\nProxy-Connection: keep-alive\r\n\r\n"
            % (HOST.encode(), port)
        )
        assert seen == [
            b"GET /a?b HTTP/1.1\r\nHost: %s:%d\r\nConnection: close\r\n\r\n" % (HOST.encode(), port)
        ]
        assert got.startswith(b"HTTP/1.1 200 OK\r\n")
        assert got.endswith(b"\r\n\r\nhello")
        assert b"Connection: close" in got
        assert b"X-A: b" in got


async def test_bodies_of_any_framing_pass() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(KIB))
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
        for sent in (
            h11.InformationalResponse(status_code=103, headers=[("link", "</a>")]),
            h11.Response(status_code=201, headers=[]),
            h11.Data(data=body[::-1]),
            h11.EndOfMessage(),
        ):
            await stream.send_all(connection.send(sent) or b"")

    async with egress_world() as world:
        port = await world.serve(serve)
        line = b"POST http://%s:%d/ HTTP/1.1\r\nHost: x\r\n" % (HOST.encode(), port)
        for framed in (
            b"Content-Length: 3\r\n\r\nabc",
            b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\nTrailer: x\r\n\r\n",
        ):
            got = await world.ask(line + framed)
            assert b" 103 " in got
            assert b"HTTP/1.1 201" in got
            assert got.endswith(b"3\r\ncba\r\n0\r\n\r\n")


async def test_a_response_that_breaks_off_does_not_look_whole() -> None:
    async with egress_world() as world:
        port = await world.serve(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"))
        got = await world.ask(
            b"GET http://%s:%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % (HOST.encode(), port)
        )
        assert b"Content-Length: 50" in got
        assert got.endswith(b"hello")


async def test_a_host_that_speaks_no_http_is_told_apart_from_one_that_does() -> None:
    async with egress_world() as world:
        port = await world.serve(answers(b"220 mail.example ESMTP\r\n"))
        got = await world.ask(
            b"GET http://%s:%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % (HOST.encode(), port)
        )
        assert got.startswith(b"HTTP/1.1 502 unreachable\r\n")


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: +5\r\n\r\nhello",
        b"Content-Length : 5\r\n\r\nhello",
        b"X: a\r\n b\0\r\n\r\n",
        b"Host: y\r\n\r\n",
    ],
)
async def test_a_request_that_two_readers_could_understand_differently_is_refused(
    framing: bytes,
) -> None:
    seen: list[bytes] = []
    async with egress_world() as world:
        port = await world.serve(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", seen))
        got = await world.ask(
            b"POST http://%s:%d/ HTTP/1.1\r\nHost: x\r\n" % (HOST.encode(), port) + framing
        )
        assert got.startswith(b"HTTP/1.1 400 bad_request\r\n")
        assert seen == []
        assert reasons(world) == [Refused.BAD_REQUEST]


async def test_what_follows_a_request_reaches_nobody() -> None:
    seen: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        seen.append(await until(stream, b"\r\n\r\n"))
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        seen.append(await rest_of(stream))

    async with egress_world() as world:
        port = await world.serve(serve)
        line = b"GET http://%s:%d/%%d HTTP/1.1\r\nHost: x\r\n\r\n" % (HOST.encode(), port)
        got = await world.ask(line % 1 + line % 2)
        assert got.count(b"HTTP/1.1") == 1
    assert b"/1" in seen[0]
    assert b"/2" not in b"".join(seen)


# --- where it leads ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allow", "target", "reason", "status"),
    [
        ([HOST], "evil.example:443", Refused.NOT_LISTED, 403),
        ([HOST], f"{HOST}:8443", Refused.NOT_LISTED, 403),
        ([HOST], f"a.{HOST}:443", Refused.NOT_LISTED, 403),
        ([HOST], f"{HOST}.evil.example:443", Refused.NOT_LISTED, 403),
        (["*.example.com"], "example.com:443", Refused.NOT_LISTED, 403),
        ([HOST], "169.254.169.254:80", Refused.ADDRESS, 403),
        ([HOST], "2852039166:80", Refused.ADDRESS, 403),
        ([HOST], "[::ffff:169.254.169.254]:80", Refused.ADDRESS, 403),
    ],
)
async def test_what_is_not_listed_is_not_even_looked_up(
    allow: list[str], target: str, reason: Refused, status: int
) -> None:
    async with egress_world(allow=allow) as world:
        got = await world.ask(f"CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert got.startswith(f"HTTP/1.1 {status} {reason}\r\n".encode())
        assert reasons(world) == [reason]
        assert world.names.asked == []


@pytest.mark.parametrize(
    "private",
    [
        *("127.0.0.1", "10.0.0.1", "169.254.169.254", "100.100.100.200", "192.168.1.1"),
        *("::1", "::ffff:127.0.0.1", "fd00:ec2::254", "fe80::1%eth0", "64:ff9b::7f00:1"),
        *("2002:7f00:1::1", "224.0.0.1", "0.0.0.0", "168.63.129.16"),
    ],
)
async def test_a_name_that_leads_to_a_private_address_leads_nowhere(private: str) -> None:
    async with egress_world(surroundings=Surroundings()) as world:
        world.names.answers = [(private,)]
        got = await world.ask(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert got.startswith(b"HTTP/1.1 403 address_not_public\r\n")
        assert private.encode() not in got, "what is in the owner's network is nobody's business"
        assert reasons(world) == [Refused.NOT_PUBLIC]


async def test_a_name_that_changes_its_mind_leads_to_what_was_checked() -> None:
    """DNS rebinding: public when it is checked, private when it is used, and the other way round."""
    reached: list[str] = []

    async def private(stream: trio.SocketStream) -> None:
        reached.append("private")

    async with egress_world() as world:
        port = await world.serve(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
        # The same port, at an address that is none of the internet's.
        (listener,) = await trio.open_tcp_listeners(port, host=str(loopback(1)))
        world.nursery.start_soon(trio.serve_listeners, private, [listener])
        asked = b"GET http://%s:%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % (HOST.encode(), port)
        world.names.answers = [(INTERNET,), ("127.0.0.1",), ("127.0.0.1", INTERNET), ("127.0.0.1",)]
        assert (await world.ask(asked)).startswith(b"HTTP/1.1 200")
        assert (await world.ask(asked)).startswith(b"HTTP/1.1 403")
        assert (await world.ask(asked)).startswith(b"HTTP/1.1 200")
        assert (await world.ask(asked)).startswith(b"HTTP/1.1 403")
        assert world.names.asked == [HOST] * 4, "once for each connection"
        assert reached == []


async def test_a_name_without_an_address_and_a_host_that_is_not_there_are_told_apart() -> None:
    async with egress_world() as world:
        asked = f"CONNECT {HOST}:9 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        assert (await world.ask(asked)).startswith(b"HTTP/1.1 502 unreachable\r\n")
        world.names.answers = [()]
        assert (await world.ask(asked)).startswith(b"HTTP/1.1 502 name_not_found\r\n")


async def test_a_host_that_its_owner_pinned_is_reached_where_the_owner_says() -> None:
    server = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = int(listener.socket.getsockname()[1])
    around = Surroundings(pinned={(HOST, port): loopback(1)})
    async with egress_world(surroundings=around) as world:
        world.nursery.start_soon(trio.serve_listeners, server, [listener])
        line = "GET http://%s:%d/ HTTP/1.1\r\nHost: x\r\n\r\n"
        assert (await world.ask((line % (HOST, port)).encode())).startswith(b"HTTP/1.1 200")
        world.names.answers = [("127.0.0.1",)]
        assert (await world.ask((line % (HOST, port + 1)).encode())).startswith(b"HTTP/1.1 403")


async def test_this_machines_own_addresses_are_near() -> None:
    assert any(loopback(1) in network for network in networks_near() if network.version == 4)
    assert Surroundings(near=networks_near()).admits(loopback(1)) is False


async def test_the_machines_resolver_is_asked_for_whole_names() -> None:
    with pytest.raises(OSError, match=r"."):
        await look_up("no-such-host.invalid", trio.CapacityLimiter(1))


# --- limits -----------------------------------------------------------------------------------------


async def test_headers_without_end_are_refused() -> None:
    async with egress_world() as world:
        line = b"GET http://%s/ HTTP/1.1\r\nHost: x\r\n" % HOST.encode()
        got = await world.ask(line + b"X: " + b"a" * (2 * HEAD_BYTES_MAX) + b"\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 400 bad_request\r\n")


async def test_what_a_job_moves_is_limited_to_the_byte_and_then_nothing_is() -> None:
    hello = hello_for(HOST)
    async with egress_world(caps=replace(CAPS, job_bytes=2 * len(hello))) as world:
        port = await world.serve(echo)
        stream, _ = await world.tunnel(port)
        async with stream:
            await stream.send_all(hello)
            back = b""
            while len(back) < len(hello):
                back += await stream.receive_some(KIB)
            assert back == hello
            await stream.send_all(b"!")
            assert await rest_of(stream) == b""
        assert world.record.moved_bytes == 2 * len(hello)
        got = await world.ask(f"CONNECT {HOST}:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert got.startswith(b"HTTP/1.1 403 volume_used_up\r\n")
        assert set(reasons(world)) == {Refused.VOLUME}


async def test_more_connections_than_a_job_may_have_wait_and_are_served_in_turn() -> None:
    async with egress_world(caps=replace(CAPS, connections=2)) as world:
        port = await world.serve(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
        first, second = await world.connect(), await world.connect()
        # Both of its connections say nothing, so the third is not even read.
        third = await world.connect()
        await third.send_all(
            b"GET http://%s:%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % (HOST.encode(), port)
        )
        await first.aclose()
        assert (await rest_of(third)).startswith(b"HTTP/1.1 200")
        await second.aclose()
        await third.aclose()


async def test_a_flood_of_connections_leaves_nothing_behind() -> None:
    # One at a time, so that when the last is served all others are over.
    async with egress_world(caps=replace(CAPS, connections=1)) as world:
        port = await world.serve(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
        asked = b"GET http://%s:%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % (HOST.encode(), port)
        assert (await world.ask(asked)).startswith(b"HTTP/1.1 200")
        before = trio.lowlevel.current_statistics().tasks_living
        for number in range(100):
            stream = await world.connect()
            if number % 2:
                await stream.send_all(b"\0" * 100)
            await stream.aclose()
        assert (await world.ask(asked)).startswith(b"HTTP/1.1 200")
        assert trio.lowlevel.current_statistics().tasks_living <= before + 1


async def test_who_drips_a_request_is_refused_in_time() -> None:
    async with egress_world(limits=Limits(head_s=0.2)) as world, await world.connect() as stream:
        await stream.send_all(b"GET http://")
        assert (await rest_of(stream)).startswith(b"HTTP/1.1 408 too_slow\r\n")


async def test_a_tunnel_on_which_nothing_is_said_ends() -> None:
    async with egress_world(limits=Limits(hello_s=0.2)) as world:
        stream, _ = await world.tunnel(await world.serve(echo))
        async with stream:
            await stream.send_all(hello_for(HOST)[:-1])
            assert await rest_of(stream) == b""
        assert reasons(world) == [Refused.TOO_SLOW]


async def test_a_connection_on_which_nothing_moves_ends() -> None:
    async with egress_world(caps=replace(CAPS, idle_s=0.2)) as world:
        port = await world.serve(echo)
        # Whether or not it has come as far as a tunnel by then.
        stream, _ = await world.tunnel(port)
        async with stream:
            await rest_of(stream)


async def test_a_job_that_takes_nothing_is_let_go() -> None:
    async def flood(stream: trio.SocketStream) -> None:
        while True:
            await stream.send_all(bytes(64 * KIB))

    async with egress_world(caps=replace(CAPS, idle_s=0.2, connections=1)) as world:
        port = await world.serve(flood)
        stream, _ = await world.tunnel(port)
        await stream.send_all(hello_for(HOST))
        # The second is served only when the first is over, though that one has not been closed by us.
        assert (await world.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(b"HTTP/1.1 400")
        await stream.aclose()
