"""``/events``: what happens to the account, as a list to be asked for and as a stream."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Query
from msgspec import Meta, Struct
from starlette.responses import Response

from ...event_kinds import UnknownEvent, wanted_kinds
from ...services.errors import InvalidRequest, RateLimited
from ...services.events import Events, Happening, Notice
from ...store.accounts import Account
from .. import sse
from ..auth import Caller, Gate
from ..envelope import success
from ..event_views import RESET, event_view, reset_fields
from ..openapi import Schemas, errors
from ..paths import API

LIST_MAX = 100
# Streams of one account at a time.
STREAMS_MAX = 100
# Of the newest; streams are told the same events within moments of each other.
_WORDS_MAX = 64
_RETRY_AFTER_S = 10
_SEQUENCE_MAX = 10**15


class EventListView(Struct, frozen=True):
    """Some of the account's events, oldest first; ``next_after``: ask for what comes after it."""

    events: list[dict[str, Any]]
    next_after: int
    reset: Annotated[
        bool,
        Meta(description="`after` is of an event that there is not (any more): begin anew."),
    ]


def add_event_routes(
    app: FastAPI,
    events: Events,
    gate: Gate,
    schemas: Schemas,
    *,
    stopping: asyncio.Event,
    stream_s: float,
) -> None:
    """Add the route.

    Args:
        stream_s: how long a stream lasts; its client comes back and resumes.
    """
    open_streams: Counter[str] = Counter()
    words = _Words()
    listed = schemas.answer(EventListView, "Or, with `follow`, a stream of server-sent events.")
    listed["content"]["text/event-stream"] = {"schema": sse.EVENT_SCHEMA}

    @app.get(
        f"{API}/events",
        tags=["Events"],
        summary="Your account's events",
        response_class=Response,
        responses={
            200: listed,
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "KEY_EXPIRED", "FORBIDDEN", "RATE_LIMITED"),
        },
    )
    async def get_account_events(
        caller: Annotated[Caller, Depends(gate)],
        after: Annotated[
            int | None,
            Query(
                ge=0,
                le=_SEQUENCE_MAX,
                description="Only what comes after this `sequence`. Without it a list begins with the "
                "oldest event, and a stream with what is to come.",
            ),
        ] = None,
        types: Annotated[
            str | None,
            Query(max_length=1000, description="Names of events, with commas; without it all."),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX, description="Of a list.")] = LIST_MAX,
        follow: Annotated[
            bool, Query(description="Server-sent events as they come, each named as its type.")
        ] = False,
        last_event_id: Annotated[
            str | None,
            Header(
                description="Of the last event that arrived: `after`, as browsers say it.",
                max_length=128,
                json_schema_extra={"pattern": "^[0-9]{1,15}$"},
            ),
        ] = None,
    ) -> Response:
        """What `/ws` tells of the account. A stream begins with `open`, whose id says where, and ends after an
        hour; its client comes back with `Last-Event-ID` and misses nothing. Where that is no event (any more),
        `reset` comes second, and then what is to come."""
        kinds = _kinds(types)
        since = _sequence(last_event_id) if last_event_id is not None else after
        account = caller.account
        if not follow:
            found, looked_to = await events.page(account, since or 0, limit, kinds)
            views = [event_view(event) for event in found]
            is_reset = looked_to < (since or 0)
            return success({"events": views, "next_after": looked_to, "reset": is_reset})
        if open_streams[account.id] >= STREAMS_MAX:
            raise RateLimited(_RETRY_AFTER_S)
        begin, is_reset = await events.beginning(since)
        asked = since if is_reset else None
        stream = _stream(events, account, begin, asked, kinds, stream_s, open_streams, words)
        return sse.EventStream(stream, stopping, partial(gate.ended, caller))


async def _stream(
    events: Events,
    account: Account,
    after: int,
    unknown: int | None,
    kinds: Collection[str],
    stream_s: float,
    open_streams: Counter[str],
    words: "_Words",
) -> AsyncGenerator[bytes]:
    open_streams[account.id] += 1
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + stream_s
    try:
        # Whoever is cut off before the first event knows where to go on, too.
        yield sse.event("open", {"sequence": after}, str(after))
        if unknown is not None:
            yield sse.event(RESET, reset_fields(after, unknown), str(after))
        async with aclosing(events.of_account(account, after)) as coming:
            while True:
                try:
                    async with asyncio.timeout_at(ends_s):
                        event = await anext(coming)
                except TimeoutError:
                    return
                if not kinds or event.name in kinds:
                    yield words.of(event)
    finally:
        open_streams[account.id] -= 1
        if open_streams[account.id] <= 0:
            del open_streams[account.id]


class _Words:
    """Events as streams tell them: each is put into words once for all streams that are told the same."""

    def __init__(self) -> None:
        self._made: OrderedDict[int, tuple[Happening | Notice, bytes]] = OrderedDict()

    def of(self, event: Happening | Notice) -> bytes:
        """One event, with its sequence as id."""
        made = self._made.get(event.seq)
        # Who read it from the database at another time may see its task further on.
        if made is None or made[0] is not event:
            told = sse.event(event.name, event_view(event), str(event.seq))
            made = self._made[event.seq] = event, told
            if len(self._made) > _WORDS_MAX:
                self._made.popitem(last=False)
        return made[1]


def _kinds(types: str | None) -> tuple[str, ...]:
    if types is None:
        return ()
    try:
        return wanted_kinds(name.strip() for name in types.split(","))
    except UnknownEvent as error:
        raise InvalidRequest(f"types: {error}", "types") from error


def _sequence(event_id: str) -> int:
    if not (event_id.isascii() and event_id.isdecimal() and len(event_id) <= 15):
        raise InvalidRequest("Last-Event-ID: is not the id of an event", "Last-Event-ID")
    return int(event_id)
