"""The official `openai` package, unchanged, against the api: what it gets, what it raises, and what it leaves behind."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from coordinator.answering import RESULT, answering
from coordinator.api_world import Customer, World, open_world
from coordinator.catalogue import CATALOGUE
from coordinator.on_asyncio import on_asyncio
from coordinator.records import wallet
from coordinator.served import served
from neurogrid_coordinator.api.openai import streaming
from neurogrid_coordinator.request_rules import RequestRules
from neurogrid_coordinator.services.models import ModelSettings
from neurogrid_marketplace.task import Phase

_PATIENT = ModelSettings(CATALOGUE, wait_s=30)
_ASKED: list[Any] = [{"role": "user", "content": "To be"}]
_SOUND = b"ID3" + b" of a recording" * 100
_HEARD = {
    "text": " Hello <world>",
    "language": "en",
    "segments": [{"start": 0.0, "end": 1.25, "text": " Hello <world>\n\n1 --> 2"}],
    "execution_time_s": 1.8,
}


@asynccontextmanager
async def _client(
    folder: Path, **settings: Any
) -> AsyncIterator[tuple[World, Customer, AsyncOpenAI]]:
    async with (
        open_world(folder, **{"models": _PATIENT, **settings}) as world,
        served(world) as address,
    ):
        alice = await world.customer("alice")
        async with AsyncOpenAI(
            api_key=alice.key, base_url=f"http://{address}/v1", max_retries=0
        ) as client:
            yield world, alice, client


async def _task(alice: Customer, task_id: str) -> dict[str, Any]:
    found = (await alice.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]
    assert isinstance(found, dict)
    return found


@on_asyncio
async def test_a_chat_is_answered_whole_and_in_pieces_with_what_it_cost(tmp_path: Path) -> None:
    async with _client(tmp_path) as (world, alice, client), answering(world):
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
    async with _client(tmp_path) as (world, alice, client):
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
        _client(tmp_path) as (world, _, client),
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
async def test_an_upload_of_100_mb_is_refused_as_it_comes_and_others_are_served_meanwhile(
    tmp_path: Path,
) -> None:
    async with _client(tmp_path) as (world, _, client):
        sending = asyncio.ensure_future(
            client.audio.transcriptions.create(model="ear", file=("a.mp3", bytes(100 * 10**6)))
        )
        listed = 0
        while not sending.done():
            async with asyncio.timeout(5):
                listed += len((await client.models.list()).data) > 0
        refused = sending.exception()
        assert isinstance(refused, openai.APIStatusError), refused
        assert (refused.status_code, refused.code) == (413, "payload_too_large")
        assert listed > 1
        assert not [path for path in world.blobs_folder.rglob("*") if path.is_file()]


@on_asyncio
async def test_models_are_listed_and_an_unknown_one_hears_the_nearest_names(tmp_path: Path) -> None:
    async with _client(tmp_path) as (_, _, client):
        listed = [model.id async for model in client.models.list()]
        assert listed == [model.id for model in CATALOGUE.models]
        found = await client.models.retrieve("makers/large")
        assert (found.id, found.owned_by) == ("makers/large", "makers")
        assert (await client.models.retrieve("gpt-small")).id == "small"
        with pytest.raises(openai.NotFoundError, match="did you mean gpt-small") as refused:
            await client.chat.completions.create(model="gpt-smal", messages=_ASKED)
        assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
        with pytest.raises(openai.NotFoundError, match="no text model 'ear'"):
            await client.chat.completions.create(model="ear", messages=_ASKED)
        with pytest.raises(openai.NotFoundError, match="nothing at /v1/responses"):
            await client.responses.create(model="small", input="one")


@on_asyncio
async def test_what_a_model_cannot_do_is_refused_by_the_fields_name(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    parts = [{"type": "image_url", "image_url": {"url": "data:,"}}]
    image = [{"role": "user", "content": parts}]
    answered = [{"role": "tool", "content": "1", "tool_call_id": "1"}]
    long = [{"role": "user", "content": "word " * 1000}]
    wrong: list[tuple[dict[str, Any], str, str | None]] = [
        ({"n": 2}, "n", "unsupported_value"),
        ({"logprobs": True}, "logprobs", "unsupported_value"),
        ({"tools": [tool]}, "tools", "unsupported_value"),
        ({"response_format": {"type": "json_object"}}, "response_format", "unsupported_value"),
        ({"web_search_options": {}}, "web_search_options", "unsupported_parameter"),
        ({"messages": image}, "messages[0].content[0].type", "unsupported_value"),
        ({"messages": answered}, "messages[0].role", "unsupported_value"),
        ({"messages": long}, "messages", "context_length_exceeded"),
        ({"max_completion_tokens": 9000}, "max_completion_tokens", None),
        ({"max_completion_tokens": 5, "max_tokens": 5}, "max_tokens", None),
        ({"temperature": 3}, "temperature", None),
        ({"extra_body": {"top_k": 3}}, "top_k", "unknown_parameter"),
        ({"extra_body": {"provider": {"sort": "latency"}}}, "provider.sort", "unsupported_value"),
        (
            {"extra_body": {"provider": {"max_price": {"completion": 1}}}},
            "provider.max_price.completion",
            "unsupported_parameter",
        ),
        (
            {"extra_body": {"provider": {"max_price": {"request": 0.0000001}}}},
            "provider.max_price.request",
            None,
        ),
        ({"extra_body": {"provider": {"only": ["me"]}}}, "provider.only[0]", None),
    ]
    async with _client(tmp_path) as (world, _, client):
        for fields, param, code in wrong:
            with pytest.raises(openai.BadRequestError) as refused:
                await client.chat.completions.create(
                    **{"model": "small", "messages": _ASKED, **fields}
                )
            assert (refused.value.param, refused.value.code) == (param, code), refused.value
            assert refused.value.type == "invalid_request_error"
        for prompt, param in (([1, 2], "prompt"), (["a", "b"], "prompt")):
            with pytest.raises(openai.BadRequestError) as refused:
                await client.completions.create(model="small", prompt=prompt)
            assert refused.value.param == param
        for texts in ([[1, 2]], [""], ["one"] * 257):
            with pytest.raises(openai.BadRequestError) as refused:
                await client.embeddings.create(model="vectors", input=texts)
            assert refused.value.param == "input"
        assert world.woken == []


@on_asyncio
async def test_a_prompt_that_its_model_counts_as_too_long_is_refused_though_it_was_asked(
    tmp_path: Path,
) -> None:
    counted = {**RESULT, "usage": {"prompt_tokens": 257, "completion_tokens": 1}}
    async with (
        _client(tmp_path) as (world, _, client),
        answering(world, json.dumps(counted).encode()),
    ):
        with pytest.raises(openai.BadRequestError, match="256 tokens") as refused:
            await client.chat.completions.create(model="small", messages=_ASKED)
        assert refused.value.code == "context_length_exceeded"


@on_asyncio
async def test_errors_raise_the_clients_own_classes(tmp_path: Path) -> None:
    rules = RequestRules(tiers={"few": 3}, default_tier="few")
    async with _client(tmp_path, requests=rules) as (world, _, client):
        ask = client.with_options(api_key="ng_wrong").chat.completions.create
        with pytest.raises(openai.AuthenticationError) as unknown:
            await ask(model="small", messages=_ASKED)
        assert unknown.value.code == "invalid_api_key"
        assert unknown.value.request_id
        reader, _ = await world.key_of((await world.customer("reader")).account, ("read",))
        ask = client.with_options(api_key=reader).chat.completions.create
        with pytest.raises(openai.PermissionDeniedError):
            await ask(model="small", messages=_ASKED)
        poor = await world.customer("poor", deposit=0)
        ask = client.with_options(api_key=poor.key, max_retries=2).chat.completions.create
        with pytest.raises(openai.RateLimitError) as broke:
            await ask(model="small", messages=_ASKED)
        assert broke.value.code == "insufficient_quota"
        raw = await client.models.with_raw_response.list()
        head = raw.headers
        assert (head["x-ratelimit-limit-requests"], head["openai-version"]) == ("3", "2020-10-01")
        assert int(head["openai-processing-ms"]) >= 0
        await client.models.list()
        await client.models.list()
        with pytest.raises(openai.RateLimitError) as often:
            await client.models.list()
        assert often.value.code == "rate_limit_exceeded"
        assert int(often.value.response.headers["retry-after"]) > 0
        assert often.value.response.headers["x-ratelimit-reset-requests"].endswith("s")


@on_asyncio
async def test_a_client_says_who_may_compute_and_what_it_may_cost(tmp_path: Path) -> None:
    async with _client(tmp_path) as (world, alice, client), answering(world):

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
    async with _client(tmp_path) as (world, alice, client):
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
                    break
            (task_id,) = world.woken
            assert (await world.state(task_id)).phase is Phase.QUEUED
        async with asyncio.timeout(10), world.feed.subscribe() as changed:
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
