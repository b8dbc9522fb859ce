"""Hearing of what other coordinators on a PostgreSQL database wrote: hints, beside what is read from it.

Every transaction that wrote something says so when it commits (`postgresql`), and names tasks whose steps somebody else
has to follow (`hand_over`). A hint that was missed, because the session was lost, is said to be.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable

import psycopg
from sqlalchemy import Connection, text

from .heard import Heard
from .places import Server
from .postgresql_connection import CONNECTION

_log = logging.getLogger(__name__)

_HANDED_OVER = "neurogrid_handed_over"
_HAND_OVER = text(f"select pg_notify('{_HANDED_OVER}', :task_id)")
# Writes come in bursts: one look at the database is enough for all of a moment.
_GATHERED_S = 0.05
_AGAIN_S = 0.5


def hand_over(conn: Connection, task_ids: Iterable[str]) -> None:
    """Have who leads follow steps of these tasks, once they are committed."""
    for task_id in task_ids:
        conn.execute(_HAND_OVER, {"task_id": task_id})


async def hints(server: Server) -> AsyncGenerator[Heard]:
    """What is committed from now on, a moment's together; never ends. The first one says that some may lack."""
    given = {**CONNECTION, **({"password": server.password} if server.password else {})}
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                server.url, autocommit=True, **given
            ) as raw:
                await raw.execute("listen neurogrid_written")
                await raw.execute(f"listen {_HANDED_OVER}".encode())
                yield Heard(may_lack=True)
                while True:
                    heard = [each async for each in raw.notifies(stop_after=1)]
                    await asyncio.sleep(_GATHERED_S)
                    heard += [each async for each in raw.notifies(timeout=0)]
                    yield Heard(
                        frozenset(each.payload for each in heard if each.channel == _HANDED_OVER)
                    )
        except psycopg.Error as error:
            _log.warning("what other coordinators write is not heard for now: %s", error)
        await asyncio.sleep(_AGAIN_S)
