"""How fast members of a gang are with each other, beside the loopback of one container and a bare libp2p stream.

Both nodes run in this process, as both ends of the bare stream do; on two machines each has its own.
"""

import tempfile
from pathlib import Path
from statistics import median

import trio

from engine.gang_bench import Node, a_relay, open_nodes, places
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.host import open_host
from neurogrid_p2p.limits import RelayLimits
from p2p.peers import PROTOCOL, Person, listening

from .report import Figure, beside

_ROUNDS = 3
_MIB = 1 << 20
_SIZE_MIB = 64
_PIECE_BYTES = 65_000

# Answers each byte, then takes all that comes.
_SERVER = """
import socket
server = socket.create_server(("0.0.0.0", 29500))
def serve():
    connection, _ = server.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(200):
        connection.sendall(connection.recv(1))
    while connection.recv(1 << 20):
        pass
    connection.sendall(b"!")
"""
# Says how many milliseconds an answer takes, and how many MiB go through in a second.
_CLIENT = f"""
import socket, statistics, time
def measure(host):
    while True:
        try:
            connection = socket.create_connection((host, 29500))
            break
        except OSError:
            time.sleep(0.1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    took_s = []
    for _ in range(200):
        began_s = time.perf_counter()
        connection.sendall(b"?")
        connection.recv(1)
        took_s.append(time.perf_counter() - began_s)
    began_s = time.perf_counter()
    for _ in range({_SIZE_MIB}):
        connection.sendall(bytes(1 << 20))
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)
    took = time.perf_counter() - began_s
    print(statistics.median(took_s) * 1000, {_SIZE_MIB} / took, flush=True)
"""
_ALONE = f"""
{_SERVER}
{_CLIENT}
import threading
thread = threading.Thread(target=serve)
thread.start()
measure("127.0.0.1")
thread.join()
"""


def measure() -> list[Figure]:
    """Bandwidth and latency; medians of the rounds, which take turns."""
    with tempfile.TemporaryDirectory(prefix="neurogrid-gangs-") as directory:
        return trio.run(_measure, Path(directory))


async def _measure(directory: Path) -> list[Figure]:
    alone, direct, relayed, bare = [], [], [], []
    for _ in range(_ROUNDS):
        async with open_nodes(directory, 2) as nodes:
            direct.append(await _between(nodes))
        async with open_nodes(directory, 2) as nodes:
            alone.append(await _within(nodes))
        async with (
            a_relay(RelayLimits()) as relay,
            open_nodes(directory, 2, listen=(), relay=relay) as nodes,
        ):
            relayed.append(await _between(nodes))
        bare.append(await _bare())
    loopback_ms, loopback = (median(column) for column in zip(*alone, strict=True))
    figures = []
    for name, measured in (("gang", direct), ("gang_relayed", relayed)):
        answer_ms, speed = (median(column) for column in zip(*measured, strict=True))
        figures += [
            beside(f"{name}_answer_ms", answer_ms, "ms", "loopback", loopback_ms, _ROUNDS),
            beside(f"{name}_mib_per_s", speed, "MiB/s", "bare stream", median(bare), _ROUNDS),
            beside(f"{name}_mib_per_s", speed, "MiB/s", "loopback", loopback, _ROUNDS),
        ]
    return figures


async def _between(nodes: list[Node]) -> tuple[float, float]:
    gang = places(nodes)
    await nodes[0].start(gang[0], _SERVER + "serve()")
    client = await nodes[1].start(gang[1], _CLIENT + 'measure("rank-0")')
    return _read(await nodes[1].ended(client))


async def _within(nodes: list[Node]) -> tuple[float, float]:
    return _read(await nodes[0].ended(await nodes[0].start(places(nodes)[0], _ALONE)))


def _read(ended: tuple[object, str]) -> tuple[float, float]:
    answer_ms, mib_per_s = ended[1].split()
    return float(answer_ms), float(mib_per_s)


async def _bare() -> float:
    """MiB a second over a stream of bytes between two hosts."""
    size = _SIZE_MIB * _MIB
    done = trio.Event()

    async def take(stream: ByteStream) -> None:
        left = size
        while left:
            left -= len(await stream.read(4 * _PIECE_BYTES))
        done.set()

    async with listening() as server, open_host(Person().seed) as client:
        server.serve_bytes(PROTOCOL, take)
        connection = await client.connect(server.addresses[0])
        stream = ByteStream(connection, await connection.open_stream(PROTOCOL))
        began_s = trio.current_time()
        for begin in range(0, size, _PIECE_BYTES):
            await stream.write(bytes(min(_PIECE_BYTES, size - begin)))
        await done.wait()
        took_s = trio.current_time() - began_s
        connection.abort()
    return _SIZE_MIB / took_s
