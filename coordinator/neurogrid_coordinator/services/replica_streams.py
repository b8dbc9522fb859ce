"""A stream of a replica's server as it goes to the client: event by event, each billed once its client has it.

What is no answer, or brings none for too long, ends it with an error; whatever a server does once its texts have ended does not
spoil them.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Final

import msgspec

from neurogrid_marketplace.model_catalogue import Model

from ..gateway.connection import ServiceBroken, UsedUp
from ..model_checks.delivered import Passing
from ..openai import server_answers
from ..openai.answers import Bill
from ..openai.requests import Request
from ..openai.server_answers import Events, NoAnswer, Silent
from ..openai.stream_course import Course, Patience, split_end, texts_max_of
from ..replicas.serving import Served

# From the end of all texts to the end of the stream: its usage, and that it is done.
_REST_S: Final = 2.0
_encode = msgspec.json.Encoder().encode


async def events_of(
    served: Served,
    passing: Passing,
    request: Request,
    model: Model,
    bill: Callable[[int], Bill],
) -> AsyncGenerator[bytes]:
    """The JSON of each event for the client; the last says what it cost.

    Args:
        passing: is told what of it passes.
        bill: by what it cost, micro-USDC.

    Raises:
        NoAnswer, ServiceBroken: it is none, or broke off; says why.
        UsedUp: its client can pay for no more of it.
        Unavailable: what it costs cannot be noted.
    """
    loop = asyncio.get_running_loop()
    patience = Patience(served.limits.first_byte_s, served.limits.between_s)
    course = Course(patience, texts_max_of(request, model), loop.time())
    held: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    # Nothing is billed of an answer of which its client has nothing yet.
    unbilled: dict[str, Any] | None = {}
    free = bill(0)
    try:
        async for data in _read(served, course):
            value = server_answers.read_object(data)
            if isinstance(value.get("usage"), dict):
                usage = value
            came_s = loop.time()
            course.take(value, came_s)
            if server_answers.is_piece(request, value):
                if held is not None:
                    yield _encode(held)
                    held, unbilled = None, None
                text, end = split_end(value)
                if text is not None:
                    yield _encode(server_answers.chunk(request, text, free))
                    unbilled = None
                if end is not None:
                    held = server_answers.chunk(request, end, free)
                course.paused(loop.time() - came_s)
            passing.feed(value)
            # Its node counts by lines, and nothing in JSON of several.
            counted = value if b"\n" not in data else {}
            if unbilled is None:
                served.meter.passed_event(counted)
                if held is None and served.meter.is_used_up:
                    raise UsedUp("its client can pay for no more of it")
            elif usage is value or not unbilled:
                unbilled = counted
        if held is None or not course.has_ended:
            raise NoAnswer("it ended in the middle")
    except (NoAnswer, ServiceBroken) as error:
        if not isinstance(error, UsedUp | Silent):
            served.failed()
        if held is None or not course.has_ended:
            raise
    if unbilled:
        served.meter.passed_event(unbilled)
    told = bill(await served.meter.end())
    yield _encode(server_answers.last(request, held, told))
    if server_answers.wants_usage(request) and usage is not None:
        yield _encode(server_answers.usage_chunk(request, usage, told))


async def _read(served: Served, course: Course) -> AsyncIterator[bytes]:
    """The data of each event, to the one that says that it was the last.

    Raises:
        NoAnswer, ServiceBroken: see `events_of`.
    """
    loop = asyncio.get_running_loop()
    events, is_done, rest_until_s = Events(), False, None
    pieces = served.pieces()
    while True:
        if rest_until_s is None and course.has_ended:
            rest_until_s = loop.time() + min(_REST_S, served.limits.between_s)
        until_s = course.begins_until_s if rest_until_s is None else rest_until_s
        if until_s is None:
            piece = await anext(pieces, None)
        else:
            try:
                # Not until something comes: whoever says a word and then nothing has not begun.
                async with asyncio.timeout_at(until_s):
                    piece = await anext(pieces, None)
            except TimeoutError:
                course.look(max(until_s, loop.time()))
                raise NoAnswer("it does not come to its end") from None
        if piece is None:
            return
        for data in events.feed(piece):
            is_done = is_done or server_answers.is_done(data)
            if not is_done:
                yield data
        if rest_until_s is not None and loop.time() > rest_until_s:
            raise NoAnswer("it does not come to its end")
        if rest_until_s is None:
            course.look(loop.time())
