"""The coordinator that leads, as one that does not knows it: where it is, and what only it can tell."""

import asyncio
import math
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Never, Self
from urllib.parse import urlsplit

import httpx

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.explain import Explanation
from neurogrid_marketplace.fields import decode, plain
from neurogrid_marketplace.spreading import Barred

from ..gateway.connection import ServiceBroken
from ..market.errors import MarketAway
from ..services.errors import Unavailable
from ..store import lead_url
from ..store.database import Database, Overloaded
from .between import READY_PATH, SERVABLE_PATH

# Taking over takes a start's seconds: so long a request that only a leader can answer waits for one.
WAIT_S = 10.0
_PAUSE_S = 0.2
_FOLLOW_S = 1.0
_CONNECT_S = 2.0
# A submission waits for this no longer; it is accepted without, as while the market is restarted.
_ASK_S = 2.0
_STALL_S = 60.0
_READ_BYTES = 64 * 1024


class LeaderConnection:
    """A connection to it, as bytes (`gateway.connection.Connection`).

    Attributes:
        url: where it answers.
    """

    def __init__(
        self, url: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.url = url
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """What comes next; b"" at the end."""
        try:
            return await self._reader.read(_READ_BYTES)
        except OSError as error:
            raise ServiceBroken(str(error)) from error

    async def write(self, data: bytes) -> None:
        """Give it all of this."""
        try:
            async with asyncio.timeout(_STALL_S):
                self._writer.write(data)
                await self._writer.drain()
        except TimeoutError:
            raise ServiceBroken(f"it took nothing for {_STALL_S:g} s") from None
        except OSError as error:
            raise ServiceBroken(str(error)) from error

    async def __aenter__(self) -> Self:
        """Nothing more is needed."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it."""
        self._writer.close()


class Leader:
    """Whoever leads now.

    Args:
        token: what coordinators of this database show each other.
        wait_s: how long a request waits for one that leads.
    """

    def __init__(
        self, database: Database, token: str, http: httpx.AsyncClient, wait_s: float = WAIT_S
    ) -> None:
        self._database = database
        self._token = token
        self._http = http
        self._wait_s = wait_s
        # Looked up for all that is passed on, not for each.
        self._looking = asyncio.Lock()
        self._looked_s = -math.inf
        self._seen = ""

    async def follow(self, connection: LeaderConnection) -> Never:
        """Wait until this one leads no more, for what is being passed on to it.

        One that is stopped keeps its connections, and says nothing on them: whoever waits there has to hear of it.

        Raises:
            ServiceBroken: nobody leads, or another one does.
        """
        while True:
            await asyncio.sleep(_FOLLOW_S)
            async with self._looking:
                if time.monotonic() - self._looked_s >= _FOLLOW_S:
                    # What the database does not tell now, it tells later.
                    with suppress(Overloaded):
                        self._seen = await self._database.read(lead_url.get)
                        self._looked_s = time.monotonic()
                if self._looked_s > -math.inf and self._seen != connection.url:
                    raise ServiceBroken("another coordinator has its place")

    async def connect(self, wait_s: float | None = None) -> LeaderConnection:
        """A connection to it, which has said nothing yet.

        Args:
            wait_s: for another time than is usual.

        Raises:
            Unavailable: nobody led for as long as we wait.
        """
        deadline_s = time.monotonic() + (self._wait_s if wait_s is None else wait_s)
        while True:
            url = await self._database.read(lead_url.get)
            if url:
                try:
                    async with asyncio.timeout(_CONNECT_S):
                        return await _dialled(url)
                except (OSError, TimeoutError):
                    # It is gone, and the next one has not begun yet.
                    pass
            if time.monotonic() >= deadline_s:
                raise Unavailable("no coordinator leads at the moment; try again")
            await asyncio.sleep(_PAUSE_S)

    async def explain(self, demand: Demand, places: Barred) -> Explanation:
        """How a demand meets the nodes that it knows, for whoever submits one.

        Raises:
            MarketAway: it does not answer, or does not know enough to refuse anything.
        """
        answer = await self._ask(SERVABLE_PATH, {"demand": plain(demand), "places": plain(places)})
        try:
            return decode(Explanation, answer)
        except MalformedMessage as error:
            raise MarketAway("who leads said what was not expected") from error

    async def is_ready(self, node_id: str, lease_id: str) -> bool:
        """Whether a lease's service was well, by its node's latest word; not, while nobody can say."""
        try:
            answer = await self._ask(READY_PATH, {"node_id": node_id, "lease_id": lease_id})
        except MarketAway:
            return False
        return isinstance(answer, dict) and answer.get("ready") is True

    async def _ask(self, path: str, question: Mapping[str, Json]) -> object:
        url = await self._database.read(lead_url.get)
        if not url:
            raise MarketAway("no coordinator leads at the moment")
        try:
            async with asyncio.timeout(_ASK_S):
                response = await self._http.post(
                    url + path,
                    json=question,
                    headers={"Authorization": f"Bearer {self._token}"},
                )
                if response.status_code != 200:
                    raise MarketAway(f"who leads answers {response.status_code}")
                answer: object = response.json()
                return answer
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            raise MarketAway(f"who leads does not answer: {error}") from error


async def _dialled(url: str) -> LeaderConnection:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        parts.hostname,
        parts.port or (443 if secure else 80),
        ssl=ssl.create_default_context() if secure else None,
    )
    return LeaderConnection(url, reader, writer)
