"""What happens to the account: as a list, and as it comes."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from ..models.events import AccountEvent, EventPage
from .runtime import sleep
from .sse import read_events
from .transport import STREAM_SILENCE_S, Transport

# Between two streams that end by themselves, which they do after an hour.
_PAUSE_S = 1.0


class _Listed(Struct, frozen=True):
    events: list[dict[str, Any]]
    next_after: int
    reset: bool = False


class Events:
    """The account's events."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(
        self, *, after: int = 0, types: Sequence[str] = (), limit: int = 100
    ) -> EventPage:
        """Events after a sequence, oldest first.

        Args:
            types: only these, see `Webhooks.events`.

        Raises:
            InvalidRequestError: there is no such event.
        """
        params: dict[str, str | int] = {"after": after, "limit": limit, **_types(types)}
        found = await self._transport.call(_Listed, "GET", "/events", params=params)
        return EventPage(
            events=[_event(each) for each in found.events],
            next_after=found.next_after,
            reset=found.reset,
        )

    async def follow(
        self, *, after: int | None = None, types: Sequence[str] = ()
    ) -> AsyncGenerator[AccountEvent]:
        """Events as they come, for ever; resumed after the last that arrived when a connection breaks. One of type
        ``reset`` says that the coordinator does not know that event (any more), and what follows is what is to come.

        Args:
            after: begin after this sequence; None: with what is to come.
            types: only these.

        Raises:
            InvalidRequestError: there is no such event.
        """
        last = None if after is None else str(after)

        async def attempt() -> AsyncGenerator[AccountEvent]:
            nonlocal last
            async with self._transport.stream(
                "/events",
                params={"follow": "true", **_types(types)},
                headers={} if last is None else {"Last-Event-ID": last},
                silence_s=STREAM_SILENCE_S,
            ) as response:
                # Held until the connection is closed, which closes what httpx has below them.
                arriving = response.aiter_lines()
                async with aclosing(read_events(arriving)) as events:
                    async for event in events:
                        last = event.id
                        # Only says where the stream begins.
                        if event.event != "open":
                            yield _event(msgspec.json.decode(event.data))

        while True:
            async with aclosing(self._transport.resume(attempt)) as happened:
                async for event in happened:
                    yield event
            await sleep(_PAUSE_S)


def _types(types: Sequence[str]) -> dict[str, str]:
    return {"types": ",".join(types)} if types else {}


def _event(fields: dict[str, Any]) -> AccountEvent:
    return AccountEvent(
        type=fields["type"],
        sequence=fields["sequence"],
        timestamp=msgspec.convert(fields["timestamp"], datetime),
        fields=fields,
    )
