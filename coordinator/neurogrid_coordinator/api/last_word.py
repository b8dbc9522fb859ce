"""An answer to a request whose body is not wanted: it arrives although the client is still sending."""

import asyncio
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .body import announced_bytes

# A connection that is closed with bytes unread is reset, which throws away what the other side has not read
# yet (RFC 9112, 9.6): so some of the rest is read, and thrown away, first: clients send all of a recording or a batch before
# they read. Beyond this it is not worth it.
DRAINED_BYTES_MAX = 128 * 1024 * 1024
DRAINING_S_MAX = 5.0


class LastWord(Response):
    """The answer goes at once; the connection ends when the body has, or after the bounds above."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers["Connection"] = "close"
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        if (announced_bytes(Request(scope)) or 0) <= DRAINED_BYTES_MAX:
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAINING_S_MAX):
                    await _drain(receive)
        await send({"type": "http.response.body", "body": b""})


async def _drain(receive: Receive) -> None:
    left = DRAINED_BYTES_MAX
    while left > 0:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
        left -= len(message.get("body", b""))
