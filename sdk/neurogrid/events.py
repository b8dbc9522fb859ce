"""What happens to the account: as a list, and as it comes."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from .sse import read_events
from .transport import STREAM_SILENCE_S, Transport

# Between two streams that end by themselves, which they do after an hour.
_PAUSE_S = 1.0


class AccountEvent(Struct, frozen=True, kw_only=True):
    """Something that has happened.

    Attributes:
        type: such as ``task.completed``.
        sequence: grows in the order in which things happened; ask for what comes after it.
        fields: all that it says, as it came: ``task_id``, ``status``, ...
    """

    type: str
    sequence: int
    timestamp: datetime
    fields: dict[str, Any]


class EventPage(Struct, frozen=True, kw_only=True):
    """Some events, oldest first; ``next_after``: ask for what comes after it; ``reset``: the coordinator knows no event
    of the sequence that was asked for, so what you keep of earlier ones may be another now."""

    events: list[AccountEvent]
    next_after: int
    reset: bool = False


class _Listed(Struct, frozen=True):
    events: list[dict[str, Any]]
    next_after: int
    reset: bool = False


class Events:
    """The account's events."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, after: int = 0, types: Sequence[str] = (), limit: int = 100) -> EventPage:
        """Events after a sequence, oldest first.

        Args:
            types: only these, see `Webhooks.events`.

        Raises:
            InvalidRequestError: there is no such event.
        """
        params: dict[str, str | int] = {"after": after, "limit": limit, **_types(types)}
        found = self._transport.call(_Listed, "GET", "/events", params=params)
        return EventPage(
            events=[_event(each) for each in found.events],
            next_after=found.next_after,
            reset=found.reset,
        )

    def follow(
        self, *, after: int | None = None, types: Sequence[str] = ()
    ) -> Iterator[AccountEvent]:
        """Events as they come, for ever; resumed after the last that arrived when a connection breaks. One of type
        ``reset`` says that the coordinator does not know that event (any more), and what follows is what is to come.

        Args:
            after: begin after this sequence; None: with what is to come.
            types: only these.

        Raises:
            InvalidRequestError: there is no such event.
        """
        last = None if after is None else str(after)

        def attempt() -> Iterator[AccountEvent]:
            nonlocal last
            with self._transport.stream(
                "/events",
                params={"follow": "true", **_types(types)},
                headers={} if last is None else {"Last-Event-ID": last},
                silence_s=STREAM_SILENCE_S,
            ) as response:
                for event in read_events(response.iter_lines()):
                    last = event.id
                    # Only says where the stream begins.
                    if event.event != "open":
                        yield _event(msgspec.json.decode(event.data))

        while True:
            yield from self._transport.resume(attempt)
            time.sleep(_PAUSE_S)


def _types(types: Sequence[str]) -> dict[str, str]:
    return {"types": ",".join(types)} if types else {}


def _event(fields: dict[str, Any]) -> AccountEvent:
    return AccountEvent(
        type=fields["type"],
        sequence=fields["sequence"],
        timestamp=msgspec.convert(fields["timestamp"], datetime),
        fields=fields,
    )
