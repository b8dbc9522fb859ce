"""Members of a gang in real containers: what they reach of each other, and nothing else."""

import json
import logging
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from engine.gang_bench import (
    COORDINATOR,
    Node,
    a_relay,
    link_of,
    open_node,
    open_nodes,
    places,
)
from marketplace.test_gang_packets import packet
from neurogrid_marketplace.gang import GangPlace, address_of
from neurogrid_marketplace.gang_packets import (
    GANG_PROTOCOL_ID,
    HEADER_BYTES,
    Drop,
    greeting_of,
)
from neurogrid_node.container.errors import ContainerGone
from neurogrid_node.container.links import LinkFailed
from neurogrid_node.gang.profile import LINK_NAME_PREFIX, link_name
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.host import open_host
from neurogrid_p2p.limits import RelayLimits
from p2p.peers import Person

pytestmark = pytest.mark.engine

MIB = 1 << 20
PATIENCE_S = 60
# Rank 0 takes what comes and says what it was; the others send.
TAKES = """
import hashlib, socket
with socket.create_server(("0.0.0.0", 29500)) as server:
    for _ in range({senders}):
        connection, (address, _) = server.accept()
        digest, size = hashlib.sha256(), 0
        while data := connection.recv(1 << 20):
            digest.update(data); size += len(data)
            if size == len(data):
                print("began", flush=True)
        connection.sendall(digest.hexdigest().encode())
        print(address, size, flush=True)
"""
SENDS = """
import hashlib, random, socket, time
data = random.Random({seed}).randbytes({size})
while True:
    try:
        connection = socket.create_connection(("rank-0", 29500), 60)
        break
    except OSError:
        time.sleep(0.1)
connection.sendall(data)
connection.shutdown(socket.SHUT_WR)
answer = connection.recv(64, socket.MSG_WAITALL).decode()
assert answer == hashlib.sha256(data).hexdigest(), answer
print("same")
"""
# Echoes, over ICMP, which any member may.
PINGS = """
import socket, struct, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as icmp:
    icmp.settimeout(1)
    for number in range(60):
        icmp.sendto(struct.pack(">BBHHH", 8, 0, 0, 0, number) + b"x" * 8000, ("rank-1", 0))
        try:
            data, (address, _) = icmp.recvfrom(65535)
        except TimeoutError:
            continue
        print(address, len(data))
        break
"""
LOOKS = """
import errno, json, os, socket
def attempt(action):
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
def reach(host):
    return attempt(lambda: socket.create_connection((host, 80), 2))
def as_another():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("10.77.0.2", 0))
def raw():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "interfaces": sorted(name for _, name in socket.if_nameindex()),
    "routes": [line.split()[:3] for line in open("/proc/net/route")][1:],
    "mtu": open("/sys/class/net/gang0/mtu").read().strip(),
    "hosts": [line.split() for line in open("/etc/hosts") if "rank-" in line],
    "hostname": socket.gethostname(),
    "reach": {host: reach(host) for host in ("172.17.0.1", "169.254.169.254", "192.0.2.1")},
    "capabilities": [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")],
    "tun": attempt(lambda: open("/dev/net/tun")),
    "socket": os.path.exists("/gang"),
    "raw": attempt(raw),
    "as_another": attempt(as_another),
    "write_hosts": attempt(lambda: open("/etc/hosts", "a")),
}))
"""


async def transfer(nodes: Sequence[Node], size: int = 10 * MIB) -> str:
    """Every other rank sends to rank 0; what rank 0 says."""
    gang = places(nodes)
    takes = await nodes[0].start(gang[0], TAKES.format(senders=len(nodes) - 1))
    senders = [
        await node.start(place, SENDS.format(seed=place.rank, size=size))
        for node, place in zip(nodes[1:], gang[1:], strict=True)
    ]
    for node, container_id in zip(nodes[1:], senders, strict=True):
        ended, said = await node.ended(container_id)
        assert (ended.code, said) == (0, "same\n")
    ended, said = await nodes[0].ended(takes)
    assert ended.code == 0, said
    return said.replace("began\n", "")


async def test_three_members_reach_each_other_by_name_and_what_is_sent_arrives(
    tmp_path: Path,
) -> None:
    async with open_nodes(tmp_path, 3) as nodes:
        said = await transfer(nodes)
        assert sorted(said.splitlines()) == [f"10.77.0.{i} {10 * MIB}" for i in (2, 3)]


async def test_members_answer_a_ping_as_large_as_a_packet_may_be(tmp_path: Path) -> None:
    async with open_nodes(tmp_path, 2) as nodes:
        gang = places(nodes)
        # Its kernel answers; the program only has to be there.
        await nodes[1].start(gang[1], "import time; time.sleep(600)")
        _, said = await nodes[0].ended(await nodes[0].start(gang[0], PINGS))
        assert said == "10.77.0.2 8008\n"


async def test_nodes_that_nobody_can_dial_use_the_coordinators_relay_and_lose_nothing_when_it_ends_a_circuit(
    tmp_path: Path,
) -> None:
    # What is sent is five times what one circuit carries.
    async with (
        a_relay(RelayLimits(circuit_bytes=2 * MIB)) as relay,
        open_nodes(tmp_path, 2, listen=(), relay=relay) as nodes,
    ):
        assert await transfer(nodes) == f"10.77.0.2 {10 * MIB}\n"


async def test_a_connection_between_members_outlives_the_death_of_a_nodes_daemon(
    tmp_path: Path,
) -> None:
    zero = Person()
    async with open_nodes(tmp_path, 1) as (other,):
        # At a megabyte a second the transfer takes long enough to die in the middle of it.
        async with open_node(tmp_path, zero, bytes_per_s=MIB) as node:
            gang = places([node, other])
            takes = await node.start(gang[0], TAKES.format(senders=1))
            sends = await other.start(gang[1], SENDS.format(seed=1, size=10 * MIB))
            async with node.engine.follow_logs(takes) as chunks:
                async for chunk in chunks:
                    assert chunk.text == "began\n"
                    break
            addresses, lease_id = node.host.listen_addresses, node.lease_id
        async with open_node(tmp_path, zero, listen=addresses, lease_id=lease_id) as again:
            try:
                await again.gangs.resume(lease_id, COORDINATOR.peer_id, gang[0])
                _, said = await other.ended(sends)
                assert said == "same\n"
                _, said = await again.ended(takes)
                assert said == f"began\n10.77.0.2 {10 * MIB}\n"
            finally:
                with trio.CancelScope(shield=True):
                    await again.clean_up()


async def test_a_member_finds_its_gang_and_nothing_else(tmp_path: Path) -> None:
    async with open_nodes(tmp_path, 2) as nodes:
        gang = places(nodes)
        ended, said = await nodes[0].ended(await nodes[0].start(gang[0], LOOKS))
        assert ended.code == 0, said
        facts = json.loads(said)
        assert facts == {
            "interfaces": ["gang0", "lo"],
            "routes": [["gang0", "00004D0A", "00000000"]],
            "mtu": "9000",
            "hosts": [["10.77.0.1", "rank-0"], ["10.77.0.2", "rank-1"]],
            "hostname": "job",
            "reach": dict.fromkeys(("172.17.0.1", "169.254.169.254", "192.0.2.1"), "ENETUNREACH"),
            "capabilities": [0, 0, 0],
            "tun": "ENOENT",
            "socket": False,
            "raw": "EPERM",
            "as_another": "EADDRNOTAVAIL",
            "write_hosts": "EACCES",
        }


async def test_two_gangs_on_the_same_nodes_do_not_hear_each_other(tmp_path: Path) -> None:
    async with open_nodes(tmp_path, 2) as nodes:
        one = places(nodes)
        other = places(nodes)
        async with AsyncExitStack() as stack:
            ends = []
            for gang in (one, other):
                for node, place in zip(nodes, gang, strict=True):
                    twin = replace(node, lease_id=f"lease_{os.urandom(16).hex()}")
                    await twin.gangs.resume(twin.lease_id, COORDINATOR.peer_id, place)
                    stack.push_async_callback(twin.gangs.leave, twin.lease_id)
                    ends.append(await stack.enter_async_context(link_of(twin)))
            for number, sender in ((1, ends[1]), (2, ends[3])):
                await sender.send_all(packet(payload=b"gang %d" % number))
            for number, taker in ((1, ends[0]), (2, ends[2])):
                assert await next_packet(taker) == packet(payload=b"gang %d" % number)


async def next_packet(link: trio.SocketStream) -> bytes:
    """The next frame that comes to a link."""
    data = b""
    with trio.fail_after(PATIENCE_S):
        while len(data) < HEADER_BYTES or len(data) < HEADER_BYTES + int.from_bytes(
            data[:HEADER_BYTES]
        ):
            piece = await link.receive_some(1)
            assert piece, "the node hung up"
            data += piece
    return data


async def greet(node: Node, person: Person, place: GangPlace, stack: AsyncExitStack) -> ByteStream:
    """Come to a node as ``person``, and say that we have this place in a gang."""
    host = await stack.enter_async_context(open_host(person.seed))
    connection = await host.connect(node.host.addresses[0])
    stack.callback(connection.abort)
    stream = ByteStream(connection, await connection.open_stream(GANG_PROTOCOL_ID))
    await stream.write(greeting_of(place))
    return stream


async def exactly(stream: ByteStream, size: int) -> bytes:
    data = b""
    with trio.fail_after(PATIENCE_S):
        while len(data) < size:
            piece = await stream.read(size - len(data))
            assert piece, "the node hung up"
            data += piece
    return data


async def test_only_members_of_this_attempt_are_let_in_and_only_as_who_they_are(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(open_nodes(tmp_path, 3))
        gang = places(nodes, dialled={0})
        await nodes[0].gangs.resume(nodes[0].lease_id, COORDINATOR.peer_id, gang[0])
        hostile = [
            (Person(), gang[1]),
            (nodes[2].person, gang[1]),
            (nodes[1].person, replace(gang[1], attempt=2)),
            (nodes[1].person, replace(gang[1], gang_id=f"task_{'0' * 32}")),
        ]
        for person, place in hostile:
            stream = await greet(nodes[0], person, place, stack)
            with trio.fail_after(PATIENCE_S), pytest.raises(ChannelClosed):
                await stream.read(1)
        good = await greet(nodes[0], nodes[1].person, gang[1], stack)
        assert await exactly(good, len(greeting_of(gang[0]))) == greeting_of(gang[0])


async def test_a_members_node_that_lies_about_its_packets_is_not_heard_and_not_cut_off(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(open_nodes(tmp_path, 3))
        gang = places(nodes, dialled={0})
        await nodes[0].gangs.resume(nodes[0].lease_id, COORDINATOR.peer_id, gang[0])
        link = await stack.enter_async_context(link_of(nodes[0]))
        stream = await greet(nodes[0], nodes[1].person, gang[1], stack)
        await exactly(stream, len(greeting_of(gang[0])))
        await stream.write(
            packet(source=address_of(2))
            + packet(destination=address_of(2))
            + packet(destination="192.0.2.1")
            + packet(first=0x65)
            + packet(payload=b"honest")
        )
        assert await next_packet(link) == packet(payload=b"honest")
        assert nodes[0].gangs.dropped(nodes[0].lease_id) == {
            Drop.WRONG_SOURCE: 1,
            Drop.WRONG_DESTINATION: 2,
            Drop.NOT_IPV4: 1,
        }


async def test_a_members_second_stream_ends_its_first_and_a_lease_that_leaves_hangs_up(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(open_nodes(tmp_path, 2))
        gang = places(nodes, dialled={0})
        await nodes[0].gangs.resume(nodes[0].lease_id, COORDINATOR.peer_id, gang[0])
        link = await stack.enter_async_context(link_of(nodes[0]))
        hello = len(greeting_of(gang[0]))
        first = await greet(nodes[0], nodes[1].person, gang[1], stack)
        await exactly(first, hello)
        second = await greet(nodes[0], nodes[1].person, gang[1], stack)
        await exactly(second, hello)
        with trio.fail_after(PATIENCE_S), pytest.raises(ChannelClosed):
            await first.read(1)
        back = packet(address_of(0), address_of(1))
        await link.send_all(back)
        assert await exactly(second, len(back)) == back
        await nodes[0].gangs.leave(nodes[0].lease_id)
        with trio.fail_after(PATIENCE_S), pytest.raises(ChannelClosed):
            await second.read(1)


async def test_the_end_of_a_link_is_noticed_and_it_is_not_begun_again(tmp_path: Path) -> None:
    async with open_nodes(tmp_path, 2) as nodes:
        node, place = nodes[0], places(nodes)[0]
        await node.start(place, "import time; time.sleep(600)")
        # A second call finds the first one's.
        link = await node.gangs.join(node.lease_id, COORDINATOR.peer_id, place)
        with trio.move_on_after(0.2) as waited:
            await node.gangs.until_lost(node.lease_id)
        assert waited.cancelled_caught
        await node.engine.kill(link)
        with trio.fail_after(PATIENCE_S):
            await node.gangs.until_lost(node.lease_id)
        with pytest.raises(LinkFailed, match="did not come up"):
            await node.gangs.join(node.lease_id, COORDINATOR.peer_id, place)


async def test_a_lease_that_leaves_takes_everything_with_it_and_what_is_forgotten_is_swept(
    tmp_path: Path,
) -> None:
    async with open_nodes(tmp_path, 2) as nodes:
        node, place = nodes[0], places(nodes)[0]
        await node.gangs.join(node.lease_id, COORDINATOR.peer_id, place)
        await node.gangs.leave(node.lease_id)
        with pytest.raises(ContainerGone):
            await node.engine.inspect(link_name(node.lease_id))
        assert list(node.directory.iterdir()) == []
        await node.gangs.leave(node.lease_id)
        # Now a daemon dies with a link up, and forgets its lease.
        other, place = nodes[1], places(nodes)[1]
        await other.gangs.join(other.lease_id, COORDINATOR.peer_id, place)
        assert [link.lease_id for link in await other.engine.list_links(LINK_NAME_PREFIX)] == [
            other.lease_id
        ]
        assert await other.engine.list_leases() == (), "a link is nobody's job"
        await other.gangs.sweep({other.lease_id})
        assert len(await other.engine.list_links(LINK_NAME_PREFIX)) == 1
        await other.gangs.sweep(set())
        assert await other.engine.list_links(LINK_NAME_PREFIX) == ()
        assert list(other.directory.iterdir()) == []


async def test_this_machine_can_hold_gangs_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_nodes(tmp_path, 2) as nodes:
        with caplog.at_level(logging.WARNING):
            assert await nodes[0].gangs.obstacle() == ""
        assert caplog.messages == []
        assert await nodes[0].engine.list_links(LINK_NAME_PREFIX) == ()
