"""What whoever answers for somebody else needs: whether the answer has begun, and doing it only while something holds."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import Message, Send


class Answer:
    """A ``send`` that remembers whether it was used: who has heard a part can hear no refusal any more."""

    def __init__(self, send: Send) -> None:
        self.has_begun = False
        self._send = send

    async def __call__(self, message: Message) -> None:
        """Send this."""
        self.has_begun = True
        await self._send(message)


@asynccontextmanager
async def until_one_ends(
    *work: Coroutine[Any, Any, Any],
) -> AsyncGenerator[Sequence[asyncio.Future[Any]]]:
    """Do all of this at once; inside the block the first has ended, and after it the others are cancelled."""
    doing = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.wait(doing, return_when=asyncio.FIRST_COMPLETED)
        yield doing
    finally:
        for each in doing:
            each.cancel()
        await asyncio.gather(*doing, return_exceptions=True)
