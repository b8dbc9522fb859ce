"""Answers of replicas to requests in OpenAI's form: asked, passed on as they come, and billed for what has reached the client.

A piece is counted when its client has it. Whoever leaves pays for those, and the way to the server is closed behind it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import msgspec

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.model_catalogue import Model

from ..gateway.connection import ServiceBroken, UsedUp
from ..model_checks.delivered import Passing, Tell
from ..openai import by_replica, server_answers
from ..openai.answers import Bill
from ..openai.fields import given
from ..openai.requests import Request, TranscriptionRequest
from ..openai.server_answers import NoAnswer, Silent
from ..openai.worst_case import most_units
from ..replicas import serving as replica_serving
from ..replicas.asking import Question
from ..replicas.serving import ModelServing, Served
from ..store.accounts import Account
from .artifacts import Artifacts
from .errors import (
    InvalidRequest,
    LacksFunds,
    NoReplica,
    NotAnswered,
    RateLimited,
    Refused,
    Unavailable,
)
from .failures import FailureLog
from .kept_answers import Turn
from .model_questions import Asked
from .replica_streams import events_of
from .whole_answers import Said, require_answer, with_links

# Embeddings of as many texts as may be asked at once, or ten images.
_ANSWER_BYTES_MAX: Final = 32 * 1024 * 1024
_ERROR_BYTES_MAX: Final = 64 * 1024
_RETRY_AFTER_S: Final = 5
# After an answer that broke off.
_AGAIN_S: Final = 60.0
_REFUSED: Final = 400
_TOO_MANY: Final = 429
_FAILED: Final = 500
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request to a model that has a server.

    Attributes:
        wait_s: how long it waits for a replica, at most.
    """

    asked: Asked
    model: Model
    wait_s: float

    @property
    def request(self) -> Request:
        """The request alone."""
        return self.asked.request


class ReplicaAnswers:
    """See the module.

    Args:
        failures: where an account reads what failed.
        checker: who is told of answers that their clients have got; None: nobody.
    """

    def __init__(
        self,
        serving: ModelServing,
        artifacts: Artifacts,
        failures: FailureLog,
        checker: Tell | None = None,
    ) -> None:
        self._serving = serving
        self._artifacts = artifacts
        self._failures = failures
        self._checker = checker

    def answers(self, request: Request, model: Model) -> bool:
        """Whether replicas are kept that answer it."""
        route = by_replica.ROUTES.get(type(request))
        if model.server is None or route not in model.server.routes:
            return False
        return model.id in self._serving.pools

    def require_able(self, wanted: Wanted) -> None:
        """See that the model's server can do what is asked, within what it may cost.

        Raises:
            Unsupported: it cannot.
            InvalidRequest: a value breaks a rule.
        """
        by_replica.require_able(wanted.request, wanted.model)
        by_replica.preferences(wanted.asked.routing, wanted.request, wanted.model)

    async def whole(self, account: Account, wanted: Wanted, turn: Turn | None = None) -> Said:
        """The whole answer.

        Args:
            turn: of a request with an idempotency key: the answer is kept.

        Raises:
            as `pieces`.
            others: see `Artifacts.put`, where an image, or the answer, is to be kept.
        """
        async with self._noted(account, wanted):
            try:
                return await self._whole(account, wanted, turn)
            except Broken as broken:
                # Its client has nothing of it, so another replica may answer.
                first = broken
            try:
                return await self._whole(account, _again(wanted), turn)
            except Broken as broken:
                raise broken.refusal from broken
            except (Unavailable, NoReplica):
                # Why there was a second try says more than that nobody had a place for it.
                raise first.refusal from first

    async def pieces(self, account: Account, wanted: Wanted) -> AsyncGenerator[bytes]:
        """The JSON of each event of the answer, as they come; the last says what it cost.

        Raises:
            InvalidRequest: the model cannot do what is asked.
            InsufficientCredits, QuotaExceeded: the account cannot pay for it.
            LacksFunds: the answer is longer than its account could pay for; what came is paid.
            RateLimited: too many requests wait.
            NoReplica: no node takes one of the model; nothing was asked.
            Unavailable: no replica answered, or it broke off.
            NotAnswered: what it answers is no answer.
        """
        first: Broken | None = None
        async with self._noted(account, wanted):
            for each in (wanted, _again(wanted)):
                has_begun = False
                try:
                    async with aclosing(self._pieces(account, each)) as pieces:
                        async for piece in pieces:
                            has_begun = True
                            yield piece
                    return
                except Broken as broken:
                    if first is not None or has_begun:
                        raise broken.refusal from broken
                    first = broken
                except (Unavailable, NoReplica):
                    if first is None:
                        raise
                    # Why there was a second try says more than that nobody had a place for it.
                    raise first.refusal from first

    @asynccontextmanager
    async def _noted(self, account: Account, wanted: Wanted) -> AsyncIterator[None]:
        """What fails of an answer stands in its account's error log before its client hears of it."""
        try:
            yield
        except (Unavailable, NotAnswered) as error:
            await self._failures.unanswered(account.id, wanted.model.id, error)
            raise

    async def _whole(self, account: Account, wanted: Wanted, turn: Turn | None) -> Said:
        request = wanted.request
        loop = asyncio.get_running_loop()
        since_s = loop.time()
        async with self._asked(account, wanted) as (served, passing):
            try:
                body, value = await _read_whole(served, wanted)
                require_answer(request, value, _bill(served, wanted, 0))
            except (NoAnswer, ServiceBroken) as error:
                raise _broken(served, error) from error
            took_ms = round(1000 * (loop.time() - since_s))
            passing.feed(value)
            value = await with_links(self._artifacts, account, wanted.asked, value)
            keeping = None if turn is None else await turn.keeping_of(served, body, took_ms)
            # What has passed and what is kept are one note: nobody else has a turn between these two.
            served.meter.passed(body)
            bill = _bill(served, wanted, await served.meter.end(keeping))
            await passing.end(served)
            return Said(value, bill, took_ms)

    async def _pieces(self, account: Account, wanted: Wanted) -> AsyncGenerator[bytes]:
        request, model = wanted.request, wanted.model
        async with self._asked(account, wanted) as (served, passing):
            events = (
                events_of(*(served, passing, request, model), partial(_bill, served, wanted))
                if by_replica.is_streamed(request, model)
                else _heard(served, passing, wanted)
            )
            try:
                async with aclosing(events):
                    async for event in events:
                        yield event
                await passing.end(served)
            except (NoAnswer, ServiceBroken) as error:
                raise _broken(served, error) from error

    @asynccontextmanager
    async def _asked(
        self, account: Account, wanted: Wanted
    ) -> AsyncIterator[tuple[Served, Passing]]:
        """An answer that is no error, and what is seen of it as it is passed on."""
        request, model = wanted.request, wanted.model
        question = _question(wanted)
        asked = replica_serving.Asked(
            model_id=model.id,
            tenant=account.id,
            question=question,
            preferences=by_replica.preferences(wanted.asked.routing, request, model),
            # Who continues a conversation finds what the server has read of it.
            session=given(getattr(request, "prompt_cache_key", None), "")
            or given(getattr(request, "user", None), ""),
            wait_s=wanted.wait_s,
            most=most_units(request, model),
            must_fit=not by_replica.is_streamed(request, model),
            work=by_replica.work_of(request, model, question.size_bytes),
        )
        text = by_replica.asked_text(request, question.size_bytes)
        recording = wanted.asked.recording
        longest_ms = None if recording is None else await recording.longest_ms()
        features = () if model.server is None else model.server.features
        passing = Passing(asked, request, features, text, longest_ms, self._checker)
        async with self._serving.ask(asked) as served:
            if served.answer.status >= _REFUSED:
                raise await _refusal(served)
            passing.begin(served)
            yield served, passing


def _again(wanted: Wanted) -> Wanted:
    """The same, to be tried once more: whoever has waited already waits no more than for a replica that is begun anew."""
    return replace(wanted, wait_s=min(wanted.wait_s, _AGAIN_S))


def _question(wanted: Wanted) -> Question:
    """The request as the model's server gets it."""
    request, model, recording = wanted.request, wanted.model, wanted.asked.recording
    target = by_replica.ROUTES[type(request)].value
    accept = ("accept", "*/*")
    if isinstance(request, TranscriptionRequest):
        assert recording is not None, "its route has one"
        form = by_replica.form_for_server(request, model, recording)
        return Question("POST", target, (("content-type", form.content_type), accept), form)
    body = by_replica.for_server(request, model)
    return Question("POST", target, (("content-type", "application/json"), accept), body)


async def _read_whole(served: Served, wanted: Wanted) -> tuple[bytes, dict[str, Any]]:
    """An answer that is complete, as it came and read, with all that was asked for and no more."""
    body = await _body(served, _ANSWER_BYTES_MAX)
    value = server_answers.read_object(body)
    server_answers.require_whole(wanted.request, value)
    return body, value


async def _heard(served: Served, passing: Passing, wanted: Wanted) -> AsyncGenerator[bytes]:
    """The events of a transcript whose server says all of it at once."""
    request = wanted.request
    assert isinstance(request, TranscriptionRequest), "others stream, or are asked for whole"
    body, value = await _read_whole(served, wanted)
    passing.feed(value)
    yield _encode(server_answers.heard_events(request, value, _bill(served, wanted, 0))[0])
    served.meter.passed(body)
    bill = _bill(served, wanted, await served.meter.end())
    yield _encode(server_answers.heard_events(request, value, bill)[1])


class Broken(Exception):
    """A replica has begun an answer, and broken it off; ``refusal``: what its client is told."""

    def __init__(self, refusal: Refused) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


async def _body(served: Served, bytes_max: int) -> bytes:
    body = bytearray()
    async for piece in served.pieces():
        body += piece
        if len(body) > bytes_max:
            raise NoAnswer(f"its answer has more than {bytes_max} bytes")
    return bytes(body)


async def _refusal(served: Served) -> Exception:
    """What a server says that does not do what it is asked."""
    status, said = served.answer.status, None
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError, NoAnswer, ServiceBroken):
        said = msgspec.json.decode(await _body(served, _ERROR_BYTES_MAX))
    words = server_answers.error_words(said)
    if status == _TOO_MANY:
        return RateLimited(_RETRY_AFTER_S, what="requests to this model's servers")
    if status < _FAILED:
        field, code = server_answers.error_names(said)
        refusal = InvalidRequest(
            words or f"the model's server refused it with status {status}", field
        )
        if code:
            refusal.details["reason"] = code
        return refusal
    return _failed(served, words or f"its server answered {status}")


def _used_up() -> LacksFunds:
    return LacksFunds(
        "the account can spare no escrow that pays for all of this answer: what came of it is paid. Deposit more, or ask for less"
    )


def _broken(served: Served, error: NoAnswer | ServiceBroken) -> Exception:
    """What becomes of an answer that has broken off: a `Broken`, or where another try would be no better, what its client is told."""
    if isinstance(error, UsedUp):
        served.broken = True
        return _used_up()
    if isinstance(error, Silent):
        served.hung()
        why = f"the replica at node {served.lease.node_id}: {error}"
        return Broken(Unavailable(why, _details(served)))
    served.failed()
    if isinstance(error, ServiceBroken):
        return Broken(Unavailable(str(error), _details(served)))
    return _failed(served, str(error))


def _failed(served: Served, why: str) -> NotAnswered:
    return NotAnswered(f"the replica at node {served.lease.node_id}: {why}", _details(served))


def _details(served: Served) -> dict[str, Json]:
    """Of an answer that failed, for programs; ``task_id``: of the lease for use that pays for what came."""
    return {
        "request_id": served.meter.request_id,
        "replica": served.task_id,
        "node_id": served.lease.node_id,
        "task_id": served.meter.paid_by.task_id,
    }


def _bill(served: Served, wanted: Wanted, cost_micro_usdc: int) -> Bill:
    meter = served.meter
    return Bill(
        id=meter.request_id,
        created_s=served.began_s,
        model=wanted.model,
        node_id=served.lease.node_id,
        cost_micro_usdc=cost_micro_usdc,
        task_id=meter.paid_by.task_id,
    )
