"""How fast one node may speak: what comes faster is read more slowly, so that its own window fills up."""

import trio

from neurogrid_marketplace.allowance import Allowance

from .settings import NodeLimits

# What is owed beyond this is kept, and waited for after the next message.
_PAUSE_MAX_S = 5.0


class Pace:
    """The messages and bytes of one node, over one channel or over several."""

    def __init__(self, limits: NodeLimits) -> None:
        now = trio.current_time()
        self._messages = Allowance(limits.messages_per_s, now)
        self._bytes = Allowance(limits.bytes_per_s, now)

    async def keep(self, arrived_bytes: int) -> None:
        """Count one message and what has arrived; wait where that was too fast."""
        now = trio.current_time()
        wait_s = max(self._messages.take(1, now), self._bytes.take(arrived_bytes, now))
        if wait_s > 0:
            await trio.sleep(min(wait_s, _PAUSE_MAX_S))
