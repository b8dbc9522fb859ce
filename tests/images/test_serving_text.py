"""What all servers of text models share: it says what the model says, to whom it belongs, for as long as somebody listens."""

from __future__ import annotations

import asyncio
import json
import math
import time
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.serving.batch import Batch
from models.serving.bodies import encoded, read_json
from models.serving.errors import Refused
from models.serving.sampling import Array, Sampling, chances, choose, weighed
from models.serving.text_requests import (
    ChatAsked,
    CompletionAsked,
    chat_wanted,
    completion_wanted,
    tokens_of,
)
from models.serving.texts import Piece, Wanted
from models.serving.writing import Writing
from models.text.byte_pairs import BytePairs
from models.text.generate import WEIGHTS, answer
from models.text.serve import Bard
from models.text.transformer import load

_MODEL, _MERGES = load(WEIGHTS, 4)
_ALONE, _ = load(WEIGHTS)
_PAIRS = BytePairs(_MERGES)
_BARD = Bard(_MODEL, _PAIRS)


def test_texts_that_are_read_together_are_read_as_alone() -> None:
    texts = [_PAIRS.encode(text) for text in (b"To be", b"HAMLET.\nWords, words, words.", b"O")]
    for place, text in enumerate(texts):
        _MODEL.forget(place)
        _MODEL.read(text, place)
    for _ in range(3):
        together = _MODEL.step({0: 300, 2: 301})
        for place, token in ((0, 300), (2, 301)):
            texts[place] = [*texts[place], token]
            _ALONE.forget()
            assert together[place] == pytest.approx(_ALONE.read(texts[place]), abs=2e-6)
    with pytest.raises(ValueError, match="room"):
        _MODEL.step({})


@given(
    st.text(alphabet="abcü猫", max_size=30),
    st.lists(st.text(alphabet="abcü猫", min_size=1, max_size=4), max_size=3),
    st.lists(st.integers(0, 90), max_size=10),
)
def test_what_is_said_is_the_text_before_its_first_stop(
    text: str, stops: list[str], cuts: list[int]
) -> None:
    data = text.encode()
    writing, said = Writing(stops), ""
    for begin, end in pairwise([0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]):
        more = writing.add(data[begin:end])
        assert "\ufffd" not in more
        said += more
    said += writing.add(b"", last=True)
    first = min((place for stop in stops if (place := text.find(stop)) >= 0), default=None)
    assert said == text[:first]
    assert writing.stopped == (first is not None)


def test_what_can_not_fit_is_refused_before_it_costs_anything() -> None:
    began_s = time.process_time()
    # One word, and words that are all different: both once took hours, and the latter stayed in memory.
    for text in ("the" * 300_000, " ".join(map(str, range(100_000)))):
        for asked in ({"prompt": text}, {"prompt": [text]}):
            with pytest.raises(Refused) as caught:
                completion_wanted(_asked_of(asked), _BARD)
            assert caught.value.code == "context_length_exceeded"
        with pytest.raises(Refused):
            tokens_of(text, _BARD, "prompt")
    pairs = BytePairs(_MERGES)
    assert len(pairs.encode(b"the" * 20_000)) > 1000
    for number in range(50_000):
        pairs.encode(str(number).encode())
    assert pairs.remembered <= 10_000
    assert time.process_time() - began_s < 20


def test_chances_are_of_the_model_itself_and_penalties_of_what_is_chosen() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05]))
    chosen, likeliest = chances(logits, 2, 2)
    assert math.exp(chosen.logprob) == pytest.approx(0.15)
    assert [(each.token, round(math.exp(each.logprob), 3)) for each in likeliest] == [
        (0, 0.5),
        (1, 0.3),
    ]
    assert chances(logits, 3, 0)[1] == []
    how = Sampling(0, 1, frequency_penalty=0.5, presence_penalty=1, bias={3: 100})
    changed = weighed(logits, how, {0: 2})
    assert changed - logits == pytest.approx([-2, 0, 0, 100])
    assert weighed(logits, Sampling(0, 1), {0: 2}) is logits
    repeated = weighed(
        np.array([2.0, -2.0, 2.0]), Sampling(0, 1, repetition_penalty=2), {0: 1, 1: 3}
    )
    assert repeated.tolist() == [1, -4, 2]


def test_only_the_likeliest_are_drawn_from() -> None:
    logits = np.log(np.array([0.1, 0.4, 0.3, 0.2]))
    random = np.random.default_rng(1)

    def drawn(how: Sampling) -> set[int]:
        return {choose(logits, how, random) for _ in range(200)}

    assert drawn(Sampling(1, 1)) == {0, 1, 2, 3}
    assert drawn(Sampling(1, 1, top_k=2)) == {1, 2}
    assert drawn(Sampling(1, 1, min_p=0.5)) == {1, 2, 3}
    assert drawn(Sampling(1, 1, top_k=1)) == {1}


def _told(**fields: Any) -> ChatAsked:
    return read_json(encoded({"messages": [{"role": "user", "content": "?"}], **fields}), ChatAsked)


def _asked(**fields: Any) -> CompletionAsked:
    return read_json(encoded({"prompt": "To be", **fields}), CompletionAsked)


def _asked_of(fields: dict[str, Any]) -> CompletionAsked:
    """Without the bound of a body."""
    return msgspec.convert(fields, CompletionAsked)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "1"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content",
        ),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 17}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"stop": [""]}, "stop[0]"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"logit_bias": {"word": 1}}, "logit_bias"),
        ({"logit_bias": {"5000": 1}}, "logit_bias"),
        ({"tools": [{}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        (
            {"response_format": {"type": "json_object"}, "max_tokens": 1},
            "max_completion_tokens",
        ),
        ({"top_k": -2}, "top_k"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"store": True}, "store"),
        ({"colour": 1}, "colour"),
        ({"messages": [{"role": "user", "content": "word " * 300}]}, "messages"),
    ],
)
def test_what_can_not_be_done_is_refused_with_its_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as caught:
        chat_wanted(_told(**fields), _BARD)
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, [2]]}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": [1024]}, "prompt"),
        ({"prompt": ["a"] * 9, "n": 2}, "n"),
        ({"echo": True}, "echo"),
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"logprobs": 6}, "logprobs"),
        ({"prompt": "word " * 300}, "prompt"),
    ],
)
def test_so_is_what_a_text_can_not_be(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as caught:
        completion_wanted(_asked(**fields), _BARD)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_each_text_of_a_request_has_a_seed_of_its_own() -> None:
    wanted = completion_wanted(_asked(prompt=["A", [66]], n=2, seed=-1), _BARD)
    assert [each.prompt for each in wanted] == [(65,), (65,), (66,), (66,)]
    assert [each.seed for each in wanted] == [2**64 - 1, 0, 2**64 - 1, 0]
    assert {each.tokens_max for each in wanted} == {16}
    (told,) = chat_wanted(_told(), _BARD)
    assert (told.tokens_max, told.stops) == (256 - len(told.prompt), ("\n\n",))


class _Bad(Bard):
    """Fails where it reads a certain token."""

    def begin(self, place: int, tokens: Any) -> Array:
        if list(tokens) == [5]:
            raise RuntimeError("for the test")
        return super().begin(place, tokens)


async def _read(
    batch: Batch, wanted: list[Wanted], *, until: int | None = None, limit_s: float = 60
) -> list[Piece]:
    made: list[Piece] = []
    async with batch.asked(wanted, limit_s) as order:
        async for pieces in order.pieces(len(wanted)):
            made += [piece for _, piece in pieces]
            if until is not None and len(made) >= until:
                break
    return made


def _in_a_batch(model: Bard, story: Any, waiting_max: int = 8) -> None:
    async def run() -> None:
        batch = Batch(model, waiting_max)
        running = asyncio.create_task(batch.run())
        try:
            await story(batch)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())


def test_many_at_once_write_what_each_would_alone() -> None:
    # More than there are places for, some longer than the model sees at once.
    asked = [
        ("To be", 30, 0.0),
        ("KING.\n", 300, 0.9),
        ("", 20, 1.0),
        ("O", 40, 0.7),
        ("My", 9, 1.0),
    ]

    async def story(batch: Batch) -> None:
        wanted = [
            completion_wanted(_asked(prompt=text, max_tokens=most, temperature=warm, seed=7), _BARD)
            for text, most, warm in asked
        ]
        texts = await asyncio.gather(*(_read(batch, each) for each in wanted))
        for (text, most, warm), pieces in zip(asked, texts, strict=True):
            parameters = {
                "max_tokens": most,
                "temperature": warm,
                "top_p": 1.0,
                "stop_sequences": [],
                "seed": 7,
            }
            alone = answer(_ALONE, _PAIRS, {"prompt": text, "parameters": parameters})
            assert "".join(each.text for each in pieces) == alone["text"]
            assert pieces[-1].finish == alone["finish_reason"]
            assert pieces[-1].written == alone["usage"]["completion_tokens"]
        assert (batch.running, batch.waiting) == (0, 0)

    _in_a_batch(_BARD, story)


def test_json_is_whole_in_as_many_tokens_as_there_are() -> None:
    async def story(batch: Batch) -> None:
        for most, warm in ((2, 1.0), (3, 0.0), (9, 1.0), (40, 0.0), (40, 1.0), (120, 1.0)):
            (wanted,) = chat_wanted(
                _told(
                    response_format={"type": "json_object"},
                    max_tokens=most,
                    temperature=warm,
                    seed=most,
                    logit_bias={str(_PAIRS.encode(b'"')[0]): 4},
                ),
                _BARD,
            )
            pieces = await _read(batch, [wanted])
            said = json.loads("".join(each.text for each in pieces))
            assert isinstance(said, dict)
            assert (pieces[-1].finish, pieces[-1].written <= most) == ("stop", True)

    _in_a_batch(_BARD, story)


def test_nothing_is_computed_for_who_has_left_and_too_many_are_refused() -> None:
    async def story(batch: Batch) -> None:
        (long,) = completion_wanted(_asked(max_tokens=8192), _BARD)
        async with batch.asked([long] * 4, 60), batch.asked([long], 60):
            with pytest.raises(Refused) as caught:
                await _read(batch, [long, long])
            assert (caught.value.status, caught.value.retry_after_s) == (503, 1)
        # Of those, nobody is there any more, so this one has a place after a step.
        assert len(await _read(batch, [long], until=3)) < 20
        (short,) = completion_wanted(_asked(max_tokens=2), _BARD)
        assert (await _read(batch, [short]))[-1].finish == "length"
        assert batch.running == 0
        with pytest.raises(Refused, match=r"Not done within 0\.01 s"):
            await _read(batch, [long], limit_s=0.01)

    _in_a_batch(_BARD, story, waiting_max=2)


def test_a_model_that_fails_fails_who_is_at_it_and_goes_on() -> None:
    async def story(batch: Batch) -> None:
        (bad,) = completion_wanted(_asked(prompt=[5]), _BARD)
        with pytest.raises(Refused) as caught:
            await _read(batch, [bad])
        assert caught.value.status == 500
        (good,) = completion_wanted(_asked(max_tokens=3), _BARD)
        assert (await _read(batch, [good]))[-1].written == 3

    _in_a_batch(_Bad(_MODEL, _PAIRS), story)
