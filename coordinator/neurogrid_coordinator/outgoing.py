"""Messages to nodes that are repeated until they are answered: sent at most once in a while."""

import asyncio
import logging
import time

from neurogrid_marketplace.messages import Message

from .market.errors import MarketError
from .matchmaker import Market

_log = logging.getLogger(__name__)

# Messages on their way to the market process; one more is dropped, because all are repeated.
_UNDER_WAY_MAX = 1000
# A message that is not lost with its connection arrives: repeating it is for the rare other cases.
_REPEAT_S = 10.0


class Outgoing:
    """Sends to nodes without waiting."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._under_way: set[asyncio.Task[None]] = set()
        self._said_at: dict[tuple[str, str], float] = {}

    def tell(self, node_id: str, message: Message) -> None:
        """Send a message, if the node is there."""
        if len(self._under_way) >= _UNDER_WAY_MAX:
            _log.warning("dropped a %s for %s", type(message).__name__, node_id)
            return
        task = asyncio.create_task(self._send(node_id, message))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def may_repeat(self, kind: str, lease_id: str) -> bool:
        """Whether it is time to say this (again) about a lease; counts as said if so."""
        now = time.monotonic()
        if now - self._said_at.get((kind, lease_id), -_REPEAT_S) < _REPEAT_S:
            return False
        self._said_at[kind, lease_id] = now
        return True

    def reset(self, lease_id: str) -> None:
        """The lease's node is there anew: whatever is due is said at once."""
        for key in [key for key in self._said_at if key[1] == lease_id]:
            del self._said_at[key]

    def forget_old(self) -> None:
        """Drop what was said so long ago that it may be said again."""
        limit = time.monotonic() - _REPEAT_S
        self._said_at = {key: at for key, at in self._said_at.items() if at > limit}

    async def aclose(self) -> None:
        """Cancel what is on its way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _send(self, node_id: str, message: Message) -> None:
        try:
            await self._market.send(node_id, message)
        except MarketError as error:
            # It will be said again when the node is back.
            _log.debug("%s did not reach %s: %s", type(message).__name__, node_id, error)
