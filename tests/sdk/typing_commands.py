"""What tests of the command line share: how it is typed, the smallest job, and a node that runs it."""

import asyncio
import threading
import time
from collections.abc import Callable

from click.testing import Result
from sqlalchemy import Connection

from coordinator.api_world import World
from coordinator.served import ServedWorld
from neurogrid_coordinator.store import prices
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.price_history import PriceClass

Run = Callable[..., Result]

JOB = ("submit", "python:3.12-slim", "--max-price", "1.00")


def live(api: ServedWorld, *, outcome: Outcome = Outcome.COMPLETED) -> threading.Thread:
    """Runs the next task that is submitted, with a log and an output."""

    async def live(world: World) -> None:
        while not world.woken:  # noqa: ASYNC110 - the world's orchestrator is a list
            await asyncio.sleep(0.01)
        task_id = world.woken.pop(0)
        await world.start(task_id)
        await world.print(task_id, "working\n")
        output = await world.upload(task_id, "a/out.txt", b"result")
        await world.finish(
            task_id, *([output] if outcome is Outcome.COMPLETED else []), outcome=outcome
        )

    thread = threading.Thread(target=lambda: api.run(live))
    thread.start()
    return thread


def note_price(conn: Connection) -> None:
    """An award of now, for `prices`."""
    prices.add(conn, PriceClass("cpu", 1000), 250_000, 400, time.time_ns() // 1_000_000)
