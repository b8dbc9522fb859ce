"""What the official `openai` package raises: each refusal as the class, the code and the field that its users know."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from coordinator.answering import RESULT, answering
from coordinator.catalogue import CATALOGUE
from coordinator.on_asyncio import on_asyncio
from coordinator.openai_world import openai_client
from neurogrid_coordinator.server.request_rules import RequestRules

_ASKED: list[Any] = [{"role": "user", "content": "To be"}]
_SOUND = b"ID3" + b" of a recording" * 100
_HEARD = {
    "text": " Hello <world>",
    "language": "en",
    "segments": [{"start": 0.0, "end": 1.25, "text": " Hello <world>\n\n1 --> 2"}],
    "execution_time_s": 1.8,
}


@on_asyncio
async def test_an_upload_of_100_mb_is_refused_as_it_comes_and_others_are_served_meanwhile(
    tmp_path: Path,
) -> None:
    async with openai_client(tmp_path) as (world, _, client):
        sending = asyncio.ensure_future(
            client.audio.transcriptions.create(model="ear", file=("a.mp3", bytes(100 * 10**6)))
        )
        listed = 0
        while not sending.done():
            async with asyncio.timeout(60):
                listed += len((await client.models.list()).data) > 0
        refused = sending.exception()
        assert isinstance(refused, openai.APIStatusError), refused
        assert (refused.status_code, refused.code) == (413, "payload_too_large")
        assert listed > 1
        assert not [path for path in world.blobs_folder.rglob("*") if path.is_file()]


@on_asyncio
async def test_models_are_listed_and_an_unknown_one_hears_the_nearest_names(tmp_path: Path) -> None:
    async with openai_client(tmp_path) as (_, _, client):
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
        ({"extra_body": {"top_k": 3}}, "top_k", "unsupported_value"),
        ({"extra_body": {"top_k_of": 3}}, "top_k_of", "unknown_parameter"),
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
    async with openai_client(tmp_path) as (world, _, client):
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
        openai_client(tmp_path) as (world, _, client),
        answering(world, json.dumps(counted).encode()),
    ):
        with pytest.raises(openai.BadRequestError, match="256 tokens") as refused:
            await client.chat.completions.create(model="small", messages=_ASKED)
        assert refused.value.code == "context_length_exceeded"


@on_asyncio
async def test_errors_raise_the_clients_own_classes(tmp_path: Path) -> None:
    rules = RequestRules(tiers={"few": 3}, default_tier="few")
    async with openai_client(tmp_path, requests=rules) as (world, _, client):
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
async def test_a_page_of_another_origin_may_use_the_client_where_the_operator_lets_it(
    tmp_path: Path,
) -> None:
    origin = "https://app.example"
    async with openai_client(tmp_path, cors_origins=(origin,)) as (_, _, client):
        # As npm's client sends them.
        names = ("arch", "lang", "os", "package-version", "runtime", "runtime-version")
        stainless = [f"x-stainless-{name}" for name in (*names, "retry-count", "timeout")]
        asked = ",".join(["authorization", "content-type", *stainless])
        async with httpx.AsyncClient() as http:
            answer = await http.options(
                f"{client.base_url}chat/completions",
                headers={
                    "Origin": origin,
                    "Access-Control-Request-Method": "POST",
                    "Access-Control-Request-Headers": asked,
                },
            )
        assert answer.status_code == 200, answer.text
