"""The queue and the stream of one pair of members, in memory and virtual time."""

from dataclasses import dataclass
from typing import Any

import trio
import trio.testing

from neurogrid_marketplace.gang_packets import ALIVE, MTU_BYTES
from neurogrid_node.gang.pair import ALIVE_S, QUEUE_BYTES, SILENCE_S, Pair

FRAME = MTU_BYTES.to_bytes(2) + bytes(MTU_BYTES)


@dataclass
class Memory:
    """A stream that is no more than memory."""

    end: trio.StapledStream[Any, Any]

    async def read(self, n: int) -> bytes:
        return bytes(await self.end.receive_some(n))

    async def write(self, data: bytes) -> None:
        await self.end.send_all(data)


def stream_pair() -> tuple[Memory, Memory]:
    one, other = trio.testing.memory_stream_pair()
    return Memory(one), Memory(other)


async def nothing(frames: list[bytes]) -> None:
    assert not frames


def test_what_waits_is_bounded_and_the_rest_is_dropped() -> None:
    pair = Pair(nothing)
    taken = sum(pair.queue(FRAME) for _ in range(200))
    assert taken == QUEUE_BYTES // len(FRAME)


async def test_what_waited_is_sent_once_there_is_a_stream_and_then_signs_of_life(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    pair = Pair(nothing)
    for _ in range(20):
        assert pair.queue(FRAME)
    ours, theirs = stream_pair()
    nursery.start_soon(pair.carry, ours)
    got = b""
    while len(got) < 20 * len(FRAME):
        got += await theirs.read(65_536)
    assert got == 20 * FRAME
    for number in (1, 2):
        assert await theirs.read(10) == ALIVE
        assert trio.current_time() == number * ALIVE_S
    nursery.cancel_scope.cancel()


async def test_a_peer_without_a_sign_of_life_is_given_up_and_one_with_them_is_not(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    ours, theirs = stream_pair()
    reasons: list[str] = []

    async def carry() -> None:
        reasons.append(await Pair(nothing).carry(ours))

    nursery.start_soon(carry)
    for _ in range(5):
        await trio.sleep(SILENCE_S - 1)
        assert reasons == []
        await theirs.write(ALIVE)
    await trio.sleep(SILENCE_S + 1)
    assert reasons == [f"silent for {SILENCE_S:.0f} s"]


async def test_frames_come_whole_and_a_frame_over_the_limit_ends_the_stream(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    ours, theirs = stream_pair()
    got: list[bytes] = []

    async def received(frames: list[bytes]) -> None:
        got.extend(frames)

    reasons: list[str] = []

    async def carry() -> None:
        reasons.append(await Pair(received).carry(ours))

    nursery.start_soon(carry)
    for piece in (FRAME[:1], FRAME[1:5000], FRAME[5000:] + b"\0\3ab", b"c" + ALIVE):
        await theirs.write(piece)
        await trio.sleep(1)
    assert got == [FRAME, b"\0\3abc"]
    await theirs.write(b"\xff\xff")
    await trio.sleep(1)
    assert "limit" in reasons[0]


async def test_a_newer_stream_takes_the_place_of_an_older_one(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    pair = Pair(nothing)
    (first, _), (second, theirs) = stream_pair(), stream_pair()
    reasons: list[str] = []

    async def carry() -> None:
        reasons.append(await pair.carry(first))

    nursery.start_soon(carry)
    await trio.sleep(1)
    nursery.start_soon(pair.carry, second)
    await trio.sleep(1)
    assert reasons == ["we hung up"]
    pair.queue(FRAME)
    assert await theirs.read(65_536) == FRAME
    nursery.cancel_scope.cancel()
