"""How far one node's messages may run ahead of what has been dealt with."""

from collections import Counter

import trio


class Credits:
    """So many outstanding units for each key; nothing is kept of keys that have none."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._outstanding: Counter[str] = Counter()
        self._room: dict[str, trio.Event] = {}

    def __len__(self) -> int:
        return len(self._outstanding)

    async def take(self, key: str) -> None:
        """Take one unit, waiting until there is one."""
        while self._outstanding[key] >= self._limit:
            await self._room.setdefault(key, trio.Event()).wait()
        self._outstanding[key] += 1

    def give_back(self, key: str, count: int) -> None:
        """Return units that were taken."""
        self._outstanding[key] -= count
        if self._outstanding[key] <= 0:
            del self._outstanding[key]
        room = self._room.pop(key, None)
        if room is not None:
            room.set()
