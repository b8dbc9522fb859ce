"""When each of many things is to be looked at, so that those that wait are not looked at meanwhile."""

import heapq

# Entries of what is not waited for any more, before they are thrown away.
_STALE_MAX = 1_000


class Alarms:
    """A moment for each id; as large as the number of ids that have one."""

    def __init__(self) -> None:
        self._at_ms: dict[str, int] = {}
        # With stale entries, which differ from what is above.
        self._queue: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._at_ms)

    def set(self, name: str, at_ms: int) -> None:
        """Look at it then, and not at the moment that was set before."""
        if self._at_ms.get(name) == at_ms:
            return
        self._at_ms[name] = at_ms
        heapq.heappush(self._queue, (at_ms, name))
        if len(self._queue) > 2 * len(self._at_ms) + _STALE_MAX:
            self._queue = [(at_ms, name) for name, at_ms in self._at_ms.items()]
            heapq.heapify(self._queue)

    def drop(self, name: str) -> None:
        """It need not be looked at; nothing happens if it has no moment."""
        self._at_ms.pop(name, None)

    def due(self, now_ms: int) -> list[str]:
        """Those whose moment has come, the earliest first; they have none any more."""
        found = []
        while self._queue and self._queue[0][0] <= now_ms:
            at_ms, name = heapq.heappop(self._queue)
            if self._at_ms.get(name) == at_ms:
                del self._at_ms[name]
                found.append(name)
        return found
