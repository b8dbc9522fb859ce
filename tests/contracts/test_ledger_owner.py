"""The owner thread: one call at a time, errors to their caller, slots in between, a bound."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from neurogrid_contracts.ledger.errors import Diverged, RpcError
from neurogrid_contracts.ledger.owner import Owner

LONG_S = 1000.0


def run(test: Callable[[Owner], object], *, slot_s: float = LONG_S) -> list[BaseException]:
    """Run an async test function with an owner; what was fatal."""
    fatal: list[BaseException] = []

    async def main() -> None:
        owner = Owner(asyncio.get_running_loop(), slot_s=slot_s, fatal=fatal.append)
        owner.start()
        try:
            result = test(owner)
            assert asyncio.iscoroutine(result)
            async with asyncio.timeout(60):
                await result
        finally:
            owner.stop()

    asyncio.run(main())
    return fatal


def test_calls_run_on_one_other_thread_and_return() -> None:
    async def test(owner: Owner) -> None:
        names = {await owner.call(lambda: threading.current_thread().name) for _ in range(3)}
        assert names == {"ledger-owner"}
        assert await owner.call(pow, 2, 5) == 32

    assert run(test) == []


def test_an_error_reaches_its_caller_and_nobody_else() -> None:
    async def test(owner: Owner) -> None:
        with pytest.raises(ZeroDivisionError):
            await owner.call(divmod, 1, 0)
        assert await owner.call(divmod, 7, 2) == (3, 1)

    assert run(test) == []


def test_a_divergence_is_fatal_and_answers_nobody() -> None:
    async def test(owner: Owner) -> None:
        def diverge() -> None:
            raise Diverged("ran, but was not committed")

        waiting = asyncio.create_task(owner.call(diverge))
        await asyncio.to_thread(owner.join)
        assert not waiting.done()
        waiting.cancel()

    (error,) = run(test)
    assert isinstance(error, Diverged)


def test_slots_begin_between_calls() -> None:
    async def test(owner: Owner) -> None:
        slots: list[str] = []
        third = threading.Event()

        def tick() -> None:
            slots.append(threading.current_thread().name)
            if len(slots) == 3:
                third.set()

        owner.every_slot(tick)
        assert await asyncio.to_thread(third.wait, 5)
        assert set(slots) == {"ledger-owner"}

    assert run(test, slot_s=0.001) == []


def test_slots_missed_in_a_long_call_are_not_made_up_for() -> None:
    async def test(owner: Owner) -> None:
        slots: list[float] = []
        owner.every_slot(lambda: slots.append(time.monotonic()))
        await owner.call(time.sleep, 0.5)
        await owner.call(lambda: None)
        assert len(slots) <= 3

    assert run(test, slot_s=0.1) == []


def test_beyond_its_bound_it_refuses() -> None:
    async def test(owner: Owner) -> None:
        release = threading.Event()
        first = asyncio.create_task(owner.call(release.wait))
        await asyncio.sleep(0)
        others = [asyncio.create_task(owner.call(lambda: None)) for _ in range(4096)]
        await asyncio.sleep(0)
        assert isinstance(others[-1].exception(), RpcError)
        release.set()
        await first
        await asyncio.gather(*others[:-1])
        assert await owner.call(pow, 2, 2) == 4

    assert run(test) == []
