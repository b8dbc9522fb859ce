"""Replicas whose servers are hostile or broken: each ends in bounded time and memory, clearly, and costs what was delivered."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.api_world import Customer
from coordinator.fake_jobs import Serve
from coordinator.on_asyncio import on_asyncio
from coordinator.replica_world import HEAD, ReplicaWorld, well_but
from coordinator.test_paid_use import ask, billed, event, events_of, paid, piece, uses
from neurogrid_coordinator.openai.server_answers import Events, NoAnswer
from neurogrid_coordinator.replicas.asking import AskLimits
from neurogrid_marketplace.units import Units

# Short, where a server is silent or never ends; nothing that is measured depends on how long it takes.
SHORT = AskLimits(first_byte_s=0.3, between_s=0.3, whole_s=2.0)
REQUEST_ALONE = Units(requests=1)
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def over_and_over(first: bytes, again: bytes) -> Serve:
    """A server that says the one once and the other for ever."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        with suppress(OSError):
            while True:
                writer.write(again)
                await writer.drain()
                await asyncio.sleep(0)

    return well_but(serve)


def plain(*pieces: bytes, hangs: bool = False) -> Serve:
    """A server that says this; then it closes, or says nothing more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for each in pieces:
            writer.write(each)
            await writer.drain()
        if hangs:
            await reader.read()

    return well_but(serve)


@asynccontextmanager
async def time_passes(here: ReplicaWorld, *, looks: bool = False) -> AsyncIterator[None]:
    """Whoever rests is asked again soon."""

    async def turn() -> None:
        while True:
            here.turn(0.1)
            here.pool.dispatch()
            if looks:
                await here.upkeep.look()
            await asyncio.sleep(0.01)

    turning = asyncio.create_task(turn())
    try:
        yield
    finally:
        turning.cancel()
        with suppress(asyncio.CancelledError):
            await turning


async def error_of(answer: httpx.Response) -> tuple[list[Any], Any]:
    """The pieces of a stream that has ended with an error, and the error."""
    if answer.status_code != 200:
        return [], answer.json()["error"]
    *pieces, last = events_of(answer)
    assert "[DONE]" not in pieces, "an end that says that it is whole"
    return pieces, last["error"]


async def noted(here: ReplicaWorld, customer: Customer, tokens: int) -> None:
    """All that an account is billed is so many tokens, once nothing is under way."""

    async def total() -> int:
        found = [await billed(here, row) for row in await uses(here, customer)]
        return sum(units.output_tokens for units in found)

    await here.until(lambda: here.pool.at_work == 0)
    async with asyncio.timeout(30):
        while await total() < tokens:  # noqa: ASYNC110 - nobody is told of a note
            await asyncio.sleep(0.01)
    assert await total() == tokens


WORD = piece("w ")
HOSTILE_STREAMS: dict[str, tuple[Serve, str, int]] = {
    # name -> server, what the client is told, tokens that are billed
    "hangs in the middle": (plain(HEAD, WORD, hangs=True), "nothing came", 1),
    "says nothing but comments": (over_and_over(HEAD + WORD, b": here\n\n"), "", 1),
    "says nothing but empty lines": (over_and_over(HEAD + WORD, b"\n"), "", 1),
    "sends events that never end": (over_and_over(HEAD + WORD, 4096 * b"data:\n"), "", 1),
    "sends one event without end": (
        over_and_over(HEAD + WORD + b"data: ", 65536 * b"x"),
        "too long",
        1,
    ),
    "sends empty events": (over_and_over(HEAD + WORD, b"data: {}\n\n"), "", 1),
    "sends empty deltas": (
        over_and_over(HEAD + WORD, event({"choices": [{"index": 0, "delta": {}}]})),
        "",
        1,
    ),
    "answers garbage": (plain(HEAD, WORD, b"data: \xff\xfe{{\n\n"), "no JSON", 1),
    "answers numbers": (plain(HEAD, WORD, b"data: 17\n\n"), "no JSON object", 1),
    "answers choices that are none": (
        plain(HEAD, WORD, event({"choices": [7]})),
        "no choices",
        1,
    ),
    "answers deep JSON": (
        plain(HEAD, WORD, b"data: " + 100_000 * b"[" + 100_000 * b"]" + b"\n\n"),
        "no JSON",
        1,
    ),
    "answers a page": (
        plain(HEAD.replace(b"text/event-stream", b"text/html"), b"<html>hello</html>"),
        "ended in the middle",
        0,
    ),
    "answers a whole": (
        plain(
            JSON_HEAD, json.dumps({"choices": [{"text": "w", "finish_reason": "stop"}]}).encode()
        ),
        "ended in the middle",
        0,
    ),
    "says that it failed": (plain(HEAD, WORD, event({"error": {"message": "burnt"}})), "burnt", 1),
    "ends one of two": (
        plain(
            HEAD,
            event({"choices": [{"index": 1, "text": "a", "finish_reason": None}]}),
            event({"choices": [{"index": 0, "text": "b", "finish_reason": "stop"}]}),
            DONE,
        ),
        "ended in the middle",
        2,
    ),
    "breaks its chunks": (
        plain(
            HEAD.replace(b"Connection: close", b"Transfer-Encoding: chunked"),
            b"%x\r\n%b\r\n" % (len(WORD), WORD),
            b"zz\r\n",
        ),
        "broke off",
        1,
    ),
}


@pytest.mark.parametrize("name", HOSTILE_STREAMS)
@on_asyncio
async def test_a_stream_that_is_none_ends_with_an_error_and_costs_what_came(
    tmp_path: Path, name: str
) -> None:
    serve, told, tokens = HOSTILE_STREAMS[name]
    async with paid(tmp_path, serve) as (here, alice):
        here.serving.limits = SHORT
        async with time_passes(here):
            _, error = await error_of(await ask(alice))
        assert told in error["message"]
        assert error["type"] == "server_error"
        await noted(here, alice, tokens)
        (replica,) = here.pool.replicas.values()
        assert replica.health.failures == 1, "what answers nonsense is not the healthiest"


def whole(value: Any) -> Serve:
    """A server that answers this, whole."""
    return plain(JSON_HEAD, value if isinstance(value, bytes) else json.dumps(value).encode())


@pytest.mark.parametrize("again", [b"data:\n", b"data: x\n", b": here\n", 1000 * b"x"])
def test_an_event_is_bounded_whatever_it_is_made_of(again: bytes) -> None:
    events = Events()

    def feed() -> None:
        for _ in range(10_000_000):
            assert list(events.feed(again)) == []

    with pytest.raises(NoAnswer, match="too long"):
        feed()


HOSTILE_WHOLES: dict[str, tuple[Serve, str]] = {
    "answers garbage": (whole(b"{]"), "no JSON"),
    "answers events": (plain(HEAD, WORD, DONE), "no JSON"),
    "answers deep JSON": (whole(100_000 * b"[" + 100_000 * b"]"), "no JSON"),
    "answers a list": (whole([]), "no JSON object"),
    "answers without choices": (whole({"choices": []}), "no choices"),
    "answers choices that are none": (whole({"choices": [7]}), "no choices"),
    "answers packed": (
        plain(
            JSON_HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"), b"\x1f\x8b\x08"
        ),
        "no JSON",
    ),
    "never ends": (over_and_over(JSON_HEAD, 1_000_000 * b" "), "more than"),
    "hangs in the middle": (plain(JSON_HEAD, b'{"choices": [', hangs=True), "nothing came"),
    "breaks off": (
        plain(JSON_HEAD.replace(b"Connection: close", b"Content-Length: 999"), b'{"choices": ['),
        "broke off",
    ),
    "fails": (
        plain(JSON_HEAD.replace(b"200 OK", b"500 Oh"), b'{"error": {"message": "burnt"}}'),
        "burnt",
    ),
    "fails without end": (
        over_and_over(JSON_HEAD.replace(b"200 OK", b"500 Oh"), 65_536 * b"x"),
        "answered 500",
    ),
}


@pytest.mark.parametrize("name", HOSTILE_WHOLES)
@on_asyncio
async def test_a_whole_answer_that_is_none_is_an_error_and_costs_nothing(
    tmp_path: Path, name: str
) -> None:
    serve, told = HOSTILE_WHOLES[name]
    async with paid(tmp_path, serve) as (here, alice):
        here.serving.limits = SHORT
        async with time_passes(here):
            answer = await ask(alice, stream=False)
        error = answer.json()["error"]
        assert answer.status_code in (500, 503)
        assert told in error["message"]
        await noted(here, alice, 0)


HOSTILE_HEADS: dict[str, tuple[Serve, str]] = {
    "hangs before the head": (plain(hangs=True), "did not answer"),
    "hangs in the head": (plain(b"HTTP/1.1 200 OK\r\nContent-", hangs=True), "did not answer"),
    "dies": (plain(), "closed the connection"),
    "has a head without end": (
        over_and_over(b"HTTP/1.1 200 OK\r\n", 1000 * b"X-Y: z\r\n"),
        "not HTTP",
    ),
    "continues for ever": (over_and_over(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "does not begin"),
    "speaks something else": (plain(b"220 mail ESMTP\r\n"), "not HTTP"),
    "says its length twice": (
        plain(
            HEAD.replace(b"Connection: close", b"Content-Length: 5\r\nContent-Length: 7") + b"hello"
        ),
        "not HTTP",
    ),
}


@pytest.mark.parametrize("name", HOSTILE_HEADS)
@on_asyncio
async def test_what_never_begins_is_tried_again_and_then_an_error_that_costs_nothing(
    tmp_path: Path, name: str
) -> None:
    serve, told = HOSTILE_HEADS[name]
    async with paid(tmp_path, serve) as (here, alice):
        here.serving.limits = SHORT
        asking = asyncio.create_task(ask(alice, stream=False))
        async with time_passes(here, looks=True):
            answer = await asking
        assert answer.status_code == 503
        message = answer.json()["error"]["message"]
        assert "3 replicas" in message
        assert told in message
        await noted(here, alice, 0)


@on_asyncio
async def test_what_a_server_does_after_the_end_spoils_no_answer(tmp_path: Path) -> None:
    end = piece("", "stop")
    usage = event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 1}})
    for serve in (
        plain(HEAD, WORD, end, usage, DONE, hangs=True),
        plain(HEAD, WORD, end, usage, hangs=True),
        over_and_over(HEAD + WORD + end + usage, b": here\n\n"),
        over_and_over(HEAD + WORD + end + usage + DONE, WORD),
        plain(HEAD, WORD, end, usage, b"data: {{{\n\n"),
        plain(HEAD.replace(b"Connection: close", b"Content-Length: 99999"), WORD, end, usage),
    ):
        async with paid(tmp_path / str(id(serve)), serve) as (here, alice):
            here.serving.limits = SHORT
            *pieces, last, done = events_of(await ask(alice))
            assert [each["choices"][0]["text"] for each in pieces] == ["w "]
            assert last["choices"][0]["finish_reason"] == "stop"
            assert (done, last["neurogrid"]["cost_micro_usdc"]) == ("[DONE]", 1)
            await noted(here, alice, 1)


@on_asyncio
async def test_all_of_a_text_reaches_its_client_before_it_is_billed(tmp_path: Path) -> None:
    # A server that says its last word and that it was the last in one event.
    serve = plain(HEAD, WORD, piece("end", "length"), DONE)
    async with paid(tmp_path, serve) as (_, alice):
        *pieces, last, done = events_of(await ask(alice))
        assert done == "[DONE]"
        assert [each["choices"][0]["text"] for each in pieces] == ["w ", "end"]
        assert [each["choices"][0]["finish_reason"] for each in pieces] == [None, None]
        assert (last["choices"][0]["text"], last["choices"][0]["finish_reason"]) == ("", "length")


@on_asyncio
async def test_a_server_cannot_say_what_an_answer_cost(tmp_path: Path) -> None:
    lie = {"cost_micro_usdc": 0, "node_id": "me"}
    said = {"choices": [{"index": 0, "text": "w ", "finish_reason": None}], "neurogrid": lie}
    async with paid(tmp_path, plain(HEAD, event(said), piece("", "stop"), DONE)) as (_, alice):
        first, last, _ = events_of(await ask(alice))
        assert "neurogrid" not in first
        assert last["neurogrid"]["node_id"] != "me"


@on_asyncio
async def test_who_writes_more_than_was_asked_for_is_stopped(tmp_path: Path) -> None:
    async with paid(tmp_path, over_and_over(HEAD, WORD)) as (here, alice):
        *pieces, error = events_of(await ask(alice, max_tokens=4))
        assert "more than was asked" in error["error"]["message"]
        assert len(pieces) < 100
        del here


@on_asyncio
async def test_what_a_server_refuses_says_which_field_and_why(tmp_path: Path) -> None:
    said = {
        "error": {
            "message": "the prompt has 9 tokens, and this model sees 8",
            "param": "prompt",
            "code": "context_length_exceeded",
        }
    }
    refuses = plain(JSON_HEAD.replace(b"200 OK", b"400 Bad"), json.dumps(said).encode())
    async with paid(tmp_path, refuses) as (here, alice):
        answer = await ask(alice)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"], error["code"]) == (
            *(400, "prompt", "context_length_exceeded"),
        )
        assert "sees 8" in error["message"]
        (replica,) = here.pool.replicas.values()
        assert replica.health.failures == 0


@pytest.mark.parametrize("stream", [True, False])
@on_asyncio
async def test_an_answer_of_which_its_client_has_nothing_is_given_by_another_try(
    tmp_path: Path, stream: bool
) -> None:
    head = HEAD if stream else JSON_HEAD
    answers = [
        plain(head.replace(b"Connection: close", b"Content-Length: 999"), b": soon\n\n"),
        plain(HEAD, WORD, piece("", "stop"), DONE)
        if stream
        else whole({"choices": [{"index": 0, "text": "w ", "finish_reason": "stop"}]}),
    ]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answers and not (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET"):
            reader.feed_data(b"POST / HTTP/1.1\r\n\r\n")
            await answers.pop(0)(reader, writer)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with paid(tmp_path, serve) as (here, alice):
        async with time_passes(here):
            answer = await ask(alice, stream=stream)
        if stream:
            first, _, done = events_of(answer)
            assert (first["choices"][0]["text"], done) == ("w ", "[DONE]")
            await noted(here, alice, 1)
        else:
            assert answer.json()["choices"][0]["text"] == "w "
        assert answers == []
