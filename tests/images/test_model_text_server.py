"""The text model's server in a hardened container, asked by OpenAI's own client."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from images.model_container import Served, refused, served
from models.text.byte_pairs import BytePairs
from models.text.generate import WEIGHTS, answer, prompt_of
from models.text.transformer import load
from neurogrid_coordinator.models_config import read_catalogue
from neurogrid_marketplace.model_catalogue import Model

pytestmark = pytest.mark.engine
_MODEL, _MERGES = load(WEIGHTS)
_PAIRS = BytePairs(_MERGES)
# So that texts go on as long as they may.
_NO_END = {"0": -100}


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Model:
    model = read_catalogue("", tmp_path_factory.mktemp("catalogue")).find("bard-1m")
    assert model is not None
    return model


@pytest.fixture(scope="module")
def server(entry: Model) -> Iterator[Served]:
    with served(entry, "--concurrency", "4", "--waiting-max", "1") as running:
        yield running


@pytest.fixture
def client(server: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="any", base_url=f"{server.url}/v1", max_retries=0) as made:
        yield made


def test_it_does_all_that_its_entry_says_of_it(client: openai.OpenAI, entry: Model) -> None:
    asked: dict[str, dict[str, object]] = {
        "json": {"response_format": {"type": "json_object"}},
        "logit_bias": {"logit_bias": {"65": -100}},
        "logprobs": {"logprobs": True, "top_logprobs": 1},
        "min_p": {"min_p": 0.1},
        "n": {"n": 2},
        "penalties": {"frequency_penalty": 1, "presence_penalty": -1},
        "repetition_penalty": {"repetition_penalty": 1.2},
        "seed": {"seed": 4},
        "top_k": {"top_k": 5},
    }
    assert entry.server is not None
    assert set(entry.server.features) - set(asked) == {
        "reproducible",
        "stream",
        "tokenize",
        "usage_in_stream",
    }
    for word, fields in asked.items():
        made = client.chat.completions.create(
            model="bard-1m",
            messages=[{"role": "user", "content": "Who's there?"}],
            max_tokens=30,
            extra_body=fields,
        )
        assert len(made.choices) == (2 if word == "n" else 1), word
        if word == "json":
            assert isinstance(json.loads(made.choices[0].message.content or ""), dict)
            assert made.choices[0].finish_reason == "stop"
        assert (made.choices[0].logprobs is not None) == (word == "logprobs")


def test_it_writes_what_its_program_writes_whole_and_in_pieces(client: openai.OpenAI) -> None:
    told: list[openai.types.chat.ChatCompletionMessageParam] = [
        {"role": "developer", "content": "A street."},
        {"role": "user", "content": [{"type": "text", "text": "Who's there?"}]},
    ]
    messages = [
        {"role": "system", "content": "A street."},
        {"role": "user", "content": "Who's there?"},
    ]
    parameters = {"max_tokens": 40, "temperature": 0, "top_p": 1, "stop_sequences": [], "seed": 3}
    alone = answer(_MODEL, _PAIRS, {"messages": messages, "parameters": parameters})
    prompt = len(_PAIRS.encode(prompt_of({"messages": messages})[0].encode()))
    whole = client.chat.completions.create(
        model="bard-1m",
        messages=told,
        max_tokens=40,
        temperature=0,
        seed=3,
        logprobs=True,
        top_logprobs=2,
    )
    (choice,) = whole.choices
    assert (choice.message.role, choice.message.content) == ("assistant", alone["text"])
    assert choice.finish_reason == alone["finish_reason"]
    assert whole.usage is not None
    written = alone["usage"]["completion_tokens"]
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (prompt, written)
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert len(choice.logprobs.content) == written
    for each in choice.logprobs.content:
        # The likeliest is what was taken, and the list is in order.
        assert each.top_logprobs[0].token == each.token
        assert 0 >= each.logprob >= each.top_logprobs[1].logprob
    stream = client.chat.completions.create(
        model="bard-1m",
        messages=told,
        max_completion_tokens=40,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    *pieces, last = list(stream)
    assert pieces[0].choices[0].delta.role == "assistant"
    assert "".join(each.choices[0].delta.content or "" for each in pieces) == alone["text"]
    assert [each.choices[0].finish_reason for each in pieces if each.choices[0].finish_reason] == [
        alone["finish_reason"]
    ]
    assert len(pieces) >= written, "a piece for each token"
    assert (last.choices, last.usage) == ([], whole.usage)


def test_completions_have_as_many_texts_as_are_asked_for(client: openai.OpenAI) -> None:
    made = client.completions.create(
        model="bard-1m",
        prompt=[_PAIRS.encode(b"To be"), _PAIRS.encode(b"O my")],
        n=2,
        seed=5,
        max_tokens=9,
        logprobs=1,
    )
    assert [each.index for each in made.choices] == [0, 1, 2, 3]
    assert len({each.text for each in made.choices}) == 4
    assert made.usage is not None
    assert made.usage.completion_tokens == 36
    assert made.usage.prompt_tokens == len(_PAIRS.encode(b"To be")) + len(_PAIRS.encode(b"O my"))
    told = made.choices[0].logprobs
    assert told is not None
    assert told.tokens is not None
    assert "".join(told.tokens) == made.choices[0].text
    stop = made.choices[0].text[3:6]
    ended = client.completions.create(
        model="bard-1m", prompt="To be", seed=5, max_tokens=9, stop=[stop, "never"], n=1
    )
    assert ended.choices[0].finish_reason == "stop"
    assert ended.choices[0].text == made.choices[0].text.partition(stop)[0]


def test_the_usage_so_far_is_in_each_piece_for_who_asks(server: Served) -> None:
    body = {
        "prompt": "To be",
        "max_tokens": 20,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }
    lines = httpx.post(f"{server.url}/v1/completions", json=body).text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    usages = [json.loads(line.removeprefix("data: "))["usage"] for line in lines[:-2]]
    counts = [each["completion_tokens"] for each in usages]
    assert counts == sorted(counts)
    assert usages[-1] == usages[-2]
    assert counts[-1] == 20


def test_tokens_can_be_counted_again(server: Served, client: openai.OpenAI) -> None:
    asked = {"model": "bard-1m", "prompt": "To be, or not"}
    told = httpx.post(f"{server.url}/tokenize", json=asked).json()
    tokens = _PAIRS.encode(b"To be, or not")
    assert told == {"count": len(tokens), "max_model_len": 256, "tokens": tokens}
    back = httpx.post(f"{server.url}/detokenize", json={"tokens": tokens}).json()
    assert back == {"prompt": "To be, or not"}
    (model,) = client.models.list().data
    assert model == client.models.retrieve("bard-1m")


def test_errors_are_openais(server: Served, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as long:
        client.completions.create(model="bard-1m", prompt="word " * 400)
    assert (long.value.code, long.value.param) == ("context_length_exceeded", "prompt")
    with pytest.raises(openai.NotFoundError) as other:
        client.completions.create(model="gpt-4", prompt="?")
    assert other.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError, match="There is `bard-1m`"):
        client.models.retrieve("gpt-4")
    with httpx.Client(base_url=server.url) as raw:
        answers = [
            raw.post("/v1/completions", content=b"\xff{"),
            raw.post("/v1/completions", content=b"[" * 100_000),
            raw.post("/v1/completions", json={"prompt": "?", "colour": "red"}),
            raw.post("/v1/completions", content=b" " * (5 * 1024 * 1024)),
            raw.get("/v1/completions"),
            raw.get("/v1/files"),
        ]
    assert refused(answers) == [
        (400, None, None),
        (400, "body", None),
        (400, "colour", None),
        (413, None, "request_too_large"),
        (405, None, None),
        (404, None, None),
    ]


def test_who_leaves_takes_the_work_along_and_who_comes_too_late_is_told_when(
    server: Served, client: openai.OpenAI
) -> None:
    def endless() -> openai.Stream[openai.types.Completion]:
        return client.completions.create(
            model="bard-1m", prompt="To be", max_tokens=8192, stream=True, n=4, logit_bias=_NO_END
        )

    with endless() as stream:
        next(stream)
        with pytest.raises(openai.InternalServerError) as full:
            client.completions.create(model="bard-1m", prompt="?", n=2)
        assert (full.value.status_code, full.value.code) == (503, "overloaded")
        assert full.value.response.headers["retry-after"] == "1"
        assert server.load()["running"] == 4
    server.until_idle()
    # So does who waits for a whole answer, and has no place yet.
    with endless() as stream:
        next(stream)
        impatient = client.with_options(timeout=0.3).completions
        with pytest.raises(openai.APITimeoutError):
            impatient.create(model="bard-1m", prompt="To be", max_tokens=8192, logit_bias=_NO_END)
        assert server.load()["waiting"] == 0
    server.until_idle()
    with pytest.raises(openai.APITimeoutError):
        impatient.create(model="bard-1m", prompt="To be", max_tokens=8192, logit_bias=_NO_END)
    server.until_idle()


def test_at_its_end_it_takes_nothing_new_and_writes_what_has_begun(entry: Model) -> None:
    with served(entry) as server:
        limits = server.container.attrs["HostConfig"]
        assert limits["ReadonlyRootfs"]
        client = openai.OpenAI(api_key="any", base_url=f"{server.url}/v1", max_retries=0)
        with (
            client,
            client.completions.create(
                model="bard-1m", prompt="To be", max_tokens=300, stream=True
            ) as stream,
        ):
            next(stream)
            stopping = threading.Thread(target=server.container.stop, kwargs={"timeout": 30})
            stopping.start()
            pieces = list(stream)
            assert pieces[-1].choices[0].finish_reason in ("length", "stop")
            stopping.join()
        assert server.container.wait()["StatusCode"] == 0
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{server.url}/health", timeout=2)


def test_the_entry_says_what_the_server_does(entry: Model, tmp_path: Path) -> None:
    assert entry.server is not None
    assert [str(route) for route in entry.server.routes] == [
        "/v1/chat/completions",
        "/v1/completions",
    ]
    assert entry.parameters.context_length == _MODEL.context
