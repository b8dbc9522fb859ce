"""A job's proxy on real sockets, hosts that it may reach, and what the job sees of them."""

import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trio

from neurogrid_marketplace.addresses import IpAddress, Surroundings
from neurogrid_marketplace.network import Network
from neurogrid_node.egress.caps import Caps
from neurogrid_node.egress.dialling import Dialler
from neurogrid_node.egress.flow import Flow
from neurogrid_node.egress.proxy import Limits, Proxy
from neurogrid_node.egress.record import Record

# A shared machine can be slow; what takes this long here hangs.
PATIENCE_S = 60
HOST = "files.example.com"
# This machine's, and in these tests the only one that counts as the internet's.
INTERNET = "127.0.0.2"
CAPS = Caps(
    job_bytes=1 << 40,
    bytes_per_s=1e12,
    connections=64,
    connections_per_s=1e9,
    idle_s=PATIENCE_S,
)


class OneAddress(Surroundings):
    """An internet with one address; everything else is private."""

    def admits(self, address: IpAddress) -> bool:
        return str(address) == INTERNET


@dataclass
class Names:
    """A resolver that says what it is told to, an answer at a time, and the last one from then on."""

    answers: list[Sequence[str]] = field(default_factory=lambda: [(INTERNET,)])
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, limiter: trio.CapacityLimiter) -> Sequence[str]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not answer:
            raise OSError("there is no such name")
        return answer


@dataclass
class World:
    """A proxy that runs."""

    record: Record
    names: Names
    address: tuple[str, int]
    nursery: trio.Nursery

    async def connect(self) -> trio.SocketStream:
        """As the job connects to its proxy."""
        return await trio.open_tcp_stream(*self.address)

    async def ask(self, data: bytes) -> bytes:
        """All that the proxy answers to these bytes."""
        async with await self.connect() as stream:
            await stream.send_all(data)
            return await rest_of(stream)

    async def tunnel(self, port: int, host: str = HOST) -> tuple[trio.SocketStream, bytes]:
        """A connection on which a tunnel was asked for, and the first line of the answer."""
        stream = await self.connect()
        await stream.send_all(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head = await until(stream, b"\r\n\r\n")
        return stream, head.split(b"\r\n")[0]

    async def serve(self, handler: Callable[[trio.SocketStream], Awaitable[None]]) -> int:
        """A host on the internet, for as long as the world lasts; its port."""
        (listener,) = await trio.open_tcp_listeners(0, host=INTERNET)

        async def handle(stream: trio.SocketStream) -> None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                async with stream:
                    await handler(stream)

        self.nursery.start_soon(trio.serve_listeners, handle, [listener])
        return int(listener.socket.getsockname()[1])


@asynccontextmanager
async def egress_world(
    *,
    caps: Caps = CAPS,
    allow: Sequence[str] | None = None,
    surroundings: Surroundings | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[World]:
    """A job's proxy.

    Args:
        allow: the task's list; None: `HOST` at any port.
    """
    record, names = Record(), Names()
    around = surroundings or OneAddress()
    proxy = Proxy(
        "lease_1",
        AnyPort((HOST,)) if allow is None else Network(tuple(allow)),
        Dialler(lambda: around, names),
        Flow(caps, record),
        trio.Semaphore(64),
        limits or Limits(),
    )
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(proxy.run, listener)
        with trio.fail_after(PATIENCE_S):
            yield World(record, names, listener.socket.getsockname()[:2], nursery)
        nursery.cancel_scope.cancel()


class AnyPort(Network):
    """The ports of hosts in tests are the kernel's choice."""

    def admits(self, host: str, port: int) -> bool:
        return host in self.allow


async def rest_of(stream: trio.SocketStream) -> bytes:
    """Everything up to the end."""
    data = b""
    with suppress(trio.BrokenResourceError):
        while piece := await stream.receive_some(1 << 16):
            data += piece
    return data


async def until(stream: trio.SocketStream, mark: bytes) -> bytes:
    """Everything up to a mark, or to the end."""
    data = b""
    while mark not in data and (piece := await stream.receive_some(1)):
        data += piece
    return data


def loopback(number: int) -> ipaddress.IPv4Address:
    """One of this machine's own addresses."""
    return ipaddress.IPv4Address(f"127.0.0.{number}")
