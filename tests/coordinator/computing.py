"""A node that computes document 004's operations, for tests of who asks for them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from coordinator.api_world import World

RESULT: dict[str, Any] = {
    "operation": "matrix_multiply",
    "parameters": {"size": 1000},
    "device_used": "cpu",
    "output": {"checksum": "sha256:ab", "verified": True},
    "measured": {
        "execution_time_s": 0.523,
        "throughput": 3.8e10,
        "throughput_unit": "flop/s",
        "memory_used_mb": 256.5,
    },
}


@asynccontextmanager
async def computing(world: World, left: bytes | None = None) -> AsyncIterator[None]:
    """While this lasts, node "one" takes every new task and leaves ``left`` (or `RESULT`) as its result."""

    async def work() -> None:
        known = len(world.woken)
        async with world.feed.subscribe() as changed:
            while True:
                while known < len(world.woken):
                    task_id = world.woken[known]
                    known += 1
                    # Each a file of its own, which the account did not have before.
                    own = json.dumps({**RESULT, "task": task_id}).encode()
                    data = own if left is None else left
                    await world.start(task_id)
                    await world.finish(task_id, await world.upload(task_id, "result.json", data))
                await changed.wait()

    working = asyncio.ensure_future(work())
    try:
        # It listens from now on.
        await asyncio.sleep(0)
        yield
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
