"""Jobs with a network in real containers: what they reach, and nothing else."""

import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from engine.bench import PATIENCE_S, Bench
from engine.gang_bench import COORDINATOR, open_node, places
from neurogrid_marketplace.addresses import IpAddress, Surroundings
from neurogrid_marketplace.network import Network, Refused
from neurogrid_node.egress.jobs import JobNetworks
from neurogrid_node.egress.profile import LINK_NAME_PREFIX
from neurogrid_node.settings.network import EgressConfig
from neurogrid_p2p.interfaces import networks_near
from node.egress_world import HOST, until
from p2p.peers import Person

pytestmark = pytest.mark.engine

LOCAL = ipaddress.IPv4Address("127.0.0.1")
FETCHES = """
import sys, urllib.request
print(urllib.request.urlopen("http://{host}:{port}/", timeout=60).read().decode())
"""
LOOKS = """
import errno, glob, json, os, socket, urllib.error, urllib.request
def attempt(action):
    try:
        action()
    except socket.gaierror:
        return "no such name"
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
def reach(host):
    return attempt(lambda: socket.create_connection((host, %(port)d), 2))
def fetch(url):
    try:
        return urllib.request.urlopen(url, timeout=60).status
    except urllib.error.HTTPError as error:
        return error.reason
    except OSError as error:
        return str(error.reason if hasattr(error, "reason") else error)
def raw():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
def packet():
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
def listen(port):
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "interfaces": [name for _, name in socket.if_nameindex()],
    "routes": open("/proc/net/route").read().splitlines()[1:],
    "reach": {host: reach(host) for host in %(hosts)s},
    "dns": attempt(lambda: socket.getaddrinfo("example.org", 443)),
    "udp": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 53))),
    "metadata": fetch("http://169.254.169.254/latest/meta-data/"),
    "name": fetch("http://evil.example/"),
    "tunnel": fetch("https://evil.example/"),
    "port": fetch("http://%(host)s:1/"),
    "raw": attempt(raw),
    "packet": attempt(packet),
    "own_port": attempt(lambda: listen(8000)),
    "proxys_port": attempt(lambda: listen(3128)),
    "capabilities": [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")],
    "daemons_socket": [path for path in glob.glob("/*") if path == "/egress"],
    "variables": sorted(name for name in os.environ if "proxy" in name.lower()),
}))
"""

SEES = """
import errno, os, socket
print(sorted(name for _, name in socket.if_nameindex()))
try:
    socket.create_connection(("rank-0", 3128), 2)
except OSError as error:
    print(errno.errorcode[error.errno])
print(os.environ["NO_PROXY"])
"""
# In the middle of a transfer that has no end it is cut off; what it begins then waits, or is cut off once more.
SURVIVES = """
import http.client, urllib.request
def begin():
    answer = urllib.request.urlopen("http://{host}:{port}/", timeout=60)
    answer.read(1 << 20)
    return answer
answer = begin()
print("began", flush=True)
try:
    while answer.read(1 << 20):
        pass
except (OSError, http.client.HTTPException):
    pass
print("broken", flush=True)
begin()
print("again", flush=True)
"""


@dataclass
class Networks:
    """The networks of one node's jobs, while its daemon lives, and hosts on this machine."""

    bench: Bench
    jobs: JobNetworks
    pinned: dict[tuple[str, int], IpAddress]
    nursery: trio.Nursery
    leases: list[str] = field(default_factory=list)

    async def host(self, handler: Callable[[trio.SocketStream], Awaitable[None]]) -> int:
        """A server that its owner pinned; its port."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = int(listener.socket.getsockname()[1])
        self.pinned[HOST, port] = LOCAL

        async def handle(stream: trio.SocketStream) -> None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                async with stream:
                    await handler(stream)

        self.nursery.start_soon(trio.serve_listeners, handle, [listener])
        return port

    async def start(self, program: str, *allow: str) -> tuple[str, str]:
        """A job with a network; the ids of lease and container."""
        lease_id = self.bench.spec(program).lease_id
        network = Network(allow)
        self.leases.append(lease_id)
        link = await self.jobs.join(lease_id, network)
        return lease_id, await self.bench.start(
            program, lease_id=lease_id, network=network, network_of=link
        )

    async def clean_up(self) -> None:
        for lease_id in self.leases:
            await self.bench.engine.remove(f"neurogrid-{lease_id}")
            await self.jobs.leave(lease_id)

    async def ended(self, container_id: str) -> tuple[int, str]:
        """A job's exit code, and all it said."""
        with trio.fail_after(PATIENCE_S):
            ended = await self.bench.engine.wait(container_id)
            return ended.code, await self.bench.log(container_id)


@asynccontextmanager
async def networks_of(bench: Bench, directory: Path) -> AsyncIterator[Networks]:
    """A node's. Leaving it leaves its containers, as the death of a daemon does."""
    pinned: dict[tuple[str, int], IpAddress] = {}
    folder = directory / "egress"
    folder.mkdir(exist_ok=True)
    async with trio.open_nursery() as nursery:
        jobs = JobNetworks(
            bench.engine,
            folder,
            EgressConfig().caps(),
            lambda: Surroundings(networks_near(), pinned=pinned),
            nursery,
        )
        yield Networks(bench, jobs, pinned, nursery)
        nursery.cancel_scope.cancel()


@pytest.fixture
async def networks(bench: Bench, tmp_path: Path) -> AsyncIterator[Networks]:
    async with networks_of(bench, tmp_path) as found:
        try:
            yield found
        finally:
            with trio.CancelScope(shield=True):
                await found.clean_up()


async def hello(stream: trio.SocketStream) -> None:
    await until(stream, b"\r\n\r\n")
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")


async def test_a_job_reaches_a_host_of_its_list_by_the_variables_that_programs_know(
    networks: Networks,
) -> None:
    port = await networks.host(hello)
    lease_id, container_id = await networks.start(
        FETCHES.format(host=HOST, port=port), f"{HOST}:{port}"
    )
    assert await networks.ended(container_id) == (0, "hello\n")
    use = networks.jobs.use(lease_id)
    assert use is not None
    (host,) = use.hosts
    assert (host.host, host.port, host.connections) == (HOST, port, 1)
    assert host.received_bytes > len("hello")
    assert use.refused == 0


async def test_a_job_reaches_that_and_nothing_else(networks: Networks) -> None:
    """Not the metadata address, the LAN, this machine's ports or DNS, and by no other way than the proxy."""
    (listener,) = await trio.open_tcp_listeners(0, host="0.0.0.0")
    async with listener:
        port = listener.socket.getsockname()[1]
        own = sorted(
            {
                str(network.network_address + 1)
                for network in networks_near()
                if network.version == 4
            }
        )
        hosts = ["169.254.169.254", "192.168.1.1", "172.17.0.1", "192.0.2.1", *own]
        program = LOOKS % {"hosts": hosts, "host": HOST, "port": port}
        lease_id, container_id = await networks.start(program, HOST)
        code, said = await networks.ended(container_id)
    assert code == 0, said
    facts = json.loads(said)
    reached = facts.pop("reach")
    assert {reached.pop(host) for host in list(reached) if host.startswith("127.")} <= {
        "ECONNREFUSED"
    }
    assert set(reached.values()) == {"ENETUNREACH"}
    assert facts == {
        "interfaces": ["lo"],
        "routes": [],
        "dns": "no such name",
        "udp": "ENETUNREACH",
        "metadata": "address_not_name",
        "name": "host_not_listed",
        "tunnel": "Tunnel connection failed: 403 host_not_listed",
        "port": "host_not_listed",
        "raw": "EPERM",
        "packet": "EPERM",
        "own_port": "done",
        "proxys_port": "EADDRINUSE",
        "capabilities": [0, 0, 0],
        "daemons_socket": [],
        "variables": sorted(
            [
                "HTTPS_PROXY",
                "HTTP_PROXY",
                "NEUROGRID_PROXY",
                "NO_PROXY",
                "http_proxy",
                "https_proxy",
                "no_proxy",
            ]
        ),
    }
    use = networks.jobs.use(lease_id)
    assert use is not None
    assert {each.reason for each in use.refusals} == {Refused.NOT_LISTED, Refused.ADDRESS}
    assert use.hosts == ()


async def test_each_jobs_proxy_lets_through_what_its_own_task_lists(networks: Networks) -> None:
    """Two jobs with the same address for their proxy."""
    one, other = await networks.host(hello), await networks.host(hello)
    program = FETCHES.format(host=HOST, port=one)
    first, one_id = await networks.start(program, f"{HOST}:{one}")
    second, other_id = await networks.start(program, f"{HOST}:{other}")
    assert await networks.ended(one_id) == (0, "hello\n")
    code, said = await networks.ended(other_id)
    assert code == 1
    assert "host_not_listed" in said
    uses = networks.jobs.use(first), networks.jobs.use(second)
    assert [use.refused if use else None for use in uses] == [0, 1]


async def test_a_job_outlives_the_death_of_its_nodes_daemon_and_has_its_network_again_after_it(
    bench: Bench, tmp_path: Path
) -> None:
    async def endless(stream: trio.SocketStream) -> None:
        await until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.send_all(bytes(1 << 16))

    async with networks_of(bench, tmp_path) as networks:
        port = await networks.host(endless)
        lease_id = bench.spec("").lease_id
        command = [sys.executable, "-m", "engine.egress_process", str(tmp_path / "egress")]
        command += [bench.engine.node_id, lease_id, HOST, str(port)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}

        async def daemon() -> tuple[trio.Process, str]:
            process = await trio.lowlevel.open_process(
                command, stdout=subprocess.PIPE, env=environment
            )
            assert process.stdout is not None
            line = b""
            while not line.endswith(b"\n") and (piece := await process.stdout.receive_some(100)):
                line += piece
            return process, line.decode().strip()

        process: trio.Process | None = None
        try:
            with trio.fail_after(PATIENCE_S):
                process, link = await daemon()
                container_id = await bench.start(
                    SURVIVES.format(host=HOST, port=port),
                    lease_id=lease_id,
                    network=Network((f"{HOST}:{port}",)),
                    network_of=link,
                )
                async with bench.engine.follow_logs(container_id) as chunks:
                    said = ""
                    async for chunk in chunks:
                        said += chunk.text
                        if said.endswith("began\n"):
                            process.kill()
                            await process.wait()
                        if said.endswith("broken\n"):
                            process, again = await daemon()
                            assert again == link, "it finds the link as it was"
                assert said == "began\nbroken\nagain\n"
                assert (await bench.engine.wait(container_id)).code == 0
        finally:
            with trio.CancelScope(shield=True):
                if process is not None:
                    process.kill()
                    await process.wait()
                await bench.engine.remove(f"neurogrid-{lease_id}")
                await networks.jobs.leave(lease_id)


async def test_what_a_job_moved_is_still_known_after_a_restart(
    bench: Bench, tmp_path: Path
) -> None:
    async with networks_of(bench, tmp_path) as networks:
        port = await networks.host(hello)
        network = f"{HOST}:{port}"
        lease_id, container_id = await networks.start(FETCHES.format(host=HOST, port=port), network)
        assert (await networks.ended(container_id))[0] == 0
        before = networks.jobs.use(lease_id)
    async with networks_of(bench, tmp_path) as networks:
        await networks.jobs.resume(lease_id, Network((network,)))
        assert networks.jobs.use(lease_id) == before
        networks.leases.append(lease_id)
        await networks.clean_up()
        assert networks.jobs.use(lease_id) is None


async def test_a_link_goes_with_its_lease_and_what_is_of_no_lease_is_swept(
    networks: Networks, tmp_path: Path
) -> None:
    lease_id, _ = await networks.start("", HOST)
    forgotten, _ = await networks.start("", HOST)
    engine = networks.bench.engine
    assert len(await engine.list_links(LINK_NAME_PREFIX)) == 2
    await networks.jobs.sweep({lease_id})
    assert [link.lease_id for link in await engine.list_links(LINK_NAME_PREFIX)] == [lease_id]
    for each in (lease_id, forgotten):
        await networks.jobs.leave(each)
        await networks.jobs.leave(each)
    assert await engine.list_links(LINK_NAME_PREFIX) == ()
    assert list((tmp_path / "egress").iterdir()) == []


async def test_the_end_of_a_link_is_noticed(networks: Networks) -> None:
    lease_id, _ = await networks.start("import time; time.sleep(600)", HOST)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(networks.jobs.until_lost, lease_id)
            await networks.bench.engine.kill(LINK_NAME_PREFIX + lease_id)


async def test_a_machine_that_can_hold_a_link_says_so_and_keeps_nothing_of_the_trial(
    networks: Networks, tmp_path: Path
) -> None:
    assert await networks.jobs.obstacle() == ""
    assert list((tmp_path / "egress").iterdir()) == []
    assert await networks.bench.engine.list_links(LINK_NAME_PREFIX) == ()


async def test_a_member_of_a_gang_reaches_its_gang_and_its_hosts(
    bench: Bench, tmp_path: Path
) -> None:
    folder = tmp_path / "gangs"
    folder.mkdir()
    async with (
        networks_of(bench, tmp_path) as networks,
        open_node(folder, Person()) as node,
        open_node(folder, Person()) as other,
    ):
        port = await networks.host(hello)
        gang = places([node, other])
        network = Network((f"{HOST}:{port}",))
        # The gang's engine is another node's here, and so is its link; the network is joined by its id.
        link = await node.gangs.join(node.lease_id, COORDINATOR.peer_id, gang[0])
        try:
            held = await networks.jobs.join(node.lease_id, network, link)
            assert held == link
            program = FETCHES.format(host=HOST, port=port) + SEES
            container_id = await bench.start(
                program, lease_id=node.lease_id, network=network, place=gang[0], network_of=held
            )
            code, said = await networks.ended(container_id)
            assert code == 0, said
            assert said.splitlines() == [
                "hello",
                "['gang0', 'lo']",
                # Other members reach nothing of its proxy.
                "ECONNREFUSED",
                "localhost,127.0.0.1,::1,rank-0,rank-1,10.77.0.1,10.77.0.2",
            ]
        finally:
            with trio.CancelScope(shield=True):
                await bench.engine.remove(f"neurogrid-{node.lease_id}")
                await networks.jobs.leave(node.lease_id)
                await node.clean_up()
                await other.clean_up()
