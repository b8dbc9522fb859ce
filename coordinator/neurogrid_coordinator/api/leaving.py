"""Work for a client that may leave before it is done."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from ..services.errors import Refused, Unavailable

T = TypeVar("T")


async def while_there(
    request: Request, work: Coroutine[Any, Any, T], ended: Awaitable[Refused] | None = None
) -> T:
    """What ``work`` comes to, unless the client leaves before, or its key ends; it is then cancelled.

    For what has taken no effect yet, and should not where nobody waits for it: who interrupts a submission
    whose files are being fetched wants no task. The request's body has to be read before.

    Args:
        ended: `Gate.ended` of the caller, where what is done costs its account more the longer it goes on.

    Raises:
        Unavailable: the client has left; nobody sees this.
        Unauthorized, KeyHasExpired: its key opens nothing any more.
    """
    task = asyncio.ensure_future(work)
    left = asyncio.ensure_future(until_left(request))
    end = None if ended is None else asyncio.ensure_future(ended)
    watched: set[asyncio.Future[Any]] = {task, left} | ({end} if end is not None else set())
    try:
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if end is not None and end.done():
            raise end.result()
        raise Unavailable("the client has left")
    finally:
        for each in watched:
            each.cancel()


async def until_left(request: Request) -> None:
    """Wait until the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
