from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.wire import MAX_FRAME_BYTES, encode_frame
from neurogrid_p2p import patches
from neurogrid_p2p.channel import OUTBOX_BYTES, Channel
from neurogrid_p2p.connection import Connection
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.host import open_host
from neurogrid_p2p.limits import WINDOW_BYTES
from p2p.peers import PROTOCOL, Person, channel_pair, listening, until


async def test_messages_arrive_whole_and_in_order_in_both_directions() -> None:
    async with channel_pair() as (one, other), trio.open_nursery() as nursery:
        for channel in (one, other):
            nursery.start_soon(send_numbers, channel, 500)
            nursery.start_soon(expect_numbers, channel, 500)


async def send_numbers(channel: Channel, count: int) -> None:
    for number in range(count):
        await channel.send({"n": number, "filling": "x" * (number * 37 % 4_000)})


async def expect_numbers(channel: Channel, count: int) -> None:
    for number in range(count):
        assert (await channel.receive())["n"] == number


async def send_for_ever(channel: Channel) -> None:
    while True:
        await channel.send({"data": b"x" * 60_000})


async def test_the_largest_message_travels_and_a_larger_one_is_refused_here() -> None:
    overhead = len(encode_frame({"data": b"x" * 70_000})) - 4 - 70_000
    async with channel_pair() as (one, other):
        largest = {"data": b"x" * (MAX_FRAME_BYTES - overhead)}
        await one.send(largest)
        assert await other.receive() == largest
        with pytest.raises(InvalidValue):
            await one.send({"data": b"x" * (MAX_FRAME_BYTES - overhead + 1)})
        await one.send({"still": "open"})
        assert await other.receive() == {"still": "open"}


async def test_who_is_not_read_waits_and_holds_a_bounded_amount() -> None:
    async with channel_pair() as (one, other):
        sent = 0
        with trio.move_on_after(1.0):
            while True:
                await one.send({"data": b"x" * 60_000})
                sent += 1
        # What waits here, plus one window, one read and one message at the other end.
        bound_bytes = OUTBOX_BYTES + WINDOW_BYTES + 4 * 65_536
        assert 16 <= sent <= bound_bytes // 60_000
        for _ in range(sent):
            await other.receive()
        await one.send({"flows": "again"})
        assert await other.receive() == {"flows": "again"}


async def test_a_cancelled_send_has_sent_nothing_and_a_cancelled_receive_loses_nothing() -> None:
    async with channel_pair() as (one, other):
        expected = []
        for number in range(300):
            with trio.move_on_after(0):
                await one.send({"n": number})
                expected.append(number)
            if number % 10 == 0:
                await one.send({"n": number})
                expected.append(number)
        received: list[object] = []
        while len(received) < len(expected):
            with trio.move_on_after(0.0005):
                received.append((await other.receive())["n"])
        assert received == expected


async def test_closing_sends_what_waits_first() -> None:
    async with channel_pair() as (one, other):
        for number in range(50):
            await one.send({"n": number, "filling": "x" * 10_000})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.aclose, "enough")
            for number in range(50):
                assert (await other.receive())["n"] == number
        with pytest.raises(ChannelClosed, match="closed by the peer"):
            await other.receive()
        with pytest.raises(ChannelClosed, match="enough"):
            await one.send({})
        with pytest.raises(ChannelClosed, match="enough"):
            await one.receive()


async def test_closing_waits_for_nobody_who_does_not_read() -> None:
    async with channel_pair() as (one, _):
        with trio.move_on_after(0.5):
            await send_for_ever(one)
        started = trio.current_time()
        await one.aclose()
        assert trio.current_time() - started < 15.0


async def test_whoever_waits_is_told_when_the_channel_closes() -> None:
    async with channel_pair() as (one, other):
        reasons = []

        async def receive() -> None:
            with pytest.raises(ChannelClosed) as error:
                await one.receive()
            reasons.append(error.value.reason)

        async def send() -> None:
            with pytest.raises(ChannelClosed) as error:
                await send_for_ever(one)
            reasons.append(error.value.reason)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            nursery.start_soon(send)
            await trio.sleep(0.3)
            one.abort("that is it")
        assert reasons == ["that is it", "that is it"]
        await until(lambda: other.closed_reason is not None)


async def test_a_writer_gives_up_on_a_peer_that_reads_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patches, "STALL_LIMIT_S", 0.3)
    async with channel_pair() as (one, _):
        with pytest.raises(ChannelClosed, match="read nothing"):
            await send_for_ever(one)


# --- channels beside the first one ----------------------------------------------------------------


async def test_a_channel_beside_another_ends_alone() -> None:
    async with beside() as (first, one, other):
        await one.send({"n": 1})
        assert await other.receive() == {"n": 1}
        await one.aclose("enough")
        with pytest.raises(ChannelClosed, match="closed by the peer"):
            await other.receive()
        await other.aclose()
        assert first.closed_reason is None
        await first.open(PROTOCOL)


async def test_an_aborted_channel_beside_another_wakes_whoever_waits_at_both_ends() -> None:
    async with beside() as (first, one, other), trio.open_nursery() as nursery:
        with trio.move_on_after(0.3):
            await send_for_ever(one)
        nursery.start_soon(expect_the_end, one)
        await trio.testing.wait_all_tasks_blocked(0.05)
        one.abort("that is it")
        await until(lambda: other._stream.closed)
        with pytest.raises(ChannelClosed):
            await send_for_ever(other)
        assert first.closed_reason is None


async def expect_the_end(channel: Channel) -> None:
    with pytest.raises(ChannelClosed, match="that is it"):
        await channel.receive()


async def test_a_peer_that_does_not_close_its_side_is_not_waited_for() -> None:
    async with beside() as (first, one, other):
        started = trio.current_time()
        await one.aclose()
        assert trio.current_time() - started < 15.0
        await until(lambda: other._stream.closed)
        assert first.closed_reason is None


async def test_the_end_of_the_first_channel_ends_those_beside_it() -> None:
    async with beside() as (first, one, other):
        first.abort("gone")
        for channel in (one, other):
            with trio.fail_after(60), pytest.raises(ChannelClosed):
                await channel.receive()
        with pytest.raises(ChannelClosed):
            await first.open(PROTOCOL)


async def test_who_breaks_the_framing_on_a_channel_beside_another_loses_the_connection() -> None:
    async with beside() as (first, one, _):
        await one._stream.write(b"\xff\xff\xff\xff")
        with trio.fail_after(60), pytest.raises(ChannelClosed):
            await first.receive()


async def test_a_protocol_that_the_peer_does_not_speak_opens_nothing() -> None:
    async with beside() as (first, one, other):
        with pytest.raises(ChannelClosed, match="does not speak"):
            await first.open("/other/1")
        await one.send({"still": "open"})
        assert await other.receive() == {"still": "open"}
        connection = first._connection
        assert isinstance(connection, Connection)
        await until(lambda: len(connection._muxer.streams) == 2)


@asynccontextmanager
async def beside() -> AsyncIterator[tuple[Channel, Channel, Channel]]:
    """A channel, and both ends of another on its connection."""
    give, take = trio.open_memory_channel[Channel](1)

    async def keep(channel: Channel) -> None:
        await trio.sleep_forever()

    async def hand_over(channel: Channel) -> None:
        await give.send(channel)
        await trio.sleep_forever()

    async with listening() as server, open_host(Person().seed) as client:
        server.serve("/first/1", keep)
        server.serve(PROTOCOL, hand_over, owns_connection=False)
        first = await client.dial(server.addresses[0], "/first/1")
        one = await first.open(PROTOCOL)
        yield first, one, await take.receive()
