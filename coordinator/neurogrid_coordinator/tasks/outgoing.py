"""Messages to nodes that are repeated until they are answered: sent at most once in a while.

An acknowledgement says all that is stored of a lease, so that of several in a row one is enough.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine

from neurogrid_marketplace.messages import Acknowledge, Message

from ..market.errors import MarketError
from .matchmaker import Market

_log = logging.getLogger(__name__)

# Messages on their way to the market process; one more is dropped, because all are repeated.
_UNDER_WAY_MAX = 1000
# A message that is not lost with its connection arrives: repeating it is for the rare other cases.
_REPEAT_S = 10.0
# Acknowledgements of one lease closer together than this become one: a log that pours in is a piece
# every few milliseconds, and each message costs both sides a signature.
_GATHER_S = 0.02


class Outgoing:
    """Sends to nodes without waiting."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._under_way: set[asyncio.Task[None]] = set()
        self._said_at: dict[tuple[str, str], float] = {}
        self._acknowledging: dict[tuple[str, str], Acknowledge] = {}

    def tell(self, node_id: str, message: Message, *, is_last: bool = False) -> None:
        """Send a message, if the node is there.

        Args:
            is_last: nothing more is to be said about the message's lease.
        """
        if isinstance(message, Acknowledge):
            self._acknowledge(node_id, message)
        else:
            self._start(node_id, message, self._send(node_id, message, is_last=is_last))

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

    def _acknowledge(self, node_id: str, message: Acknowledge) -> None:
        key = (node_id, message.lease_id)
        waiting = self._acknowledging.get(key)
        if waiting is not None:
            self._acknowledging[key] = _both(waiting, message)
        elif self._start(node_id, message, self._acknowledge_soon(key)):
            self._acknowledging[key] = message

    async def _acknowledge_soon(self, key: tuple[str, str]) -> None:
        node_id, lease_id = key
        said = ("acknowledge", lease_id)
        try:
            # The first one goes at once: somebody may be waiting for it.
            await asyncio.sleep(self._said_at.get(said, 0.0) + _GATHER_S - time.monotonic())
        finally:
            message = self._acknowledging.pop(key)
        self._said_at[said] = time.monotonic()
        await self._send(node_id, message)

    def _start(self, node_id: str, message: Message, sending: Coroutine[None, None, None]) -> bool:
        if len(self._under_way) >= _UNDER_WAY_MAX:
            _log.warning("dropped a %s for %s", type(message).__name__, node_id)
            sending.close()
            return False
        task = asyncio.create_task(sending)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return True

    async def _send(self, node_id: str, message: Message, *, is_last: bool = False) -> None:
        try:
            await self._market.send(node_id, message, is_last=is_last)
        except MarketError as error:
            # It will be said again when the node is back.
            _log.debug("%s did not reach %s: %s", type(message).__name__, node_id, error)


def _both(one: Acknowledge, other: Acknowledge) -> Acknowledge:
    """What two acknowledgements of a lease say together."""
    return Acknowledge(
        one.lease_id,
        max(one.events, other.events),
        max(one.log_bytes, other.log_bytes),
        closed=one.closed or other.closed,
    )
