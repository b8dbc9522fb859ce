"""The coordinator's own figures."""

import time

from neurogrid_marketplace.task import Phase

from ..store import differences, task_lists
from ..store.database import Database

# Counting every task takes a scan; monitors ask every few seconds, and several at a time.
_CACHED_S = 2.0

# A node has them.
AT_WORK = (Phase.STARTING, Phase.RUNNING, Phase.VERIFYING)


class Overview:
    """Counts over all accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: dict[Phase, int] = {}
        self._counted_s = float("-inf")

    async def tasks_by_phase(self) -> dict[Phase, int]:
        """Phase -> tasks, up to two seconds old."""
        if time.monotonic() - self._counted_s > _CACHED_S:
            self._counted_s = time.monotonic()
            self._counts = await self._database.read(task_lists.count_by_phase)
        return self._counts

    async def tasks_at_work(self) -> int:
        """How many tasks of all accounts a node works on, up to two seconds old."""
        counts = await self.tasks_by_phase()
        return sum(counts.get(phase, 0) for phase in AT_WORK)

    async def differences(self) -> int:
        """How many differences between books and chain are there now."""
        return await self._database.read(differences.count_unresolved)
