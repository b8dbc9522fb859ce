"""A real database that ends its coordinator's life at any commit."""

import asyncio
from typing import Any

from neurogrid_coordinator.store.database import Database


class CrashingDatabase:
    """A database whose process dies before or after a chosen commit; has `Database`'s methods.

    Attributes:
        dead: set when that moment has come.
    """

    def __init__(self, database: Database, at_commit: int, *, before: bool) -> None:
        self._database = database
        self._at_commit = at_commit
        self._before = before
        self._commits = 0
        self.dead = asyncio.Event()

    async def write(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        self._commits += 1
        here = self._commits == self._at_commit
        await self._live_unless(here and self._before)
        try:
            value = await self._database.write(fn, *args, **kwargs)
        except Exception:
            # Refused, and undone: its caller may be about to try again.
            await self._live_unless(here and not self._before)
            raise
        await self._live_unless(here and not self._before)
        return value

    async def write_briefly(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        return await self.write(fn, *args, **kwargs)

    async def read(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        return await self._database.read(fn, *args, **kwargs)

    async def read_briefly(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        return await self.read(fn, *args, **kwargs)

    async def _live_unless(self, dies_now: bool) -> None:
        if dies_now:
            self.dead.set()
        if self.dead.is_set():
            # Nothing that comes after is done; the test cancels this.
            await asyncio.Event().wait()
