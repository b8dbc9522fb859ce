"""The official `openai` package, unchanged, against the api: what it gets, what it raises, and what it leaves behind."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from coordinator.answering import RESULT, answering
from coordinator.api_world import Customer
from coordinator.on_asyncio import on_asyncio
from coordinator.openai_world import openai_client
from coordinator.records import wallet
from neurogrid_coordinator.api import streaming
from neurogrid_marketplace.task import Phase

_ASKED: list[Any] = [{"role": "user", "content": "To be"}]
_SOUND = b"ID3" + b" of a recording" * 100
_HEARD = {
    "text": " Hello <world>",
    "language": "en",
    "segments": [{"start": 0.0, "end": 1.25, "text": " Hello <world>\n\n1 --> 2"}],
    "execution_time_s": 1.8,
}


async def _task(alice: Customer, task_id: str) -> dict[str, Any]:
    found = (await alice.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]
    assert isinstance(found, dict)
    return found


@on_asyncio
async def test_a_chat_is_answered_whole_and_in_pieces_with_what_it_cost(tmp_path: Path) -> None:
    async with openai_client(tmp_path) as (world, alice, client), answering(world):
        whole = await client.chat.completions.create(
            model="gpt-small",
            messages=[
                {"role": "developer", "content": "Speak."},
                {"role": "user", "content": [{"type": "text", "text": "To be"}]},
            ],
            max_completion_tokens=5,
            temperature=0.5,
            stop=["\n"],
            seed=-1,
            user="a person",
            metadata={"a": "b"},
        )
        (choice,) = whole.choices
        assert (choice.message.role, choice.message.content) == ("assistant", RESULT["text"])
        assert (choice.finish_reason, whole.model) == ("length", "small")
        assert whole.usage is not None
        assert (whole.usage.prompt_tokens, whole.usage.total_tokens) == (3, 8)
        extras = whole.model_dump()
        task = await _task(alice, extras["neurogrid"]["request_id"])
        assert f"{extras['usage']['cost']:.3f}" == task["cost_usdc"] == "0.001"
        assert extras["usage"]["cost_micro_usdc"] == extras["neurogrid"]["cost_micro_usdc"] == 1000
        assert extras["neurogrid"]["node_id"] == task["node_id"]
        assert task["model_request"]["parameters"] == {
            "max_tokens": 5,
            "temperature": 0.5,
            "top_p": 1.0,
            "stop_sequences": ["\n"],
            "seed": 2**32 - 1,
        }
        stream = await client.chat.completions.create(
            model="small",
            messages=_ASKED,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        first, text, last, usage = chunks
        assert first.choices[0].delta.role == "assistant"
        assert text.choices[0].delta.content == RESULT["text"]
        assert (last.choices[0].finish_reason, last.choices[0].delta.content) == ("length", None)
        assert usage.choices == []
        assert usage.usage is not None
        assert usage.usage.model_dump()["cost_micro_usdc"] == 1000
        assert {chunk.id for chunk in chunks} == {first.id}
        streamed = await client.chat.completions.create(model="small", messages=_ASKED, stream=True)
        assert [chunk.usage async for chunk in streamed] == [None] * 3


@on_asyncio
async def test_texts_vectors_images_and_transcripts_have_openais_forms(tmp_path: Path) -> None:
    async with openai_client(tmp_path) as (world, alice, client):
        async with answering(world):
            text = await client.completions.create(model="small", prompt=["To be"], top_p=0)
            pieces = await client.completions.create(model="small", prompt="To be", stream=True)
            said = "".join([piece.choices[0].text async for piece in pieces])
        assert text.choices[0].text == said == RESULT["text"]
        task = await _task(alice, text.model_dump()["neurogrid"]["request_id"])
        asked = task["model_request"]["parameters"]
        assert (asked["max_tokens"], asked["temperature"]) == (16, 1.0)
        vectors = {"embeddings": [[0.5, -0.25], [1, 0]], "usage": {"prompt_tokens": 4}}
        async with answering(world, json.dumps(vectors).encode()):
            # The client asks for base64 by itself, and reads it.
            made = await client.embeddings.create(model="vectors", input=["one", "two"])
            plain = await client.embeddings.create(
                model="vectors", input=["one", "two"], encoding_format="float"
            )
            with pytest.raises(openai.InternalServerError, match="no result that can be read"):
                await client.embeddings.create(model="vectors", input="one")
        for each in (made, plain):
            assert [one.embedding for one in each.data] == vectors["embeddings"]
            assert (each.usage.prompt_tokens, each.usage.total_tokens) == (4, 4)
        left = {"image": "image.png", "width": 64, "height": 32, "steps": 3, "seed": 42}
        async with answering(world, json.dumps(left).encode(), {"image.png": b"an image"}):
            ask: dict[str, Any] = {"model": "makers/large", "prompt": "A city", "size": "64x32"}
            image = await client.images.generate(**ask, extra_body={"seed": 42, "steps": 3})
            named = await client.images.generate(**ask, response_format="url")
        assert image.data is not None
        assert named.data is not None
        assert base64.b64decode(image.data[0].b64_json or "").rstrip() == b"an image"
        url = httpx.URL(named.data[0].url or "")
        assert (await alice.http.get(url.path)).content.rstrip() == b"an image"
        assert str(client.base_url).startswith(f"{url.scheme}://{url.host}:{url.port}/")


@on_asyncio
async def test_a_recording_is_written_down_in_every_form(tmp_path: Path) -> None:
    async with (
        openai_client(tmp_path) as (world, _, client),
        answering(world, json.dumps(_HEARD).encode()),
    ):
        hear = client.audio.transcriptions.create
        ask: dict[str, Any] = {"model": "ear", "file": ("a.mp3", _SOUND), "language": "en"}
        plain = await hear(**ask)
        assert plain.text == _HEARD["text"]
        assert plain.model_dump()["usage"]["seconds"] == 1.25
        long = await hear(
            **ask, response_format="verbose_json", timestamp_granularities=["segment"]
        )
        assert (long.language, long.duration) == ("en", 1.25)
        assert long.segments is not None
        assert long.segments[0].end == 1.25
        assert await hear(**ask, response_format="text") == "Hello <world>\n"
        line = "Hello <world> 1 -> 2"
        subtitles = f"1\n00:00:00,000 --> 00:00:01,250\n{line}\n"
        assert await hear(**ask, response_format="srt") == subtitles
        line = line.replace("<", "&lt;")
        subtitles = f"WEBVTT\n\n00:00:00.000 --> 00:00:01.250\n{line}\n"
        assert await hear(**ask, response_format="vtt") == subtitles
        events = [event async for event in await hear(**ask, stream=True)]
        assert [event.type for event in events] == [
            "transcript.text.delta",
            "transcript.text.done",
        ]
        for other, param in (
            ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
            ({"response_format": "diarized_json"}, "response_format"),
            ({"prompt": "spelling"}, "prompt"),
            ({"temperature": 0.5}, "temperature"),
            ({"file": ("a.mp3", b"a text")}, "file"),
        ):
            with pytest.raises(openai.BadRequestError) as refused:
                await hear(
                    **{**ask, **other, "response_format": other.get("response_format", "json")}
                )
            assert refused.value.param == param
        with (
            pytest.warns(DeprecationWarning, match="deprecated"),
            pytest.raises(openai.BadRequestError, match="no model here translates"),
        ):
            await client.audio.translations.create(model="ear", file=("a.mp3", _SOUND))


@on_asyncio
async def test_a_client_says_who_may_compute_and_what_it_may_cost(tmp_path: Path) -> None:
    async with openai_client(tmp_path) as (world, alice, client), answering(world):

        async def asked(**provider: Any) -> dict[str, Any]:
            answer = await client.chat.completions.create(
                model="small", messages=_ASKED, extra_body={"provider": provider}
            )
            return await _task(alice, answer.model_dump()["neurogrid"]["request_id"])

        task = await asked(ignore=[wallet("bad")], max_price={"request": "0.004"}, sort="price")
        assert task["constraints"] == f"node.wallet != {wallet('bad')}"
        # The catalogue's 0.36 for its 60 s would be 0.006.
        assert task["max_price_per_hour"] == "0.24"
        assert (await asked(region="eu-west"))["regions"] == ["eu-west"]
        # Nobody like the first is there, so the others are asked.
        await asked(order=[wallet("nobody")])
        ask = client.chat.completions.create
        nobody = {"order": [wallet("nobody")], "allow_fallbacks": False}
        with pytest.raises(openai.InternalServerError) as refused:
            await ask(model="small", messages=_ASKED, extra_body={"provider": nobody})
        assert (refused.value.status_code, refused.value.code) == (503, "no_provider_available")
        body = refused.value.body
        assert isinstance(body, dict)
        assert "explanation" in body["neurogrid"]["details"]


@on_asyncio
async def test_who_leaves_a_stream_has_nothing_computed_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "KEEP_ALIVE_S", 0.02)
    monkeypatch.setattr(streaming.stream_response, "__defaults__", (0.02,))
    async with openai_client(tmp_path) as (world, alice, client):
        host = str(client.base_url)
        body: dict[str, Any] = {"model": "small", "messages": _ASKED, "stream": True}
        async with (
            httpx.AsyncClient(headers={"Authorization": f"Bearer {alice.key}"}) as http,
            http.stream("POST", f"{host}chat/completions", json=body) as answer,
        ):
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                assert line in (": keep-alive", "")
                if world.woken:
                    (task_id,) = world.woken
                    assert (await world.state(task_id)).phase is Phase.QUEUED
                    # It may close the connection at once: nobody reads the lines any more.
                    break
        async with asyncio.timeout(60), world.feed.subscribe() as changed:
            while (await world.state(task_id)).phase is not Phase.CANCELLED:
                await changed.wait()
        # An error once the answer has begun is an event, which the client raises.
        again = await client.chat.completions.create(**body)
        async with answering(world, b"no JSON"):
            # One that came before somebody answered is heard of once more.
            world.woken += world.woken[1:]
            world.feed.notify()
            with pytest.raises(openai.APIError, match="left no result"):
                [chunk async for chunk in again]


@on_asyncio
async def test_a_stream_whose_key_is_revoked_or_whose_coordinator_stops_ends_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming.stream_response, "__defaults__", (0.02,))
    async with openai_client(tmp_path) as (world, alice, client):
        secret, holder = await world.key_of(alice.account)
        ask: dict[str, Any] = {"model": "small", "messages": _ASKED, "stream": True}
        revoked = await client.with_options(api_key=secret).chat.completions.create(**ask)
        stopped = await client.chat.completions.create(**ask)
        assert (await holder.delete("/api/v1/api-keys/current")).status_code == 200
        with pytest.raises(openai.APIError, match="revoked"):
            [chunk async for chunk in revoked]
        world.stopping.set()
        with pytest.raises(openai.APIError, match="may be asked for again"):
            [chunk async for chunk in stopped]
        for task_id in world.woken:
            assert (await world.state(task_id)).phase is Phase.CANCELLED


@on_asyncio
async def test_the_same_request_with_the_same_key_has_the_same_answer_streamed_or_not(
    tmp_path: Path,
) -> None:
    async with openai_client(tmp_path) as (world, _, client), answering(world):
        ask: dict[str, Any] = {
            "model": "small",
            "messages": _ASKED,
            "extra_headers": {"Idempotency-Key": "one"},
        }
        first = await client.chat.completions.create(**ask)
        again = await client.chat.completions.create(**ask)
        assert again == first
        stream = await client.chat.completions.create(**ask, stream=True)
        assert {chunk.id async for chunk in stream} == {first.id}
        assert len(world.woken) == 1
        with pytest.raises(openai.ConflictError) as other:
            await client.chat.completions.create(**{**ask, "seed": 2})
        assert other.value.code == "idempotency_mismatch"
