"""Limits of requests that hold for all coordinators of a database together: they tell each other what they have taken.

By `NOTIFY`, on a session for this alone: nothing is stored, no transaction of anybody waits, and no request asks the
database. What is lost with a session is lost to the limit only.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence

import msgspec
import psycopg

from ..api.rate_limit import Taken
from ..api.request_limits import RequestCounts
from ..store.places import Server
from ..store.postgresql_connection import CONNECTION

_log = logging.getLogger(__name__)

_CHANNEL = "neurogrid_taken"
# How late what is told may be, beside the server's own time.
EACH_S = 0.2
_AGAIN_S = 0.5
# PostgreSQL takes less than 8000 bytes a message.
_MESSAGE_BYTES_MAX = 7900
# Of names, in one go: the rest has its turn in the next.
_NAMES_MAX = 1000

# Whose, name, a minute's limit, requests.
_Line = tuple[str, str, int, int]
_read = msgspec.json.Decoder(list[_Line]).decode


def messages(told: Sequence[tuple[str, Taken]]) -> Iterator[str]:
    """What was taken, in as many messages as it needs."""
    lines: list[bytes] = []
    size = 2
    for whose, taken in told:
        line = msgspec.json.encode((whose, taken.name, taken.per_minute, taken.requests))
        if lines and size + len(line) + 1 > _MESSAGE_BYTES_MAX:
            yield f"[{b','.join(lines).decode()}]"
            lines, size = [], 2
        lines.append(line)
        size += len(line) + 1
    if lines:
        yield f"[{b','.join(lines).decode()}]"


def lines_of(message: str) -> Iterator[tuple[str, Taken]]:
    """What another coordinator says; nothing, where it is of another release's form."""
    try:
        lines = _read(message)
    except msgspec.DecodeError:
        return
    for whose, name, per_minute, requests in lines:
        if per_minute > 0 and requests > 0:
            yield whose, Taken(name, per_minute, requests)


async def count_together(server: Server, counts: RequestCounts) -> None:
    """Tell the others, and hear them; never ends."""
    counts.share()
    given = {**CONNECTION, **({"password": server.password} if server.password else {})}
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                server.url, autocommit=True, **given
            ) as raw:
                await raw.execute(f"listen {_CHANNEL}".encode())
                while True:
                    for message in messages(counts.take_due(_NAMES_MAX)):
                        await raw.execute("select pg_notify(%s, %s)", (_CHANNEL, message))
                    async for heard in raw.notifies(timeout=EACH_S):
                        if heard.pid != raw.info.backend_pid:
                            for whose, taken in lines_of(heard.payload):
                                counts.hear(whose, taken)
        except psycopg.Error as error:
            _log.warning("requests are counted by each coordinator alone for now: %s", error)
        await asyncio.sleep(_AGAIN_S)
