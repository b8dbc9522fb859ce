"""Answers that come piece by piece, as OpenAI sends them: server-sent events of JSON, and `[DONE]`.

An error before anything was sent is an answer with its status; so the first piece is waited for a little. After that the
stream says it: an event with `error`, no `[DONE]`, and the end.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ...artifacts import StoreUnavailable
from ...replicas.status import ModelStatus, announcement
from ...services.artifacts import unreachable
from ...services.errors import Refused, Unavailable
from ...store.database import DatabaseClosed, Overloaded
from ..errors import Problem, refused
from ..leaving import while_there
from ..sse import KEEP_ALIVE_S
from .errors import error_body

# Clients wait for the head of an answer about as long as proxies do.
HEAD_S = 10.0
DONE = b"data: [DONE]\n\n"
# Where the model surely begins later, its answer says so at once; an error has a status until then.
_ANNOUNCED_HEAD_S = 1.0
_ANNOUNCED_EVERY_S = 5.0
# A comment: clients that parse streams pass over it.
KEEP_ALIVE = b": keep-alive\n\n"

Pieces = AsyncGenerator[bytes]
# `Gate.ended` of the caller: why the key opens nothing any more.
Ended = Callable[[], Coroutine[Any, Any, Refused]]
# How the model's replicas are; None where a task answers.
Waits = Callable[[], ModelStatus | None]


async def stream_response(
    request: Request, pieces: Pieces, ended: Ended, waits: Waits, head_s: float = HEAD_S
) -> Response:
    """The answer of these pieces; whoever leaves closes them.

    Args:
        waits: what is said of the model's start, in comments, while nothing comes.
        head_s: how long the first is waited for before the answer begins without it.

    Raises:
        what the first piece does, if it does so within ``head_s``.
    """
    status = waits()
    if status is not None and (status.expected_ms or 0) > 1000 * head_s:
        head_s = min(head_s, _ANNOUNCED_HEAD_S)
    first = asyncio.ensure_future(_next(pieces))
    try:
        await while_there(request, _settled(first, head_s))
    except BaseException:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await pieces.aclose()
        raise
    return StreamingResponse(
        _events(pieces, first, ended, waits),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _next(pieces: Pieces) -> bytes | None:
    return await anext(pieces, None)


async def _settled(first: asyncio.Future[bytes | None], head_s: float) -> None:
    """Wait until the first piece is there or has failed, or ``head_s`` are over."""
    done, _ = await asyncio.wait({first}, timeout=head_s)
    if done:
        first.result()


async def _events(
    pieces: Pieces, item: "asyncio.Future[bytes | None]", ended: Ended, waits: Waits
) -> AsyncGenerator[bytes]:
    end = asyncio.ensure_future(ended())
    awaited: set[asyncio.Future[Any]]
    comment = KEEP_ALIVE if item.done() else _comment(waits())
    try:
        if comment != KEEP_ALIVE:
            yield comment
        while True:
            awaited = {item, end}
            every_s = KEEP_ALIVE_S if comment == KEEP_ALIVE else _ANNOUNCED_EVERY_S
            await asyncio.wait(
                awaited, timeout=min(KEEP_ALIVE_S, every_s), return_when=asyncio.FIRST_COMPLETED
            )
            if item.done():
                piece = item.result()
                if piece is None:
                    break
                yield b"data: " + piece + b"\n\n"
                comment = KEEP_ALIVE
                item = asyncio.ensure_future(_next(pieces))
            elif end.done():
                yield _error_event(refused(end.result()))
                return
            else:
                comment = _comment(waits())
                yield comment
        yield DONE
    except (Refused, Overloaded, DatabaseClosed, StoreUnavailable) as error:
        yield _error_event(_problem(error))
    finally:
        for task in (item, end):
            task.cancel()
        await asyncio.gather(item, end, return_exceptions=True)
        await pieces.aclose()


def _comment(status: ModelStatus | None) -> bytes:
    said = announcement(status) if status is not None else ""
    return b": %b\n\n" % said.encode() if said else KEEP_ALIVE


def _problem(error: Refused | Overloaded | DatabaseClosed | StoreUnavailable) -> Problem:
    if isinstance(error, StoreUnavailable):
        return refused(unreachable(error))
    if isinstance(error, Refused):
        return refused(error)
    return refused(Unavailable("the coordinator has too much to do; try again in a moment"))


def _error_event(error: Problem) -> bytes:
    return b"data: " + msgspec.json.encode(error_body(error)) + b"\n\n"
