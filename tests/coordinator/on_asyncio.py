"""Runs an async test function on asyncio: pytest-trio would give it to trio."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")

# No test of ours waits for real time; one that hangs should say so soon.
_LIMIT_S = 30


def on_asyncio(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Decorates an async test."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(_LIMIT_S):
                await test(*args, **kwargs)

        asyncio.run(bounded())

    return run
