"""For each patch, that libp2p as it comes still needs it, and that ours does not.

A stock case that fails says that libp2p has mended the defect: drop the patch.
"""

import struct

import pytest
import trio
from trio.testing import MockClock

from neurogrid_p2p import patches
from neurogrid_p2p._libp2p import ConnectionClosedError, MuxedStreamError, yamux
from neurogrid_p2p.limits import WINDOW_BYTES
from neurogrid_p2p.patches import Stream
from p2p.yamux_pair import FOR_EVER_S, End, within, yamux_pair

CASES = pytest.mark.parametrize("stock", [True, False], ids=["stock", "ours"])


@CASES
async def test_a_cancelled_write_tears_the_connection(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, stock: bool
) -> None:
    async with yamux_pair(monkeypatch, stock=stock) as (one, other):
        torn, whole = await one.open_stream(), await one.open_stream()
        await other.accept_stream()
        heard = await other.accept_stream()
        one.wire.hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancelled_write, torn)
            await trio.sleep(2)
            # The wire is free again a second after the writer has given up.
            one.wire.open.set()
        await within(1, whole.write(b"y" * 10))
        arrived: list[bytes] = []
        await within(5, read_into(heard, arrived, 10))
        assert (b"".join(arrived) == b"y" * 10) != stock


async def cancelled_write(stream: yamux.YamuxStream) -> None:
    with trio.move_on_after(1):
        await stream.write(b"x" * 1_000)


async def read_into(stream: yamux.YamuxStream, arrived: list[bytes], size: int) -> None:
    try:
        while sum(map(len, arrived)) < size:
            piece = await stream.read(size)
            if not piece:
                return
            arrived.append(piece)
    except MuxedStreamError:
        return


@CASES
async def test_a_write_to_a_frozen_peer_waits_for_ever(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, stock: bool
) -> None:
    async with yamux_pair(monkeypatch, stock=stock) as (one, _):
        stream = await one.open_stream()
        one.wire.hold()
        started_s = trio.current_time()
        ended = await within(FOR_EVER_S, write_or_fail(stream))
        assert ended != stock
        if not stock:
            assert trio.current_time() - started_s == pytest.approx(patches.WRITE_LIMIT_S)
            # Part of a frame is out: nothing can follow it.
            assert one.muxer.event_shutting_down.is_set() or await within(
                1, one.muxer.event_closed.wait()
            )


async def write_or_fail(stream: yamux.YamuxStream) -> None:
    try:
        await stream.write(b"x" * 1_000)
    except (MuxedStreamError, ConnectionClosedError):
        return


@CASES
async def test_a_peer_may_fill_our_memory(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, stock: bool
) -> None:
    async with yamux_pair(monkeypatch, stock=stock) as (one, other):
        stream = await one.open_stream()
        await other.accept_stream()
        total = 4 * patches.UNREAD_LIMIT_BYTES
        await within(FOR_EVER_S, flood(one, stream.stream_id, total))
        await trio.sleep(1)
        held = sum(map(len, other.muxer.stream_buffers.values()))
        assert (held > patches.UNREAD_LIMIT_BYTES) == stock
        assert other.muxer.event_shutting_down.is_set() != stock


async def flood(end: End, stream_id: int, total: int) -> None:
    header = struct.pack(yamux.YAMUX_HEADER_FORMAT, 0, yamux.TYPE_DATA, 0, stream_id, 60_000)
    for _ in range(total // 60_000):
        try:
            await end.muxer._write_frame(header + bytes(60_000))
        except (MuxedStreamError, ConnectionClosedError):
            return


@CASES
async def test_a_body_that_does_not_come_holds_its_connection_for_a_minute(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, stock: bool
) -> None:
    async with yamux_pair(monkeypatch, stock=stock) as (one, other):
        stream = await one.open_stream()
        await other.accept_stream()
        header = (0, yamux.TYPE_DATA, 0, stream.stream_id, 1_000)
        await one.wire.end.send_all(struct.pack(yamux.YAMUX_HEADER_FORMAT, *header))
        ended = await within(patches.BODY_LIMIT_S + 1, other.muxer.event_shutting_down.wait())
        assert ended != stock


async def test_a_body_beyond_every_window_is_refused_before_it_comes(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CVE-2026-73568, mended in 0.8.1; ours refuses what exceeds a connection's own limit."""
    async with yamux_pair(monkeypatch, stock=False) as (one, other):
        stream = await one.open_stream()
        await other.accept_stream()
        size = patches.UNREAD_LIMIT_BYTES + 1
        header = (0, yamux.TYPE_DATA, 0, stream.stream_id, size)
        await one.wire.end.send_all(struct.pack(yamux.YAMUX_HEADER_FORMAT, *header))
        assert await within(1, other.muxer.event_shutting_down.wait())


@CASES
async def test_what_arrived_before_the_end_is_lost(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, stock: bool
) -> None:
    async with yamux_pair(monkeypatch, stock=stock) as (one, other):
        await (await one.open_stream()).write(b"last words")
        heard = await other.accept_stream()
        await trio.sleep(1)
        await one.wire.close()
        await trio.sleep(1)
        arrived: list[bytes] = []
        await read_into(heard, arrived, 100)
        assert (b"".join(arrived) == b"last words") != stock


@CASES
async def test_a_cancelled_read_loses_what_it_took(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, stock: bool
) -> None:
    async with yamux_pair(monkeypatch, stock=stock) as (one, other):
        await (await one.open_stream()).write(b"first and second")
        heard = await other.accept_stream()
        await trio.sleep(1)
        # The window's update has to wait for the wire.
        other.wire.hold()
        arrived: list[bytes] = []
        await within(1, read_into(heard, arrived, len(b"first")))
        other.wire.open.set()
        await within(1, read_into(heard, arrived, 100))
        assert b"".join(arrived).startswith(b"first") != stock


@CASES
async def test_every_read_sends_an_update_and_windows_grow(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, stock: bool
) -> None:
    async with yamux_pair(monkeypatch, stock=stock) as (one, other):
        said = await one.open_stream()
        heard = await other.accept_stream()
        sent = len(other.wire.frames)
        for _ in range(100):
            await said.write(b"x" * 100)
            await heard.read(100)
        updates = other.wire.frames[sent:]
        assert (len(updates) > 50) == stock
        granted = sum(length for kind, _, length in updates if kind == yamux.TYPE_WINDOW_UPDATE)
        assert (granted > 100 * 100) == stock


@CASES
async def test_a_reader_that_pauses_loses_the_stream(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, stock: bool
) -> None:
    async with yamux_pair(monkeypatch, stock=stock) as (one, other):
        said = await one.open_stream()
        heard = await other.accept_stream()
        total = WINDOW_BYTES + 1_000
        arrived: list[bytes] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write_all, said, total)
            await trio.sleep(20)
            await within(10, read_into(heard, arrived, total))
            nursery.cancel_scope.cancel()
        assert (sum(map(len, arrived)) == total) != stock


async def write_all(stream: yamux.YamuxStream, total: int) -> None:
    try:
        await stream.write(bytes(total))
    except MuxedStreamError:
        return


@CASES
async def test_many_streams_of_ours_wait_silently(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, stock: bool
) -> None:
    async with yamux_pair(monkeypatch, stock=stock) as (one, other):

        async def accept() -> None:
            while True:
                await other.accept_stream()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            for _ in range(256):
                await one.open_stream()
            assert await within(FOR_EVER_S, one.open_stream()) != stock
            nursery.cancel_scope.cancel()


@CASES
async def test_who_reads_is_not_told_of_our_own_reset(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, stock: bool
) -> None:
    async with yamux_pair(monkeypatch, stock=stock) as (one, _):
        stream = await one.open_stream()
        ended = trio.Event()

        async def read() -> None:
            await read_into(stream, [], 1)
            ended.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.sleep(1)
            await (stream.discard() if isinstance(stream, Stream) else stream.reset())
            assert await within(FOR_EVER_S, ended.wait()) != stock
            nursery.cancel_scope.cancel()


@CASES
async def test_a_ping_measures_what_nobody_needs(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, stock: bool
) -> None:
    async with yamux_pair(monkeypatch, stock=stock) as (one, _):
        await trio.sleep(120)
        pings = [kind for kind, _, _ in one.wire.frames if kind == yamux.TYPE_PING]
        assert bool(pings) == stock


async def test_a_writer_that_waits_for_the_window_is_told_when_the_stream_ends(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stock looks a hundred times a second; ours waits, and has to be told."""
    async with yamux_pair(monkeypatch, stock=False) as (one, other):
        said = await one.open_stream()
        heard = await other.accept_stream()
        started_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write_all, said, WINDOW_BYTES + 1)
            await trio.sleep(1)
            await heard.reset()
        assert trio.current_time() - started_s < 2
