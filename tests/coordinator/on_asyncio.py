"""Runs an async test function on asyncio: pytest-trio would give it to trio."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# No test of ours waits for real time; one that hangs should say so, and the machine may be busy.
_LIMIT_S = 120


def on_asyncio(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Decorates an async test."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(_LIMIT_S):
                return await test(*args, **kwargs)

        return asyncio.run(bounded())

    return run
