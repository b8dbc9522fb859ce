"""Answers that come piece by piece: server-sent events.

An error before anything was sent is an answer with its status; so the first piece is waited for a little. After that the
stream says it, in its form, and ends.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..artifacts import StoreUnavailable
from ..replicas.serving import ModelServing
from ..replicas.status import ModelStatus, announcement
from ..services.artifacts import unreachable
from ..services.errors import Refused, Unavailable
from ..services.models import ModelSettings
from ..store.database import DatabaseClosed, Overloaded
from .errors import Problem, refused
from .leaving import while_there
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
    """
    status = waits()
    if status is not None and (status.expected_ms or 0) > 1000 * head_s:
        head_s = min(head_s, _ANNOUNCED_HEAD_S)
    first = asyncio.ensure_future(_next(pieces))
    try:
        await while_there(request, _settled(first, head_s), ended())
    except BaseException:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await pieces.aclose()
        raise
    return StreamingResponse(
        _Events(pieces, ended, waits, form).sent(first),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _next(pieces: AsyncGenerator[T]) -> T | None:
    return await anext(pieces, None)


async def _settled(first: asyncio.Future[T | None], head_s: float) -> None:
    """Wait until the first piece is there or has failed, or ``head_s`` are over."""
    done, _ = await asyncio.wait({first}, timeout=head_s)
    if done:
        first.result()


class _Events(Generic[T]):
    """The events of a stream."""

    def __init__(
        self, pieces: AsyncGenerator[T], ended: Ended, waits: Waits, form: StreamForm[T]
    ) -> None:
        self._pieces = pieces
        self._ended = ended
        self._waits = waits
        self._form = form

    async def sent(self, item: "asyncio.Future[T | None]") -> AsyncGenerator[bytes]:
        """All of them, from the first piece on."""
        end = asyncio.ensure_future(self._ended())
        awaited: set[asyncio.Future[Any]]
        comment = KEEP_ALIVE if item.done() else _comment(self._waits())
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
                    yield self._form.event(piece)
                    comment = KEEP_ALIVE
                    item = asyncio.ensure_future(_next(self._pieces))
                elif end.done():
                    yield self._form.error(refused(end.result()))
                    return
                else:
                    comment = _comment(self._waits())
                    yield comment
            yield self._form.end()
        except (Refused, Overloaded, DatabaseClosed, StoreUnavailable) as error:
            yield self._form.error(_problem(error))
        finally:
            for task in (item, end):
                task.cancel()
            await asyncio.gather(item, end, return_exceptions=True)
            await self._pieces.aclose()


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
