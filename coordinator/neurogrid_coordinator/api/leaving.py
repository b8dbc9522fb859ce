"""Work for a client that may leave before it is done."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from ..services.errors import Unavailable

T = TypeVar("T")

_LOOK_EVERY_S = 1.0


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` comes to, unless the client leaves before; it is then cancelled.

    For what has taken no effect yet, and should not where nobody waits for it: who interrupts a submission
    whose files are being fetched wants no task.

    Raises:
        Unavailable: the client has left; nobody sees this.
    """
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=_LOOK_EVERY_S))[0]:
            if await request.is_disconnected():
                raise Unavailable("the client has left")
        return task.result()
    finally:
        task.cancel()
