"""Answers that come piece by piece: server-sent events.

An error before anything was sent is an answer with its status; so the first piece is waited for a little. After that the
stream says it, in its form, and ends.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..files.artifacts import StoreUnavailable
from ..replicas.serving import ModelServing
from ..replicas.status import ModelStatus, announcement
from ..services.artifacts import unreachable
from ..services.errors import Refused, Unavailable
from ..services.models import ModelSettings
from ..store.database import DatabaseClosed, Overloaded
from .errors import Problem, refused
from .leaving import until_left
from .sse import KEEP_ALIVE_S

# Clients wait for the head of an answer about as long as proxies do.
HEAD_S = 10.0
# Where the model surely begins later, its answer says so at once; an error has a status until then.
_ANNOUNCED_HEAD_S = 1.0
_ANNOUNCED_EVERY_S = 5.0
# A comment: clients that parse streams pass over it.
KEEP_ALIVE = b": keep-alive\n\n"

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
# `Gate.ended` of the caller: why the key opens nothing any more.
Ended = Callable[[], Coroutine[Any, Any, Refused]]
# How the model's replicas are; None where a task answers.
Waits = Callable[[], ModelStatus | None]


class StreamForm(Protocol[T_contra]):
    """How the pieces of a stream are written down."""

    def event(self, piece: T_contra) -> bytes:
        """A piece."""

    def error(self, error: Problem) -> bytes:
        """What went wrong: the last event."""

    def end(self) -> bytes:
        """All pieces were sent."""


async def stream_response(
    request: Request,
    pieces: AsyncGenerator[T],
    ended: Ended,
    waits: Waits,
    form: StreamForm[T],
    head_s: float = HEAD_S,
) -> Response:
    """The answer of these pieces; whoever leaves closes them.

    Args:
        waits: what is said of the model's start, in comments, while nothing comes.
        head_s: how long the first is waited for before the answer begins without it.

    Raises:
        what the first piece does, if it does so within ``head_s``; and why the key has ended, if it does.
        Unavailable: the client has left; nobody sees this.
    """
    brief_s = min(head_s, _ANNOUNCED_HEAD_S)
    first = asyncio.ensure_future(_next(pieces))
    left = asyncio.ensure_future(until_left(request))
    end = asyncio.ensure_future(ended())
    awaited: set[asyncio.Future[Any]] = {first, left, end}
    try:
        done, _ = await asyncio.wait(awaited, timeout=brief_s, return_when=asyncio.FIRST_COMPLETED)
        rest_s = head_s - brief_s
        if not done and not _is_later(waits(), rest_s):
            await asyncio.wait(awaited, timeout=rest_s, return_when=asyncio.FIRST_COMPLETED)
        if first.done():
            first.result()
        elif end.done():
            raise end.result()
        elif left.done():
            raise Unavailable("the client has left")
    except BaseException:
        await _stop(*awaited)
        await pieces.aclose()
        raise
    return _EventAnswer(pieces, first, left, end, waits, form)


async def _next(pieces: AsyncGenerator[T]) -> T | None:
    return await anext(pieces, None)


def _is_later(status: ModelStatus | None, than_s: float) -> bool:
    """Whether the model surely begins later than so."""
    return status is not None and (status.expected_ms or 0) > 1000 * than_s


async def _stop(*work: asyncio.Future[Any]) -> None:
    for each in work:
        each.cancel()
    await asyncio.gather(*work, return_exceptions=True)


class _EventAnswer(Response, Generic[T]):
    """The answer, written by one task to its end; what else may happen to it is watched beside that.

    Args:
        first: the first piece, which may not be there yet.
        left: ends when the client has left; ended: when its key opens nothing any more.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        pieces: AsyncGenerator[T],
        first: "asyncio.Future[T | None]",
        left: "asyncio.Future[None]",
        ended: "asyncio.Future[Refused]",
        waits: Waits,
        form: StreamForm[T],
    ) -> None:
        self.status_code = 200
        self.background = None
        # Buffering proxies would hold events back.
        self.init_headers({"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._pieces = pieces
        self._first = first
        self._left = left
        self._ended = ended
        self._waits = waits
        self._form = form
        self._is_sending = False
        self._said_s = 0.0
        # What is said while nothing comes.
        self._comment = KEEP_ALIVE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        start = {"status": self.status_code, "headers": self.raw_headers}
        try:
            await send({"type": "http.response.start", **start})
            writing = asyncio.ensure_future(self._write(send))
            try:
                await self._watch(writing, send)
            finally:
                await _stop(writing)
        finally:
            await _stop(self._first, self._left, self._ended)
            await self._pieces.aclose()

    async def _write(self, send: Send) -> None:
        try:
            piece = await self._first
            if piece is not None:
                await self._put(send, self._form.event(piece))
                self._comment = KEEP_ALIVE
                async for each in self._pieces:
                    await self._put(send, self._form.event(each))
                    self._comment = KEEP_ALIVE
            await self._put(send, self._form.end(), is_last=True)
        except (Refused, Overloaded, DatabaseClosed, StoreUnavailable) as error:
            await self._put(send, self._form.error(_problem(error)), is_last=True)

    async def _watch(self, writing: "asyncio.Future[None]", send: Send) -> None:
        """Say that it lives while nothing comes, until it is written, or nobody waits for it any more."""
        loop = asyncio.get_running_loop()
        awaited: set[asyncio.Future[Any]] = {writing, self._ended, self._left}
        self._said_s = loop.time()
        if not self._first.done():
            self._comment = _comment(self._waits())
            if self._comment != KEEP_ALIVE:
                await self._put(send, self._comment)
        while True:
            every_s = KEEP_ALIVE_S if self._comment == KEEP_ALIVE else _ANNOUNCED_EVERY_S
            next_s = self._said_s + min(KEEP_ALIVE_S, every_s)
            await asyncio.wait(
                awaited,
                timeout=max(0.0, next_s - loop.time()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if writing.done():
                writing.result()
                return
            if self._left.done():
                return
            if self._ended.done():
                await _stop(writing)
                why = self._form.error(refused(self._ended.result()))
                await self._put(send, why, is_last=True)
                return
            if self._is_sending:
                # Its client is slow to read: there is more than it has taken.
                self._said_s = loop.time()
            elif loop.time() >= next_s:
                self._comment = _comment(self._waits())
                await self._put(send, self._comment)

    async def _put(self, send: Send, data: bytes, *, is_last: bool = False) -> None:
        self._is_sending = True
        await send({"type": "http.response.body", "body": data, "more_body": not is_last})
        self._is_sending = False
        self._said_s = asyncio.get_running_loop().time()


def _comment(status: ModelStatus | None) -> bytes:
    said = announcement(status) if status is not None else ""
    return b": %b\n\n" % said.encode() if said else KEEP_ALIVE


def _problem(error: Refused | Overloaded | DatabaseClosed | StoreUnavailable) -> Problem:
    if isinstance(error, StoreUnavailable):
        return refused(unreachable(error))
    if isinstance(error, Refused):
        return refused(error)
    return refused(Unavailable("the coordinator has too much to do; try again in a moment"))


def waits_of(models: ModelSettings, serving: ModelServing | None) -> Callable[[str], Waits]:
    """What is said of a model's start; where no node takes a replica nothing is, as a task may answer."""

    def of(name: str) -> Waits:
        model = models.catalogue.find(name)

        def look() -> ModelStatus | None:
            if serving is None or model is None:
                return None
            status = serving.status_of(model.id)
            return None if status is None or status.problem else status

        return look

    return of
