"""Server-sent events: streams that stay alive while nothing happens and end when we stop.

Source of the format: HTML Living Standard, 9.2 "Server-sent events".
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import msgspec
from starlette.responses import StreamingResponse

# Proxies cut connections that are silent for a minute; clients give up after 45 s.
KEEP_ALIVE_S = 15.0


def event(name: str, data: object, event_id: str | None = None) -> bytes:
    """One event; ``data`` is anything msgspec can encode."""
    lines = [f"event: {name}"]
    if event_id is not None:
        lines.append(f"id: {event_id}")
    lines.append(f"data: {msgspec.json.encode(data).decode()}")
    return ("\n".join(lines) + "\n\n").encode()


# OpenAPI 3.1 knows no streams; tools take the schema of one for that of each event in it.
EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "id": {"type": "string"},
        "event": {"type": "string"},
        "data": {"type": "string", "description": "JSON."},
    },
}


class EventStream(StreamingResponse):
    """A response of server-sent events.

    Args:
        events: ready-made events; what a slow client does not take is not made.
        stopping: set when the coordinator stops; the stream then ends at once, so that the
            server need not wait for its clients. They come back and resume.
        ended: `Gate.ended` of the caller: the stream then ends as well.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes],
        stopping: asyncio.Event,
        ended: Callable[[], Coroutine[Any, Any, object]],
    ) -> None:
        super().__init__(
            _alive(events, stopping, ended),
            # Buffering proxies would hold events back.
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )


async def _alive(
    events: AsyncGenerator[bytes],
    stopping: asyncio.Event,
    ended: Callable[[], Coroutine[Any, Any, object]],
) -> AsyncGenerator[bytes]:
    async def upcoming() -> bytes | None:
        return await anext(events, None)

    stop = asyncio.create_task(stopping.wait())
    end = asyncio.create_task(ended())
    item = asyncio.create_task(upcoming())
    try:
        while not (stopping.is_set() or end.done()):
            await asyncio.wait(
                {item, stop, end}, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not item.done():
                if not (stopping.is_set() or end.done()):
                    yield b": keep-alive\n\n"
                continue
            event_bytes = item.result()
            if event_bytes is None:
                return
            yield event_bytes
            item = asyncio.create_task(upcoming())
    finally:
        for task in (stop, end, item):
            task.cancel()
        await asyncio.gather(stop, end, item, return_exceptions=True)
        await events.aclose()
