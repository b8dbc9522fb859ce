"""The headers that OpenAI's answers have: how long it took, which version, and how many requests may still come."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..request_limits import STANDING_STATE, Standing

PREFIX = "/v1/"
# OpenAI's API has had this version since it has versions.
_VERSION = (b"openai-version", b"2020-10-01")
_NS_PER_MS = 1_000_000
_MINUTE_S = 60


class OpenAiHeaders:
    """Wraps an ASGI application; requests below ``/v1/`` alone are touched."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        began_ns = time.monotonic_ns()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                took_ms = (time.monotonic_ns() - began_ns) // _NS_PER_MS
                headers = [
                    *message["headers"],
                    _VERSION,
                    (b"openai-processing-ms", b"%d" % took_ms),
                    *_limits(scope.get("state", {})),
                ]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _limits(state: dict[str, object]) -> list[tuple[bytes, bytes]]:
    standing = state.get(STANDING_STATE)
    verdict = standing.shown() if isinstance(standing, Standing) else None
    if verdict is None:
        return []
    full_s = max(0, verdict.full_at_s - int(time.time()))
    return [
        (b"x-ratelimit-limit-requests", b"%d" % verdict.limit),
        (b"x-ratelimit-remaining-requests", b"%d" % verdict.remaining),
        (b"x-ratelimit-reset-requests", _span(full_s).encode()),
    ]


def _span(seconds: int) -> str:
    """As OpenAI writes it: `1s`, `6m0s`."""
    minutes, rest_s = divmod(seconds, _MINUTE_S)
    return f"{minutes}m{rest_s}s" if minutes else f"{rest_s}s"
