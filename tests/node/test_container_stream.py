"""Blocking streams in threads: read to the end, cancelled in the middle, slow to open."""

import threading
from collections.abc import Iterator

import pytest
import trio

from neurogrid_node.container.stream import read_stream


class Endless:
    """Gives some items and then blocks until it is closed."""

    def __init__(self, *items: str) -> None:
        self.items = items
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[str]:
        yield from self.items
        self.closed.wait()

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def limiter() -> trio.CapacityLimiter:
    return trio.CapacityLimiter(10)


async def test_every_item_is_handled(limiter: trio.CapacityLimiter) -> None:
    stream = Endless("a", "b")
    stream.close()
    seen: list[str] = []

    def handle(item: str) -> bool:
        seen.append(item)
        return True

    await read_stream(lambda: stream, handle, limiter=limiter)
    assert seen == ["a", "b"]


async def test_a_handler_that_has_enough_ends_it(limiter: trio.CapacityLimiter) -> None:
    stream = Endless("a", "b")
    seen: list[str] = []

    def handle(item: str) -> bool:
        seen.append(item)
        return False

    await read_stream(lambda: stream, handle, limiter=limiter)
    assert seen == ["a"]
    assert stream.closed.is_set()


async def test_cancelling_closes_the_stream_and_joins_the_thread(
    limiter: trio.CapacityLimiter,
) -> None:
    stream = Endless("a")
    token = trio.lowlevel.current_trio_token()
    with trio.fail_after(60), trio.CancelScope() as scope:

        def handle(item: str) -> bool:
            trio.from_thread.run_sync(scope.cancel, trio_token=token)
            return True

        await read_stream(lambda: stream, handle, limiter=limiter)
    assert scope.cancelled_caught
    assert stream.closed.is_set()
    assert "stream reader" not in [thread.name for thread in threading.enumerate()]


async def test_errors_of_opening_reading_and_handling_are_raised_as_they_are(
    limiter: trio.CapacityLimiter,
) -> None:
    def fail(*_: str) -> bool:
        raise KeyError("why")

    def open_nothing() -> Endless:
        raise KeyError("why")

    with pytest.raises(KeyError):
        await read_stream(open_nothing, fail, limiter=limiter)
    with pytest.raises(KeyError):
        await read_stream(lambda: Endless("a"), fail, limiter=limiter)


async def test_an_engine_that_never_answers_does_not_hold_up_a_cancellation(
    limiter: trio.CapacityLimiter,
) -> None:
    stream = Endless()
    opening, release = threading.Event(), threading.Event()

    def open_slowly() -> Endless:
        opening.set()
        release.wait()
        return stream

    async with trio.open_nursery() as nursery:

        async def read() -> None:
            await read_stream(open_slowly, lambda _: True, limiter=limiter)

        nursery.start_soon(read)
        await trio.to_thread.run_sync(opening.wait)
        nursery.cancel_scope.cancel()
    # The nursery has ended though the opening has not.
    release.set()
    assert await trio.to_thread.run_sync(stream.closed.wait, 10), "closed by whoever opened it"
