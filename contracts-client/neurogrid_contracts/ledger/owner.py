"""The one thread that owns the chain.

The event loop hands it work and gets futures back; between two pieces of work it begins the slots.
The ``Ledger`` is built, called and closed here and nowhere else: SQLite and LiteSVM insist on it.
"""

import asyncio
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from neurogrid_contracts.ledger.errors import NODE_UNHEALTHY, Diverged, RpcError

_log = logging.getLogger(__name__)

T = TypeVar("T")
Job = Callable[[], None]

# A call takes well under a millisecond to a few; this is seconds of work. Beyond, refuse.
_CALLS_WAITING_MAX = 4096
# sysexits.h EX_IOERR: the disk no longer agrees with the memory.
EXIT_DIVERGED = 74


def die(error: BaseException) -> None:
    """End the process without another word to any client; a restart reads the truth from disk."""
    _log.critical("stopping at once: %s (%r)", error, error.__cause__)
    logging.shutdown()
    os._exit(EXIT_DIVERGED)


class Owner:
    """Runs calls one after another on its own thread, and one function per slot.

    Args:
        loop: where results are delivered.
        slot_s: length of a slot, seconds.
        fatal: called on the thread with an error after which the chain cannot be trusted.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        slot_s: float,
        fatal: Callable[[BaseException], None] = die,
    ) -> None:
        self._loop = loop
        self._slot_s = slot_s
        self._fatal = fatal
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting = 0  # touched on the event loop only
        self._tick: Callable[[], None] = lambda: None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="ledger-owner")
        self._thread.start()

    def every_slot(self, tick: Callable[[], None]) -> None:
        """Call ``tick`` at the begin of each slot from now on."""
        self._tick = tick

    def stop(self) -> None:
        """Finish the call in progress and end; calls still waiting get no answer."""
        self._jobs.put(None)
        self.join()

    def join(self) -> None:
        """Wait until the thread has ended: after ``stop``, or after something fatal."""
        if self._thread is not None:
            self._thread.join()

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run ``function(*arguments)`` on the thread.

        Raises:
            RpcError: too many calls wait already.
            Exception: whatever the function raised.
        """
        if self._waiting >= _CALLS_WAITING_MAX:
            raise RpcError(NODE_UNHEALTHY, "Node is unhealthy: too many requests are waiting")
        future: asyncio.Future[T] = self._loop.create_future()

        def job() -> None:
            try:
                result = function(*arguments)
            except Diverged:
                raise  # ends the thread, and with it the process
            except Exception as error:  # noqa: BLE001 - the caller's to handle, on its thread
                self._loop.call_soon_threadsafe(_fail, future, error)
            else:
                self._loop.call_soon_threadsafe(_resolve, future, result)

        self._waiting += 1
        self._jobs.put(job)
        try:
            return await future
        finally:
            self._waiting -= 1

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001 - outermost boundary of the thread
            self._fatal(error)

    def _serve(self) -> None:
        next_slot_at = time.monotonic() + self._slot_s
        while True:
            wait_s = next_slot_at - time.monotonic()
            if wait_s <= 0:
                self._tick()
                # After a pause (a suspended laptop) go on from now; do not make up for slots.
                next_slot_at = max(next_slot_at, time.monotonic() - self._slot_s) + self._slot_s
                continue
            try:
                job = self._jobs.get(timeout=wait_s)
            except queue.Empty:
                continue
            if job is None:
                return
            job()


def _resolve(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():  # else its caller has gone away
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
