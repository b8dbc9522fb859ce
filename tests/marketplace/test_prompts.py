"""Words that other tasks leave, in what a model is asked."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.model_catalogue import RESULT_FILE, ModelType
from neurogrid_marketplace.model_requests import (
    PROMPT_CHARS_MAX,
    TEXT_CHARS_MAX,
    Message,
    ModelInput,
    request_bytes,
)
from neurogrid_marketplace.needs import PromptPart
from neurogrid_marketplace.prompts import (
    PromptUnfit,
    check_source,
    places_in,
    with_words,
    words_of,
)

PART = PromptPart("heard", "task_a", RESULT_FILE, "text", PROMPT_CHARS_MAX)


def request(**asked: Any) -> bytes:
    return request_bytes("small", ModelType.TEXT, ModelInput(**asked), {"seed": 1})


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_words_stand_where_their_name_stood_and_nothing_else_changes(
    before: str, words: str, after: str
) -> None:
    asked = request(prompt=f"{before}{{{{heard}}}}{after}", messages=(Message("user", before),))
    # What came is not looked at again, and the same request is the same file.
    hostile = words + "{{heard}} {{other}}"
    written = json.loads(with_words(asked, {"heard": hostile}))
    texts = (before, after)
    if not any("{{heard}}" in text or "{{ heard }}" in text for text in texts):
        left, right = before.replace("{{heard}}", hostile), after
        assert written["prompt"] == f"{left}{hostile}{right}"
        assert written["messages"] == [{"role": "user", "content": before}]
    assert with_words(asked, {}) == asked


def test_names_are_found_wherever_words_may_stand() -> None:
    asked = ModelInput(
        prompt="{{a}} {{ b }} {{c d}} {e} {{}}",
        messages=(Message("user", "{{f}}"),),
        negative_prompt="{{g-1}}",
        texts=("{{h_2}}",),
    )
    assert places_in(asked) == {"a", "b", "f", "g-1", "h_2"}
    words = {name: name.upper() for name in places_in(asked)}
    whole = json.loads(with_words(request_bytes("m", ModelType.TEXT, asked, {}), words))
    assert whole["prompt"] == "A B {{c d}} {e} {{}}"
    assert (whole["negative_prompt"], whole["texts"]) == ("G-1", ["H_2"])


@pytest.mark.parametrize(
    ("left", "field", "words"),
    [
        (b"plain \xc3\xa9", "", "plain \u00e9"),
        (b'{"text": "said"}', "text", "said"),
        (b'{"a": [{"b-c": 5.0}, 7]}', "a.0.b-c", "5.0"),
        (b'{"a": [{"b-c": 5}, 7]}', "a.1", "7"),
        (b'{"is": true}', "is", "true"),
    ],
)
def test_words_are_a_file_or_a_part_of_one(left: bytes, field: str, words: str) -> None:
    part = replace(PART, field=field)
    assert words_of(left, part) == words
    assert words_of(left, replace(part, chars_max=2)) == words[:2]


@pytest.mark.parametrize(
    ("left", "field", "why"),
    [
        (b"\xff", "", "no text in UTF-8"),
        (b"{", "text", "no JSON"),
        (b"[" * 5000, "text", "no JSON"),
        (b"[]", "text", "has no text"),
        (b'{"a": [1]}', "a.1", "has no a.1"),
        (b'{"a": {"b": 1}}', "a", "is an object, and no words"),
        (b'{"a": [1]}', "a", "is a list, and no words"),
        (b'{"a": null}', "a", "is nothing, and no words"),
    ],
)
def test_what_is_no_words_is_said(left: bytes, field: str, why: str) -> None:
    with pytest.raises(PromptUnfit, match=why):
        words_of(left, replace(PART, field=field))


def test_a_request_never_gets_longer_than_it_may_be() -> None:
    asked = request(prompt="{{a}}{{a}}")
    assert len(json.loads(with_words(asked, {"a": "x" * (PROMPT_CHARS_MAX // 2)}))["prompt"])
    with pytest.raises(PromptUnfit, match="more than 262144 characters"):
        with_words(asked, {"a": "x" * (PROMPT_CHARS_MAX // 2 + 1)})
    with pytest.raises(PromptUnfit, match="more than 32768 characters"):
        with_words(request(texts=("{{a}}",)), {"a": "x" * (TEXT_CHARS_MAX + 1)})


def test_what_a_model_never_leaves_is_refused_before_anything_runs() -> None:
    for kind, part in [
        (ModelType.AUDIO, PART),
        (ModelType.TEXT, PART),
        (ModelType.TEXT, replace(PART, field="usage.completion_tokens")),
        (ModelType.IMAGE, replace(PART, field="seed")),
    ]:
        check_source(kind, part)
    for kind, part, why in [
        (ModelType.IMAGE, PART, "leaves no words at text; there are image, width"),
        (ModelType.EMBEDDING, PART, "there are usage.prompt_tokens"),
        (ModelType.AUDIO, replace(PART, field=""), "leaves no words at the whole file"),
        (ModelType.TEXT, replace(PART, output="out.txt"), "leaves result.json alone"),
        (ModelType.IMAGE, replace(PART, output="image.png"), "an image is no words"),
    ]:
        with pytest.raises(InvalidValue, match=why):
            check_source(kind, part)
