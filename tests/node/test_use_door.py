"""Streams of exchanges between two of them; what an exchange is, is in `engine/test_use_door.py`."""

from typing import cast

import trio
import trio.testing

from neurogrid_marketplace.job_stream import (
    Credit,
    FrameKind,
    FrameReader,
    OpenPort,
    Refused,
    StreamRefusal,
    write_bytes,
    write_words,
)
from neurogrid_node.container.job_engine import JobEngine
from neurogrid_node.use.door import STREAMS_MAX, UseDoor
from neurogrid_node.use.place import UsePlace
from neurogrid_p2p.byte_stream import ByteStream

LEASE = "lease_" + "5" * 32
PATIENCE_S = 3600


class Coordinator:
    """Says this, and then nothing."""

    remote_id = "coordinator"

    def __init__(self, *says: bytes) -> None:
        self.says = list(says)
        self.heard = b""

    async def read(self, n: int) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self.says:
            await trio.sleep_forever()
        return self.says.pop(0)

    async def write(self, data: bytes) -> None:
        self.heard += data


def door() -> UseDoor:
    """Of a node that has no lease."""
    # Neither is asked where there is no lease.
    engine, uses = cast(JobEngine, None), cast(UsePlace, None)
    return UseDoor(engine, lambda _: None, uses, requests=1, idle_s=1, may_enter=True)


async def served(*says: bytes) -> list[StreamRefusal]:
    """Serve a stream to its end; why its exchanges were refused."""
    coordinator = Coordinator(*says)
    with trio.fail_after(PATIENCE_S):
        await door().serve(cast(ByteStream, coordinator))
    frames = FrameReader().feed(coordinator.heard)
    return [frame.words(Refused).code for frame in frames]


async def test_a_stream_on_which_nothing_begins_for_long_is_ended(
    autojump_clock: trio.abc.Clock,
) -> None:
    began_s = trio.current_time()
    assert await served(write_words(OpenPort(LEASE))) == [StreamRefusal.NO_LEASE]
    assert trio.current_time() - began_s == 300


async def test_what_is_still_on_its_way_for_an_exchange_is_passed_over(
    autojump_clock: trio.abc.Clock,
) -> None:
    exchange = write_words(OpenPort(LEASE)) + write_bytes(FrameKind.INPUT, b"GET")
    late = write_bytes(FrameKind.INPUT, b"x" * 60_000) * 2 + write_words(Credit(1))
    assert await served(exchange, late, exchange) == [StreamRefusal.NO_LEASE] * 2


async def test_what_nobody_waits_for_is_not_taken_without_end(
    autojump_clock: trio.abc.Clock,
) -> None:
    began_s = trio.current_time()
    for frame in (write_words(Credit(1)), write_bytes(FrameKind.INPUT, b"x" * 60_000)):
        assert await served(*[frame] * 2_000) == []
    assert await served(write_words(Refused(StreamRefusal.UNPAID))) == []
    assert trio.current_time() == began_s, "none of them waited for its end"


async def test_there_are_no_more_streams_than_may_be(autojump_clock: trio.abc.Clock) -> None:
    here = door()
    async with trio.open_nursery() as nursery:
        for _ in range(STREAMS_MAX):
            nursery.start_soon(here.serve, cast(ByteStream, Coordinator()))
        await trio.testing.wait_all_tasks_blocked()
        began_s = trio.current_time()
        await here.serve(cast(ByteStream, Coordinator()))
        assert trio.current_time() == began_s
        nursery.cancel_scope.cancel()
    # Their places are free again.
    with trio.move_on_after(1) as scope:
        await here.serve(cast(ByteStream, Coordinator()))
    assert scope.cancelled_caught
