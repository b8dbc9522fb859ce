"""The patches of libp2p: that they are still applied to what they were written for, and that they work."""

import hashlib
import importlib.metadata
import inspect
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from neurogrid_p2p import patches
from neurogrid_p2p._libp2p import ConnectionClosedError, MuxedStreamError, yamux
from neurogrid_p2p.host import open_host
from neurogrid_p2p.limits import WINDOW_BYTES
from neurogrid_p2p.patches import LIBP2P_VERSION, Muxer, Stream
from p2p.peers import PROTOCOL, Person, channel_pair, listening, raw_connection, until
from p2p.yamux_pair import yamux_pair

# SHA-256 of the source of what is overridden, and of what calls it. If one of these fails, libp2p has
# changed: read the method again, and drop the patch or bring it up to date.
STOCK = {
    "YamuxStream.__init__": "ab24c0709285d573f546dc1100b25ed0b8162e72df750004c0c103729256449b",
    "YamuxStream.read": "ca585f2199fd4e83cc1ceffe0b28c0d2c176c0af426ce6fe0c155d79038bd9e9",
    "YamuxStream.write": "d87f74dfb53ab194e7907a44c7400ce2f7e64f8cde63b5840af83772b17547af",
    "YamuxStream.send_window_update": "f76fe6e67077b4a3bf26cc3bc469047002367bb028353548c070cb121e27a3f4",
    "YamuxStream._auto_tune_and_send_window_update": "6ebcbd822fe7f996efbc9efd5dceea1e8d0d729380a807eb7e4aa81cf79ca036",
    "Yamux.__init__": "3b11a2a71ca444ca7b621d7deac2caa2254260af54e2cac958ce275cafbeb691",
    "Yamux.start": "bd1a114758a61e42e021196155c280a6dde90069b17cf63a3907ffe1c77ca34a",
    "Yamux.open_stream": "f3e0ef79ec21d0cb287994314e8ab226c6d58145b0a24c43806072438e39583f",
    "Yamux.handle_incoming": "ad15ff6943feac206c7abfbf77f2142a64bb5edbe9085e3ccdda371736abdc7b",
    "Yamux._write_frame": "16ff969cdd0d2b1b296bf1b1765471239ce96e18c8b00784ef77a2fb808c4d5b",
    "Yamux._read_data_body": "54cc06c91ba6ee159e0eefaf4802b3111fdce60fe1de566e267127c5fb2e0c41",
    "Yamux._cleanup_on_error": "4fed61a999a34989b7d5e7bdd28069dd24e5f01142b7bb06c936cbf07a0fac6b",
    "Yamux._measure_rtt_loop": "86222ce6e35836fd208cd7d3aea56fbfe1943c646c0033118695aaabd8cf9c28",
}

# They override nothing of libp2p's.
OURS_ALONE = frozenset({"_wait_for_window", "_write_frames", "_deliver", "_has_room"})


def test_a_window_is_as_large_as_the_stock_one() -> None:
    assert yamux.DEFAULT_WINDOW_SIZE == WINDOW_BYTES


def test_the_release_is_the_one_that_was_read() -> None:
    assert importlib.metadata.version("libp2p") == LIBP2P_VERSION


@pytest.mark.parametrize("name", STOCK)
def test_the_stock_method_is_the_one_that_was_read(name: str) -> None:
    class_name, method = name.split(".")
    # The module's own name for the stream class is replaced, so it is found as our base.
    stock = Stream.__base__ if class_name == "YamuxStream" else yamux.Yamux
    source = inspect.getsource(getattr(stock, method))
    assert hashlib.sha256(source.encode()).hexdigest() == STOCK[name]


def test_libp2p_makes_our_streams() -> None:
    assert yamux.YamuxStream is Stream
    for own, stock in ((Stream, Stream.__base__), (Muxer, yamux.Yamux)):
        for name, member in vars(own).items():
            if inspect.isfunction(member) and name.startswith("_") and name != "__init__":
                assert name in OURS_ALONE or hasattr(stock, name), f"{name} overrides nothing"


@asynccontextmanager
async def two_streams() -> AsyncIterator[tuple[Stream, Stream]]:
    """Two streams of one connection; what arrives on the first is counted, the second echoes."""

    async def accepted(channel: object) -> None:
        await trio.sleep_forever()

    async with listening() as host:
        host.serve(PROTOCOL, accepted)
        async with raw_connection(host.addresses[0], Person().seed) as connection:
            yield (
                await connection.open_stream(PROTOCOL),
                await connection.open_stream(PROTOCOL),
            )


async def test_a_cancelled_write_does_not_tear_the_other_stream() -> None:
    async with two_streams() as (torn, other):
        header = struct.pack(
            yamux.YAMUX_HEADER_FORMAT, 0, yamux.TYPE_DATA, 0, torn.stream_id, 60_000
        )
        frame = header + struct.pack(">I", 1_000_000) + bytes(59_996)
        for _ in range(8):
            with trio.move_on_after(0):
                await torn.conn._write_frame(frame)
        # Had one been torn, the peer would have lost the thread and closed.
        await other.write(b"\x00\x00\x00\x01\x80")
        await trio.sleep(0.3)
        assert not other.closed
        assert not torn.conn.event_shutting_down.is_set()


async def test_small_frames_of_many_streams_leave_together(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    async with yamux_pair(monkeypatch, stock=False) as (one, other):
        streams = [await one.open_stream() for _ in range(5)]
        there = [await other.accept_stream() for _ in range(5)]
        before = len(one.wire.frames)
        one.wire.hold()
        async with trio.open_nursery() as nursery:
            for number, stream in enumerate(streams):
                nursery.start_soon(stream.write, b"%d" % number)
            await trio.testing.wait_all_tasks_blocked()
            one.wire.open.set()
        # The first alone, and all that came while it left.
        assert len(one.wire.frames) - before == 2
        heard = {each.stream_id: await each.read(10) for each in there}
        assert heard == {each.stream_id: b"%d" % number for number, each in enumerate(streams)}


async def test_a_cancelled_read_loses_nothing() -> None:
    total = 400_000
    async with channel_pair() as (one, other):
        stream = other._stream
        # Nobody else reads: the channel's own reader waits in `receive` with one message.
        await one.send({"n": 0})
        await trio.sleep(0.1)
        await one.send({"data": bytes(i % 251 for i in range(total))})
        received = bytearray()
        cancelled = 0
        while len(received) < total:
            with trio.move_on_after(0.0003) as scope:
                while len(received) < total:
                    received += await stream.read(1_000)
            cancelled += scope.cancelled_caught
        start = received.index(bytes(range(251)))
        assert cancelled > 0
        assert received[start : start + total] == bytes(i % 251 for i in range(total))


async def test_what_arrived_before_the_end_is_read_after_it() -> None:
    async with channel_pair() as (one, other):
        for number in range(30):
            await one.send({"n": number, "filling": "x" * 3_000})
        await one.aclose()
        await until(lambda: other.closed_reason is not None)
        assert [(await other.receive())["n"] for _ in range(30)] == list(range(30))


async def test_a_write_to_a_frozen_peer_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "WRITE_LIMIT_S", 0.3)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with open_host(Person().seed), trio.open_nursery() as nursery:
        async with listening() as host:
            # A relay that stops relaying is what a frozen peer looks like from here.
            freeze = trio.Event()
            nursery.start_soon(relay, listeners[0], host.listen_addresses[0], freeze)
            host.serve(PROTOCOL, _ignore)
            address = f"/ip4/127.0.0.1/tcp/{port}/p2p/{host.peer_id}"
            async with raw_connection(address, Person().seed) as connection:
                stream = await connection.open_stream(PROTOCOL)
                freeze.set()
                started = trio.current_time()
                with pytest.raises((MuxedStreamError, ConnectionClosedError)):
                    await write_frames(stream)
                assert trio.current_time() - started < 10
                await connection.ended.wait()
        nursery.cancel_scope.cancel()


async def _ignore(channel: object) -> None:
    await trio.sleep_forever()


async def write_frames(stream: Stream) -> None:
    header = struct.pack(yamux.YAMUX_HEADER_FORMAT, 0, yamux.TYPE_DATA, 0, stream.stream_id, 60_000)
    while True:
        await stream.conn._write_frame(header + bytes(60_000))


async def relay(listener: trio.SocketListener, target: str, freeze: trio.Event) -> None:
    port = int(target.rsplit("/", 1)[1])
    near = await listener.accept()
    far = await trio.open_tcp_stream("127.0.0.1", port)

    async def copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        while not freeze.is_set():
            with trio.move_on_after(0.05):
                data = await source.receive_some()
                await sink.send_all(data)

    async with listener, near, far, trio.open_nursery() as nursery:
        nursery.start_soon(copy, near, far)
        nursery.start_soon(copy, far, near)
        await freeze.wait()
        await trio.sleep_forever()
