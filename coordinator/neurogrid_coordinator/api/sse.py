"""Server-sent events: streams that stay alive while nothing happens and end when we stop.

Source of the format: HTML Living Standard, 9.2 "Server-sent events".
"""

import asyncio
from collections.abc import AsyncGenerator

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


class EventStream(StreamingResponse):
    """A response of server-sent events.

    Args:
        events: ready-made events; what a slow client does not take is not made.
        stopping: set when the coordinator stops; the stream then ends at once, so that the
            server need not wait for its clients. They come back and resume.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes], stopping: asyncio.Event) -> None:
        super().__init__(
            _alive(events, stopping),
            # Buffering proxies would hold events back.
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )


async def _alive(events: AsyncGenerator[bytes], stopping: asyncio.Event) -> AsyncGenerator[bytes]:
    async def upcoming() -> bytes | None:
        return await anext(events, None)

    stop = asyncio.create_task(stopping.wait())
    item = asyncio.create_task(upcoming())
    try:
        while not stopping.is_set():
            await asyncio.wait(
                {item, stop}, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not item.done():
                if not stopping.is_set():
                    yield b": keep-alive\n\n"
                continue
            event_bytes = item.result()
            if event_bytes is None:
                return
            yield event_bytes
            item = asyncio.create_task(upcoming())
    finally:
        stop.cancel()
        item.cancel()
        await asyncio.gather(stop, item, return_exceptions=True)
        await events.aclose()
