"""Asks another owner's replica what one has been asked: for its own answer, and for how many tokens it counts in the delivered one."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final

from neurogrid_marketplace.model_check import Counts, Other
from neurogrid_marketplace.model_pictures import Picture
from neurogrid_marketplace.model_reply import Reply
from neurogrid_marketplace.replica_routing import Preferences
from neurogrid_marketplace.task import Lease

from ..gateway.connection import ServiceBroken
from ..openai import server_answers
from ..openai.server_answers import Events, NoAnswer
from ..replicas.asking import Question
from ..replicas.serving import ModelServing, Served
from ..services.errors import Refused
from .delivered import Delivered
from .pictures import seen
from .readings import CountReader, Reader

_log = logging.getLogger(__name__)

# A check is no reason to begin another replica: one that is busy for longer is not waited for.
_WAIT_S: Final = 15.0
_TEXT_BYTES_MAX: Final = 4 * 1024 * 1024
# Of ten pictures, or of vectors of as many texts as a request of the largest size has.
_ANSWER_BYTES_MAX: Final = 32 * 1024 * 1024
_REFUSED: Final = 400


@dataclass(frozen=True, slots=True)
class Said:
    """What another owner's replica says; ``cost_micro_usdc``: of all that it was asked."""

    other: Other
    lease: Lease
    cost_micro_usdc: int


class Others:
    """Other owners' replicas of one answer's model.

    Args:
        account_id: who asks, and pays.
        trusted: nodes, or owners' wallets, whose word is taken; they are asked first.
    """

    def __init__(
        self, serving: ModelServing, answer: Delivered, account_id: str, trusted: Collection[str]
    ) -> None:
        self._serving = serving
        self._answer = answer
        self._account_id = account_id
        self._trusted = trusted

    async def ask(self, wallets: Collection[str]) -> Said | None:
        """One that none of these wallets has; None: nobody can be asked.

        Raises:
            PictureNotRead: see `pictures.seen`.
        """
        allowed = self._answer.asked.preferences
        anybody = replace(allowed, order=(), sort="", ignore=(*allowed.ignore, *wallets))
        only = tuple(each for each in self._trusted if not allowed.only or each in allowed.only)
        for preferences in [replace(anybody, only=only), anybody] if only else [anybody]:
            ask = self._again if self._answer.reading.is_repeatable else self._counted
            said = await ask(preferences, wallets)
            if said is not None:
                return said
        return None

    async def _again(self, preferences: Preferences, wallets: Collection[str]) -> Said | None:
        """Its own answer; where that is another text, how many tokens it counts in the delivered one."""
        answer = self._answer
        most = _TEXT_BYTES_MAX if isinstance(answer.reply, Reply) else _ANSWER_BYTES_MAX
        reader = answer.reading.reader()
        got = await self._question(answer.asked.question, reader, preferences, wallets, most)
        if got is None:
            return None
        lease, cost = got
        reply, counts = reader.reply(), Counts()
        counting = answer.reading.counting
        match reply, answer.reply:
            case Picture(), _:
                reply = await seen(reply)
            case Reply(text=other), Reply(text=text) if counting is not None and other != text:
                written, more = await self._count(counting.written(text), lease, wallets)
                counts, cost = Counts(None, written), cost + more
        return Said(Other(reply, self._is_trusted(lease), counts), lease, cost)

    async def _counted(self, preferences: Preferences, wallets: Collection[str]) -> Said | None:
        """How many tokens it counts: any text may have been the answer."""
        counting, reply = self._answer.reading.counting, self._answer.reply
        assert counting is not None, "else nothing of it could be checked"
        assert isinstance(reply, Reply), "nothing else is counted"
        reader = CountReader()
        question = counting.written(reply.text)
        got = await self._question(question, reader, preferences, wallets, _TEXT_BYTES_MAX)
        if got is None:
            return None
        lease, cost = got
        read, more = await self._count(counting.asked, lease, wallets)
        counts = Counts(read, reader.count)
        return Said(Other(None, self._is_trusted(lease), counts), lease, cost + more)

    async def _count(
        self, question: Question | None, lease: Lease, wallets: Collection[str]
    ) -> tuple[int | None, int]:
        """By the server of a node that has answered already."""
        if question is None:
            return None, 0
        reader = CountReader()
        there = replace(self._answer.asked.preferences, order=(), sort="", only=(lease.node_id,))
        got = await self._question(question, reader, there, wallets, _TEXT_BYTES_MAX)
        return (None, 0) if got is None else (reader.count, got[1])

    async def _question(
        self,
        question: Question,
        reader: Reader | CountReader,
        preferences: Preferences,
        wallets: Collection[str],
        bytes_max: int,
    ) -> tuple[Lease, int] | None:
        """Have a reader take the answer to a question; who gave it, and what it cost. None: there is none."""
        asked = replace(
            self._answer.asked,
            tenant=self._account_id,
            question=question,
            preferences=preferences,
            session="",
            wait_s=_WAIT_S,
        )
        try:
            async with self._serving.ask(asked) as served:
                if served.answer.status >= _REFUSED or served.lease.wallet in wallets:
                    return None
                await _read(served, reader.feed, bytes_max)
                cost = await served.meter.end()
                return (served.lease, cost) if reader.is_whole else None
        except (Refused, ServiceBroken, NoAnswer) as error:
            _log.debug("request %s: %s", self._answer.request_id, error)
            return None

    def _is_trusted(self, lease: Lease) -> bool:
        return not {lease.node_id, lease.wallet}.isdisjoint(self._trusted)


async def _read(served: Served, feed: Callable[[dict[str, object]], None], bytes_max: int) -> None:
    """All of an answer.

    Raises:
        NoAnswer: it is none, or too long.
        ServiceBroken: it broke off.
    """
    size = 0
    is_stream = served.answer.header(b"content-type").startswith("text/event-stream")
    events, body = Events(), bytearray()
    async for piece in served.pieces():
        served.meter.passed(piece)
        size += len(piece)
        if size > bytes_max:
            raise NoAnswer("it is too long")
        if not is_stream:
            body += piece
            continue
        for data in events.feed(piece):
            if not server_answers.is_done(data):
                feed(server_answers.read_object(data))
    if not is_stream:
        feed(server_answers.read_object(bytes(body)))
