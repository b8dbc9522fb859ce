"""A node that answers for models, for tests of who asks them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from coordinator.api_world import World
from neurogrid_marketplace.task import TERMINAL

RESULT: dict[str, Any] = {
    "text": " or not to be",
    "finish_reason": "length",
    "usage": {"prompt_tokens": 3, "completion_tokens": 5},
    "seed": 1,
    "execution_time_s": 0.25,
}


@asynccontextmanager
async def answering(
    world: World, left: bytes | None = None, files: dict[str, bytes] | None = None
) -> AsyncIterator[None]:
    """While this lasts, node "one" takes every new task and leaves ``left`` (or `RESULT`), and these files."""

    known = len(world.woken)

    async def answer(task_id: str) -> None:
        # Each a file of its own, which the account did not have before.
        data = json.dumps(RESULT).encode() if left is None else left
        await world.start(task_id)
        outputs = [
            await world.upload(task_id, path, each + b" " * (known - 1))
            for path, each in {"result.json": data, **(files or {})}.items()
        ]
        await world.finish(task_id, *outputs)

    async def work() -> None:
        nonlocal known
        async with world.feed.subscribe() as changed:
            while True:
                while known < len(world.woken):
                    task_id = world.woken[known]
                    known += 1
                    try:
                        await answer(task_id)
                    except AssertionError:
                        # Its client may have cancelled it meanwhile.
                        if (await world.state(task_id)).phase not in TERMINAL:
                            raise
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
