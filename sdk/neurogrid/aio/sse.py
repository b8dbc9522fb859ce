"""Server-sent events: the text/event-stream format, read line by line.

Source: HTML Living Standard, 9.2.6 "Interpreting an event stream".
"""

from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event; ``id`` is None where the stream gave none."""

    event: str
    data: str
    id: str | None


async def read_events(lines: AsyncIterable[str]) -> AsyncGenerator[ServerSentEvent]:
    """The events in a stream of lines; comments (keep-alives) and unknown fields are skipped."""
    event, data, last_id = "message", list[str](), None
    async for line in lines:
        if not line:
            if data:
                yield ServerSentEvent(event, "\n".join(data), last_id)
            event, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                event = value
            case "data":
                data.append(value)
            case "id":
                last_id = value
