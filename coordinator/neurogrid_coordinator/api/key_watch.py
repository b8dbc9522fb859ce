"""Connections that stay open end with their key: who waits here learns that it opens nothing any more.

What other processes and the operator's commands do to keys is seen in the database, where all keys
with open connections are looked up together.
"""

import asyncio
import logging
import time
from collections.abc import Iterable

from sqlalchemy import Connection

from ..services.errors import KeyHasExpired, Unauthorized
from ..services.key_rules import state_of
from ..store import api_keys
from ..store.accounts import ApiKey
from ..store.api_keys import KeyState
from ..store.database import Database, DatabaseClosed, Overloaded

_log = logging.getLogger(__name__)

# With the time to look, less than the second within which a revoked key has to stop.
_LOOK_S = 0.5
# Parameters of one statement.
_LOOKED_UP_AT_ONCE = 500


class KeyWatch:
    """The keys of open connections; looks at them only while there are any."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[str, set[asyncio.Future[Unauthorized]]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def ended(self, key: ApiKey) -> Unauthorized:
        """Wait until the key opens nothing any more; why, for its client."""
        future: asyncio.Future[Unauthorized] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key.id, set()).add(future)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            return await future
        finally:
            self._waiting[key.id].discard(future)
            if not self._waiting[key.id]:
                del self._waiting[key.id]

    async def _look(self) -> None:
        while self._waiting:
            await asyncio.sleep(_LOOK_S)
            try:
                await self._look_once()
            except Overloaded as error:
                _log.warning("the keys of open connections are looked up later: %s", error)
            except DatabaseClosed:
                return  # the coordinator stops, and all connections with it
            except Exception:  # noqa: BLE001 - the boundary of a task that nobody awaits
                _log.exception("the keys of open connections could not be looked up")

    async def _look_once(self) -> None:
        ids = list(self._waiting)
        for start in range(0, len(ids), _LOOKED_UP_AT_ONCE):
            some = ids[start : start + _LOOKED_UP_AT_ONCE]
            for key_id, why in (await self._database.read(_ended, some)).items():
                for future in self._waiting.get(key_id, ()):
                    if not future.done():
                        future.set_result(why)


def _ended(conn: Connection, key_ids: Iterable[str]) -> dict[str, Unauthorized]:
    """Those of these keys that open nothing any more."""
    now_ms = time.time_ns() // 1_000_000
    wanted = list(key_ids)
    found = {key.id: state_of(key, now_ms) for key in api_keys.of_ids(conn, wanted)}
    # One that is not there at all was deleted a good while after its end.
    states = {key_id: found.get(key_id, KeyState.REVOKED) for key_id in wanted}
    return {
        key_id: KeyHasExpired("This API key has expired. Ask for a new one.")
        if state is KeyState.EXPIRED
        else Unauthorized("This API key was revoked.")
        for key_id, state in states.items()
        if state is not KeyState.ACTIVE
    }
