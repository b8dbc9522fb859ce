"""Streams of server-sent events, as OpenAI's clients read them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from models.serving.bodies import encoded

DONE = b"data: [DONE]\n\n"


class Stream(StreamingResponse):
    """A stream that leaves what it has entered, also where its client goes before it begins."""

    def __init__(self, entered: AsyncExitStack, events: AsyncGenerator[bytes, None]) -> None:
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._entered, self._events = entered, events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._entered, aclosing(self._events):
            await super().__call__(scope, receive, send)


def event(value: object) -> bytes:
    """A value as an event."""
    return b"data: " + encoded(value) + b"\n\n"
