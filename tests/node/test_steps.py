import itertools
import logging

import pytest
import trio
from trio.testing import MockClock

from neurogrid_node.lease.steps import RETRY_MAX_S, Steps


async def never(step: str, failures: int) -> bool:
    return False


async def test_a_step_that_is_under_way_is_not_taken_again(autojump_clock: MockClock) -> None:
    taken: list[str] = []

    async def slow() -> None:
        taken.append("slow")
        await trio.sleep(5)

    steps = Steps("test", never)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            steps.start(nursery, "slow", slow)
        await steps.until_done("slow")
        assert trio.current_time() == pytest.approx(5)
        steps.start(nursery, "slow", slow)
    assert taken == ["slow", "slow"]


async def test_cancelling_waits_for_what_cannot_be_interrupted(autojump_clock: MockClock) -> None:
    ended: list[str] = []

    async def stubborn() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(5)
        ended.append("made")
        await trio.sleep(5)
        ended.append("never")

    steps = Steps("test", never)
    async with trio.open_nursery() as nursery:
        steps.start(nursery, "stubborn", stubborn)
        await trio.sleep(1)
        await steps.cancel("stubborn")
        assert ended == ["made"]
        assert trio.current_time() == pytest.approx(5)
        await steps.cancel("stubborn")  # there is none any more


async def test_a_defect_is_logged_and_tried_again_ever_more_slowly(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    at: list[float] = []

    async def broken() -> None:
        at.append(trio.current_time())
        if len(at) < 10:
            raise ExceptionGroup("several", [ZeroDivisionError("a defect")])

    steps = Steps("lease 7", never)
    async with trio.open_nursery() as nursery:
        steps.start(nursery, "broken", broken)
    pauses = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, RETRY_MAX_S, RETRY_MAX_S, RETRY_MAX_S])
    assert len(caplog.records) == 9
    assert all(record.message == "lease 7: broken failed" for record in caplog.records)
    assert all(record.levelno == logging.ERROR for record in caplog.records)


async def test_whoever_started_it_may_give_it_up(autojump_clock: MockClock) -> None:
    given_up: list[tuple[str, int]] = []

    async def give_up(step: str, failures: int) -> bool:
        given_up.append((step, failures))
        return failures == 3

    async def broken() -> None:
        raise ZeroDivisionError("a defect")

    steps = Steps("test", give_up)
    async with trio.open_nursery() as nursery:
        steps.start(nursery, "broken", broken)
    assert given_up == [("broken", 1), ("broken", 2), ("broken", 3)]
