"""Requests that are computed one after the other, or a few at once, each in a thread; those that wait have a bound."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, TypeVar, cast

from models.serving.errors import overloaded, too_slow
from models.serving.frame import Load

_T = TypeVar("_T")
_ENDED: Final = object()


class Abandoned(Exception):
    """Nobody waits for it any more."""


class Gone:
    """Whether somebody still waits; whoever computes asks it between two steps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Nobody does."""
        self._event.set()

    def check(self) -> None:
        """Go on, or not.

        Raises:
            Abandoned: nobody waits.
        """
        if self._event.is_set():
            raise Abandoned


class Turns:
    """Who is computed, and who waits.

    Args:
        concurrency: computed at once.
        waiting_max: may wait beside those.
        limit_s: how long a request may take, waiting included.
    """

    def __init__(self, concurrency: int, waiting_max: int, limit_s: float) -> None:
        self._concurrency, self._most, self._limit_s = (
            concurrency,
            concurrency + waiting_max,
            limit_s,
        )
        self._threads = ThreadPoolExecutor(concurrency, "model")
        self._taken = 0

    def load(self) -> Load:
        """How many are at work, and how many wait."""
        running = min(self._taken, self._concurrency)
        return Load(running, self._taken - running, self._concurrency)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for a request, before its body is read: so there are never more bodies than places.

        Raises:
            Refused: all are taken.
        """
        if self._taken >= self._most:
            raise overloaded()
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def computed(self, compute: Callable[[Gone], _T]) -> _T:
        """What it computes, in a thread, in its turn. Who is cancelled stops it at its next step, and waits for that.

        Raises:
            Refused: it took too long.
        """
        gone = Gone()

        def begin() -> _T:
            gone.check()
            return compute(gone)

        working = asyncio.get_running_loop().run_in_executor(self._threads, begin)
        try:
            async with asyncio.timeout(self._limit_s):
                return await asyncio.shield(working)
        except TimeoutError:
            raise too_slow(self._limit_s) from None
        finally:
            gone.set()
            if not working.done():
                await asyncio.wait((working,))
                working.exception()

    async def pieces(self, compute: Callable[[Gone], Iterable[_T]]) -> AsyncGenerator[_T]:
        """What it computes piece by piece, each as soon as it is there; closing it early is as being cancelled.

        Pieces that nobody has fetched yet are kept, so all of them together have to fit into the memory.

        Raises:
            Refused: it took too long.
        """
        loop = asyncio.get_running_loop()
        made: asyncio.Queue[_T | object] = asyncio.Queue()

        def run(gone: Gone) -> None:
            for piece in compute(gone):
                loop.call_soon_threadsafe(made.put_nowait, piece)

        working = asyncio.ensure_future(self.computed(run))
        working.add_done_callback(lambda _: made.put_nowait(_ENDED))
        try:
            while (piece := await made.get()) is not _ENDED:
                yield cast(_T, piece)
            await working
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def stopped(self) -> None:
        """Until it is cancelled; then no thread is left behind."""
        try:
            await asyncio.Event().wait()
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)
