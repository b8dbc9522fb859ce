"""Work for a client that may leave before it is done."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from ..services.errors import Unavailable

T = TypeVar("T")


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` comes to, unless the client leaves before; it is then cancelled.

    For what has taken no effect yet, and should not where nobody waits for it: who interrupts a submission
    whose files are being fetched wants no task. The request's body has to be read before.

    Raises:
        Unavailable: the client has left; nobody sees this.
    """
    task = asyncio.ensure_future(work)
    left = asyncio.ensure_future(_left(request))
    watched: set[asyncio.Future[Any]] = {task, left}
    try:
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Unavailable("the client has left")
        return task.result()
    finally:
        task.cancel()
        left.cancel()


async def _left(request: Request) -> None:
    """Wait until the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
