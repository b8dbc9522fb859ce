"""Leases for use end with a key of their account: what a key that was revoked has opened holds no money any longer.

Which key has asked under a lease nobody remembers, and all keys of an account ask under the same; so when one is revoked, requests go on
under new leases, and those that there were end once nobody is answered under them. What was delivered is paid. The answers of the key
that was revoked are ended by whoever sends them (`api/key_watch`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from neurogrid_marketplace.task import Phase

from ..store import use
from ..store.database import Database, Overloaded
from .leases import UseLeases

_log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
# At a time; the rest when those have ended.
_AT_ONCE: Final = 200


class EndedKeys:
    """See the module.

    Args:
        request_cancel: of the orchestrator; raises `LookupError`.
    """

    def __init__(
        self,
        leases: UseLeases,
        database: Database,
        request_cancel: Callable[[str], Awaitable[Phase]],
    ) -> None:
        self._leases = leases
        self._database = database
        self._request_cancel = request_cancel
        self._cancelled: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look for ever; cancel it to stop."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except Overloaded as error:
                _log.warning("leases for use of keys that were revoked wait: %s", error)

    async def look(self) -> None:
        """End those under which nobody is answered, and let nobody begin under the others."""
        found = frozenset(await self._database.read(use.of_ended_keys, _AT_ONCE))
        self._leases.leave(found)
        self._cancelled &= found
        for task_id in sorted(found - self._cancelled):
            if self._leases.is_asked(task_id):
                continue
            try:
                await self._request_cancel(task_id)
            except LookupError:
                _log.info("lease for use %s is gone already", task_id)
            self._cancelled |= {task_id}
