"""Streams as OpenAI sends them: JSON in each event, `[DONE]` in the last. After an error there is none."""

from collections.abc import AsyncGenerator

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..errors import Problem
from ..streaming import Ended, Waits, stream_response
from .errors import error_body

DONE = b"data: [DONE]\n\n"


class _OpenAiForm:
    def event(self, piece: bytes) -> bytes:
        """The JSON of a piece."""
        return b"data: " + piece + b"\n\n"

    def error(self, error: Problem) -> bytes:
        """An event with ``error``."""
        return self.event(msgspec.json.encode(error_body(error)))

    def end(self) -> bytes:
        """All was said."""
        return DONE


_FORM = _OpenAiForm()


async def openai_stream(
    request: Request, pieces: AsyncGenerator[bytes], ended: Ended, waits: Waits
) -> Response:
    """See `streaming.stream_response`."""
    return await stream_response(request, pieces, ended, waits, _FORM)
