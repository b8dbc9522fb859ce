"""Many texts in one model at once: in each step every one of them gets a token.

A coroutine decides who has a place; a thread of its own computes, so that the server answers meanwhile. Nothing is shared
between the two but what is handed over.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

from models.serving.errors import Refused, overloaded, too_slow
from models.serving.texts import Piece, Text, TextModel, Wanted

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Ticket:
    """A text of an order; ``gone``: nobody waits for it any more."""

    number: int
    text: Text
    order: Order
    gone: bool = False


class Order:
    """The texts of one request, and what has been written of them since it was last looked.

    Args:
        limit_s: how long it may take.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._deadline = asyncio.get_running_loop().time() + limit_s
        self._news = asyncio.Event()
        self._pieces: list[tuple[int, Piece]] = []
        self._failed = False

    def add(self, number: int, piece: Piece) -> None:
        """A piece of one of its texts. There are at most as many as they have tokens."""
        self._pieces.append((number, piece))
        self._news.set()

    def fail(self) -> None:
        """It is never written to its end."""
        self._failed = True
        self._news.set()

    async def pieces(self, texts: int) -> AsyncIterator[list[tuple[int, Piece]]]:
        """The pieces with the number of their text, all that are there each time, until each text has its last.

        Raises:
            Refused: the model failed, or it takes too long.
        """
        while texts:
            try:
                async with asyncio.timeout_at(self._deadline):
                    await self._news.wait()
            except TimeoutError:
                raise too_slow(self._limit_s) from None
            self._news.clear()
            if self._failed:
                raise Refused(500, "The model failed. Its server's log says why.")
            made, self._pieces = self._pieces, []
            texts -= sum(piece.finish is not None for _, piece in made)
            yield made


class Batch:
    """The texts that a model is at, and those that wait for a place.

    Args:
        waiting_max: how many texts may wait.
    """

    def __init__(self, model: TextModel, waiting_max: int) -> None:
        self._model, self._waiting_max = model, waiting_max
        self._waiting: deque[_Ticket] = deque()
        self._at: dict[int, _Ticket] = {}
        self._wake = asyncio.Event()

    @property
    def running(self) -> int:
        """Texts that have a place."""
        return len(self._at)

    @property
    def waiting(self) -> int:
        """Texts that wait for one."""
        return len(self._waiting)

    @asynccontextmanager
    async def asked(self, wanted: Sequence[Wanted], limit_s: float) -> AsyncIterator[Order]:
        """The texts of one request: all are taken or none. Whoever leaves takes them along: nothing more is computed for them.

        Raises:
            Refused: too many wait.
        """
        free = self._model.places - self.running
        if self.waiting + len(wanted) > self._waiting_max + max(free, 0):
            raise overloaded()
        order = Order(limit_s)
        tickets = [
            _Ticket(number, Text(each, self._model.ends), order)
            for number, each in enumerate(wanted)
        ]
        self._waiting += tickets
        self._wake.set()
        try:
            yield order
        finally:
            for ticket in tickets:
                ticket.gone = True
            self._waiting = deque(ticket for ticket in self._waiting if not ticket.gone)

    async def run(self) -> None:
        """Write, for ever."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "model") as thread:
            while True:
                joins = self._admit()
                if not self._at:
                    await self._wake.wait()
                    self._wake.clear()
                    continue
                try:
                    made = await loop.run_in_executor(thread, self._advance, dict(self._at), joins)
                # The outermost boundary: the next text may be none that it stumbles over.
                except Exception:  # noqa: BLE001 - it is logged
                    _log.exception("the model failed")
                    self._fail()
                    continue
                self._deliver(made)

    def _admit(self) -> int | None:
        """Take out who has left, and let one that waits in: the place that it has now."""
        self._at = {place: ticket for place, ticket in self._at.items() if not ticket.gone}
        free = (place for place in range(self._model.places) if place not in self._at)
        # The lowest one: a step computes all below the highest that is taken.
        place = next(free, None)
        if place is None or not self._waiting:
            return None
        self._at[place] = self._waiting.popleft()
        return place

    def _advance(self, at: dict[int, _Ticket], joins: int | None) -> list[tuple[_Ticket, Piece]]:
        """In the thread: a token for each text. One more reads its prompt, so that the others wait for one alone."""
        going = {place: ticket.text.last for place, ticket in at.items() if place != joins}
        logits = dict(self._model.step(going)) if going else {}
        if joins is not None:
            logits[joins] = self._model.begin(joins, at[joins].text.wanted.prompt)
        return [
            (at[place], at[place].text.take(each, self._model)) for place, each in logits.items()
        ]

    def _deliver(self, made: list[tuple[_Ticket, Piece]]) -> None:
        for ticket, piece in made:
            ticket.order.add(ticket.number, piece)
        done = {ticket for ticket, piece in made if piece.finish}
        self._at = {place: ticket for place, ticket in self._at.items() if ticket not in done}

    def _fail(self) -> None:
        for ticket in self._at.values():
            ticket.order.fail()
        self._at = {}
