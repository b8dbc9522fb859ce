"""Requests with an idempotency key that replicas answer: asked once, billed once, and answered the same way again."""

import asyncio
import base64
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, func, select, update

from coordinator.api_world import Customer
from coordinator.error_answers import check_error
from coordinator.fake_jobs import Serve
from coordinator.on_asyncio import on_asyncio
from coordinator.replica_world import CATALOGUE, MODEL, ReplicaWorld
from coordinator.test_paid_use import READ, WORDS, Uncertain, events_of, leases, paid, uses
from coordinator.test_replica_kinds import (
    AUDIO,
    IMAGE,
    PNG,
    SAID,
    SOUND,
    VECTORS,
    Asked,
    images,
    of_account,
    serving,
    told,
)
from neurogrid_coordinator.api.app import create_app
from neurogrid_coordinator.config import RetentionConfig
from neurogrid_coordinator.files.checkpoints import BlobSweeper
from neurogrid_coordinator.openai.answers import Bill
from neurogrid_coordinator.openai.requests import ChatRequest, StreamOptions
from neurogrid_coordinator.openai.whole_events import whole_events
from neurogrid_coordinator.paid_use.leases import UseSettings
from neurogrid_coordinator.paid_use.notes import UseNotes
from neurogrid_coordinator.retention import forget_once
from neurogrid_coordinator.services.artifacts import Limits
from neurogrid_coordinator.services.submission import MODEL_KIND
from neurogrid_coordinator.store import task_lists
from neurogrid_coordinator.store.artifacts import blobs_needed
from neurogrid_coordinator.store.away import Overloaded
from neurogrid_coordinator.store.tables import kept_answers
from neurogrid_coordinator.store.task_lists import TaskFilter
from neurogrid_marketplace.model_catalogue import parse_catalogue
from neurogrid_marketplace.units import Units

_FEATURES = ("stream", "usage_in_stream", "seed")
_USAGE = {"prompt_tokens": READ, "completion_tokens": WORDS, "total_tokens": READ + WORDS}
_KEY = {"Idempotency-Key": "0198c0de"}
ONCE = Units(READ, 0, WORDS, 0, 0, 1)


def text(said: str = "w " * WORDS) -> dict[str, Any]:
    choice = {"index": 0, "text": said, "logprobs": None, "finish_reason": "stop"}
    return {"id": "x", "object": "text_completion", "choices": [choice], "usage": _USAGE}


async def ask(customer: Customer, key: str = "0198c0de", **changes: Any) -> httpx.Response:
    body = {"model": MODEL, "prompt": "To be", **changes}
    headers = {"Idempotency-Key": key}
    return await customer.http.post("/v1/completions", json=body, headers=headers, timeout=60)


def is_replay(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("idempotent-replayed") == "true")


async def kept(here: ReplicaWorld) -> int:
    return await here.world.database.read(
        lambda conn: conn.scalar(select(func.count()).select_from(kept_answers)) or 0
    )


@pytest.mark.both_databases
@on_asyncio
async def test_the_same_request_again_hears_the_same_and_nobody_is_asked_or_paid_again(
    tmp_path: Path,
) -> None:
    number = 0

    def another() -> dict[str, Any]:
        nonlocal number
        number += 1
        return text(f"{'w ' * WORDS}{number}")

    asked, open_world = serving(tmp_path, CATALOGUE, another, *_FEATURES)
    async with open_world as (here, alice):
        first = await ask(alice)
        assert (first.status_code, is_replay(first)) == (200, False), first.text
        assert first.json()["neurogrid"]["cost_micro_usdc"] == 3
        again = await ask(alice)
        assert (again.status_code, again.content, is_replay(again)) == (200, first.content, True)
        assert (len(asked), await of_account(here, alice)) == (1, ONCE)
        # Another request with the key.
        other = await ask(alice, prompt="Or not")
        assert (other.status_code, other.headers["x-should-retry"]) == (409, "false")
        assert other.json()["error"]["code"] == "idempotency_mismatch"
        assert (await ask(alice, stream=True)).status_code == 409
        assert (len(asked), await of_account(here, alice)) == (1, ONCE)
        # Another key, no key, another account.
        bob = await here.world.customer("bob")
        for answer in (await ask(alice, "other"), await ask(bob)):
            assert answer.json()["choices"] != first.json()["choices"]
        assert len(asked) == 3
        assert (await ask(alice)).content == first.content


@on_asyncio
async def test_a_stream_with_a_key_comes_in_one_piece_and_again_the_same(tmp_path: Path) -> None:
    asked, open_world = serving(tmp_path, CATALOGUE, text, *_FEATURES)
    async with open_world as (here, alice):
        wanted: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
        first = await ask(alice, **wanted)
        whole, end, usage, done = events_of(first)
        assert "stream" not in json.loads(asked[0][1])
        assert whole["choices"][0]["text"] == "w " * WORDS
        assert (whole["choices"][0]["finish_reason"], whole["usage"]) == (None, None)
        assert (end["choices"][0]["text"], end["choices"][0]["finish_reason"]) == ("", "stop")
        assert end["neurogrid"]["cost_micro_usdc"] == usage["usage"]["cost_micro_usdc"] == 3
        assert (usage["choices"], usage["usage"]["completion_tokens"], done) == (
            [],
            WORDS,
            "[DONE]",
        )
        assert {each["id"] for each in (whole, end, usage)} == {whole["id"]}
        again = await ask(alice, **wanted)
        assert events_of(again) == events_of(first)
        assert (len(asked), await of_account(here, alice)) == (1, ONCE)


def test_a_whole_chat_has_the_events_of_a_stream() -> None:
    (model,) = parse_catalogue(CATALOGUE, "tests").models
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call, call]}
    choices = [
        {"index": 0, "message": message, "finish_reason": "tool_calls"},
        {"index": 1, "message": {"role": "assistant", "content": "Hm."}, "finish_reason": "stop"},
    ]
    value = {"id": "x", "object": "chat.completion", "choices": choices, "usage": _USAGE}
    request = ChatRequest(model=MODEL, messages=(), stream_options=StreamOptions(True))
    events = list(whole_events(request, value, Bill("req_1", 1, model, "node", 7)))
    assert {each["object"] for each in events} == {"chat.completion.chunk"}
    *pieces, usage = events
    deltas = [(each["choices"][0]["index"], each["choices"][0]["delta"]) for each in pieces]
    calls = [{**call, "index": 0}, {**call, "index": 1}]
    assert deltas == [
        (0, {**message, "tool_calls": calls}),
        (1, {"role": "assistant", "content": "Hm."}),
        (0, {}),
        (1, {}),
    ]
    ended = [each["choices"][0]["finish_reason"] for each in pieces]
    assert ended == [None, None, "tool_calls", "stop"]
    assert ["neurogrid" in each for each in pieces] == [False, False, False, True]
    assert (usage["choices"], usage["usage"]["cost_micro_usdc"]) == ([], 7)


@on_asyncio
async def test_an_answer_of_any_size_is_kept(tmp_path: Path) -> None:
    vector = [number / 7 for number in range(300)]
    data = [{"object": "embedding", "index": each, "embedding": vector} for each in range(100)]
    made = {"object": "list", "data": data, "model": "x", "usage": {"prompt_tokens": 9}}
    asked, open_world = serving(tmp_path, VECTORS, made)
    async with open_world as (here, alice):
        body = {"model": MODEL, "input": ["a"] * 100}
        answers = [
            await alice.http.post("/v1/embeddings", json=body, headers=_KEY, timeout=60)
            for _ in range(2)
        ]
        assert len(answers[0].content) > 400_000
        assert answers[0].content == answers[1].content
        assert (len(asked), await of_account(here, alice)) == (1, Units(9, requests=1))


@on_asyncio
async def test_an_image_is_the_same_file_and_its_link_is_good_again(tmp_path: Path) -> None:
    asked, open_world = serving(tmp_path, IMAGE, images(1))
    async with open_world as (here, alice):
        links = []
        for _ in range(2):
            body = {"model": MODEL, "prompt": "A city", "response_format": "url"}
            answer = await alice.http.post(
                "/v1/images/generations", json=body, headers=_KEY, timeout=60
            )
            links.append(answer.json()["data"][0]["url"])
        for link in links:
            assert (await alice.http.get(link)).content == PNG
        body = {"model": MODEL, "prompt": "A city"}
        again = [
            await alice.http.post(
                "/v1/images/generations",
                json=body,
                headers={"Idempotency-Key": "as bytes"},
                timeout=60,
            )
            for _ in range(2)
        ]
        assert again[0].content == again[1].content
        assert base64.b64decode(again[1].json()["data"][0]["b64_json"]) == PNG
        assert (len(asked), await of_account(here, alice)) == (2, Units(images=2, requests=2))


@on_asyncio
async def test_a_recording_is_known_again_by_what_is_in_it(tmp_path: Path) -> None:
    asked, open_world = serving(tmp_path, AUDIO, SAID)
    async with open_world as (here, alice):

        async def hear(sound: bytes = SOUND, **fields: str) -> httpx.Response:
            return await alice.http.post(
                "/v1/audio/transcriptions",
                data={"model": MODEL, "response_format": "srt", **fields},
                files={"file": ("speech.wav", sound)},
                headers=_KEY,
                timeout=60,
            )

        # Each form has a boundary of its own.
        first, again = await hear(), await hear()
        assert first.text.startswith("1\n00:00:00,000")
        assert (first.text, is_replay(first), is_replay(again)) == (again.text, False, True)
        cost = "x-neurogrid-cost-micro-usdc"
        assert first.headers[cost] == again.headers[cost] == "400"
        for other in (await hear(SOUND + b"more"), await hear(language="en")):
            assert other.status_code == 409
        assert (len(asked), await of_account(here, alice)) == (1, Units(audio_ms=8000, requests=1))


@on_asyncio
async def test_a_native_call_hears_the_same_again(tmp_path: Path) -> None:
    asked, open_world = serving(tmp_path, CATALOGUE, text, *_FEATURES)
    async with open_world as (here, alice):
        path = "/api/v1/models/generate/text"

        async def write(**changes: Any) -> httpx.Response:
            body = {"model": MODEL, "prompt": "To be", **changes}
            return await alice.http.post(path, json=body, headers=_KEY, timeout=60)

        first = (await write()).json()["data"]
        # The seed that was drawn and the time that it took are those of the answer.
        assert (await write()).json()["data"] == first
        assert first["seed"] == json.loads(asked[0][1])["seed"]
        *pieces, last = (await write(stream=True)).text.split("\n\n")[:-1]
        assert pieces == [
            f"event: text\ndata: {json.dumps({'text': first['generated_text']}, separators=(',', ':'))}"
        ]
        assert json.loads(last.partition("\ndata: ")[2]) == first
        # The second one would be a task.
        for other in ({"prompt": "Or not"}, {"node_preferences": {"min_performance_score": 1}}):
            check_error(await write(**other), 409, "IDEMPOTENCY_MISMATCH")
        assert (len(asked), await of_account(here, alice)) == (1, ONCE)


@on_asyncio
async def test_a_native_transcript_with_a_key_comes_whole_streamed_or_not(tmp_path: Path) -> None:
    asked, open_world = serving(tmp_path, AUDIO, SAID, "stream")
    async with open_world as (here, alice):

        async def hear(**fields: str) -> httpx.Response:
            return await alice.http.post(
                "/api/v1/models/transcribe",
                data={"model": MODEL, **fields},
                files={"file": ("speech.wav", SOUND)},
                headers=_KEY,
                timeout=60,
            )

        text_event, answer_event = (await hear(stream="true")).text.split("\n\n")[:-1]
        assert SAID["text"] in text_event
        assert b'name="stream"' not in asked[0][1]
        whole = json.loads(answer_event.partition("\ndata: ")[2])
        assert (await hear()).json()["data"] == whole
        assert whole["segments"][1]["end"] == 7.3
        check_error(await hear(language="de"), 409, "IDEMPOTENCY_MISMATCH")
        assert (len(asked), await of_account(here, alice)) == (1, Units(audio_ms=8000, requests=1))


@on_asyncio
async def test_an_agent_of_document_004_says_the_same_again(tmp_path: Path) -> None:
    entry = CATALOGUE.replace('["/v1/completions"]', '["/v1/chat/completions"]')
    message = {"role": "assistant", "content": "w " * WORDS}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    value = {"id": "x", "object": "chat.completion", "choices": [choice], "usage": _USAGE}
    asked, open_world = serving(tmp_path, entry, value, *_FEATURES)
    async with open_world as (here, alice):
        body = {"workflow_type": "code_generation", "prompt": "Sort", "timeout": 30}
        first, again = [
            await alice.http.post("/ai/tasks", json=body, headers=_KEY, timeout=60)
            for _ in range(2)
        ]
        assert first.json()["result"] == "w " * WORDS
        assert again.json() == first.json()
        assert (len(asked), await of_account(here, alice)) == (1, ONCE)


def held(let: asyncio.Event, asked: Asked) -> Serve:
    """A server that answers once it may."""
    answer = told(text, asked)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(4)
        rest = asyncio.StreamReader()
        rest.feed_data(first)

        async def pass_on() -> None:
            while data := await reader.read(65536):
                rest.feed_data(data)
            rest.feed_eof()

        passing = asyncio.create_task(pass_on())
        if first == b"POST":
            asked.append(("", b""))
            await let.wait()
            asked.pop()
        try:
            await answer(rest, writer)
        finally:
            passing.cancel()

    return serve


@on_asyncio
async def test_of_two_at_one_moment_one_is_asked_and_who_leaves_has_left_its_key_free(
    tmp_path: Path,
) -> None:
    asked: Asked = []
    let = asyncio.Event()
    async with paid(tmp_path, held(let, asked), features=_FEATURES) as (here, alice):
        leaving = asyncio.create_task(ask(alice))
        await here.until(lambda: len(asked) == 1)
        busy = await ask(alice)
        assert (busy.status_code, busy.json()["error"]["code"]) == (409, "conflict")
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        first = asyncio.create_task(ask(alice))
        await here.until(lambda: len(asked) == 2)
        assert (await ask(alice)).status_code == 409
        let.set()
        answer = await first
        assert answer.status_code == 200
        assert (await ask(alice)).content == answer.content
        assert await of_account(here, alice) == ONCE


class Stuck:
    """A database that carries out nothing until it is let to."""

    def __init__(self, here: ReplicaWorld) -> None:
        self._database = here.world.database
        self.waits = 0
        self.free = False

    async def write(self, fn: Any, *args: Any) -> Any:
        if not self.free:
            self.waits += 1
            raise Overloaded("it has too much to do")
        return await self._database.write(fn, *args)


@on_asyncio
async def test_who_leaves_while_the_note_is_written_finds_the_answer_and_nobody_asks_meanwhile(
    tmp_path: Path,
) -> None:
    asked, open_world = serving(tmp_path, CATALOGUE, text, *_FEATURES)
    async with open_world as (here, alice):
        database: Any = Stuck(here)
        notes = UseNotes(database, lambda: here.world.now_ms)
        writing = asyncio.create_task(notes.run())
        here.serving.payments = leases(here, notes, UseSettings())
        leaving = asyncio.create_task(ask(alice))
        await here.until(lambda: database.waits > 0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert (await ask(alice)).status_code == 409
        database.free = True
        async with asyncio.timeout(10):
            while not await kept(here):  # noqa: ASYNC110 - nobody is told of a stored row
                await asyncio.sleep(0.01)
        answer = await ask(alice)
        assert (answer.status_code, is_replay(answer)) == (200, True)
        assert (len(asked), await of_account(here, alice)) == (1, ONCE)
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing


@on_asyncio
async def test_a_commit_whose_end_nobody_knows_keeps_and_tells_what_it_came_to(
    tmp_path: Path,
) -> None:
    asked, open_world = serving(tmp_path, CATALOGUE, text, *_FEATURES)
    async with open_world as (here, alice):
        database: Any = Uncertain(here.world.database)
        notes = UseNotes(database, lambda: here.world.now_ms)
        writing = asyncio.create_task(notes.run())
        here.serving.payments = leases(here, notes, UseSettings())
        first = await ask(alice)
        assert not database.doubts
        assert first.json()["neurogrid"]["cost_micro_usdc"] == 3
        assert (await ask(alice)).content == first.content
        assert (len(asked), await of_account(here, alice)) == (1, ONCE)
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing


@on_asyncio
async def test_what_began_as_a_task_stays_one_and_a_kept_answer_needs_no_replica(
    tmp_path: Path,
) -> None:
    asked, open_world = serving(tmp_path, CATALOGUE, text, *_FEATURES)
    async with open_world as (here, alice):
        world = here.world
        first = await ask(alice)
        # A coordinator that keeps no replicas any more.
        app = create_app(world.settings, replace(world.collaborators, serving=None))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://api", headers=alice.http.headers
        ) as http:
            body = {"model": MODEL, "prompt": "To be"}
            again = await http.post("/v1/completions", json=body, headers=_KEY)
            assert (again.content, is_replay(again)) == (first.content, True)
            which = TaskFilter(alice.account.id, kinds=frozenset({MODEL_KIND}))
            other = {"Idempotency-Key": "a task"}
            asking = asyncio.create_task(http.post("/v1/completions", json=body, headers=other))
            async with asyncio.timeout(10):
                while not await world.database.read(task_lists.count, which):  # noqa: ASYNC110 - nobody is told
                    await asyncio.sleep(0.01)
            (row,) = await world.database.read(task_lists.list_rows, which)
            # The one that keeps some finds that task.
            finding = asyncio.create_task(ask(alice, "a task"))
            await asyncio.sleep(0.05)
            assert not finding.done()
            await world.collaborators.request_cancel(row.id)
            answers = await asyncio.gather(asking, finding)
            assert {row.id in answer.text for answer in answers} == {True}
            assert {answer.status_code for answer in answers} == {503}
        assert len(asked) == 1


@on_asyncio
async def test_a_kept_answer_is_the_accounts_until_its_time_is_over(tmp_path: Path) -> None:
    asked, open_world = serving(tmp_path, CATALOGUE, text, *_FEATURES)
    async with open_world as (here, alice):
        world = here.world
        first = await ask(alice)
        (sha256,) = await world.database.read(lambda conn: list(blobs_needed(conn)))
        sweeper = BlobSweeper(world.database, world.blobs)
        hour = RetentionConfig(idempotency_hours=1)
        assert (await forget_once(world.database, hour, world.now_ms, pause_s=0))["answers"] == 0
        await sweeper.sweep()
        assert (await ask(alice)).content == first.content

        def age(conn: Connection) -> None:
            then = kept_answers.c.created_at_ms - 25 * 3600 * 1000
            conn.execute(update(kept_answers).values(created_at_ms=then))

        await world.database.write(age)
        # Too old: it is asked anew, and the old one's file goes.
        anew = await ask(alice)
        assert (anew.status_code, is_replay(anew), len(asked)) == (200, False, 2)
        assert anew.json()["id"] != first.json()["id"]
        assert await world.blobs.size_bytes(sha256) is not None
        await sweeper.sweep()
        assert await world.blobs.size_bytes(sha256) is None
        assert (await ask(alice)).content == anew.content

        await world.database.write(age)
        assert (await forget_once(world.database, hour, world.now_ms, pause_s=0))["answers"] == 1
        await sweeper.sweep()
        assert await kept(here) == 0
        assert not [path for path in (tmp_path / "artifacts").glob("??/*") if path.is_file()]


@on_asyncio
async def test_who_has_no_room_for_an_answer_is_told_before_anybody_is_asked(
    tmp_path: Path,
) -> None:
    asked, open_world = serving(tmp_path, CATALOGUE, text, *_FEATURES)
    async with open_world as (here, alice):
        world = here.world
        limits = Limits(file_bytes=10**6, account_bytes=64 * 1024 + 100)
        app = create_app(replace(world.settings, limits=limits), world.collaborators)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://api", headers=alice.http.headers
        ) as http:
            body = {"model": MODEL, "prompt": "To be"}
            first = await http.post("/v1/completions", json=body, headers=_KEY)
            assert first.status_code == 200, first.text
            # What is kept counts.
            full = await http.post("/v1/completions", json=body, headers={"Idempotency-Key": "2"})
            assert (full.status_code, full.json()["error"]["code"]) == (413, "payload_too_large")
            assert "send no key" in full.json()["error"]["message"]
            assert len(asked) == 1
            assert (
                await http.post("/v1/completions", json=body, headers=_KEY)
            ).content == first.content
            assert (await http.post("/v1/completions", json=body)).status_code == 200
        assert len(await uses(here, alice)) == 1
