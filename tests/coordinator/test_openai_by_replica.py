"""What a server's entry says that it can do is passed on as it came; the rest is refused by name before anybody is asked."""

import json
from typing import Any

import msgspec
import pytest

from neurogrid_coordinator.openai.by_replica import for_server, work_of
from neurogrid_coordinator.openai.fields import NEEDS, NOBODYS, Unsupported
from neurogrid_coordinator.openai.requests import ChatRequest, CompletionRequest, ImageRequest
from neurogrid_marketplace.first_byte import Work, WorkKind
from neurogrid_marketplace.model_catalogue import Model, parse_catalogue
from neurogrid_marketplace.model_server import FEATURES

# What is no field's that the table has: looked at by itself (`by_replica`), or no field at all.
_OWN = {"json_schema", "reproducible", "seed", "stream", "tokenize", "usage_in_stream", "vision"}
_TURN = [{"role": "user", "content": "Hello"}]
_CHAT: dict[str, tuple[str, Any]] = {
    "frequency_penalty": ("penalties", 0.5),
    "presence_penalty": ("penalties", -1.5),
    "logit_bias": ("logit_bias", {"50256": -100}),
    "logprobs": ("logprobs", True),
    "top_logprobs": ("logprobs", 3),
    "n": ("n", 3),
    "min_p": ("min_p", 0.1),
    "repetition_penalty": ("repetition_penalty", 1.1),
    "top_k": ("top_k", 40),
    "tools": ("tools", [{"type": "function", "function": {"name": "weather"}}]),
    "tool_choice": ("tools", "required"),
    "reasoning_effort": ("reasoning", "high"),
    "response_format": ("json", {"type": "json_object"}),
}
_SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}


def served(*features: str) -> Model:
    (model,) = parse_catalogue(
        f"""
[[model]]
id = "talker"
name = "Talker"
type = "text"
category = "chat"
image = "neurogrid/talker:1"
tasks = false
needs = {{ memory_gb = 1 }}
[model.server]
name = "makers/talker"
routes = ["/v1/chat/completions", "/v1/completions"]
features = {json.dumps(features)}
[model.unit_price]
output_per_million = "0.10"
""",
        "tests",
    ).models
    return model


def chat(**fields: Any) -> ChatRequest:
    return msgspec.convert({"model": "talker", "messages": _TURN, **fields}, ChatRequest)


def test_every_word_that_a_field_needs_is_one_of_the_catalogues_or_nobodys() -> None:
    words = {needs.feature for table in NEEDS.values() for needs in table.values()}
    assert words - NOBODYS == FEATURES - _OWN
    assert words >= NOBODYS
    assert not NOBODYS & FEATURES


@pytest.mark.parametrize("name", _CHAT)
def test_a_field_goes_to_a_server_that_can_do_it_and_is_refused_by_name_where_it_can_not(
    name: str,
) -> None:
    feature, value = _CHAT[name]
    body = json.loads(for_server(chat(**{name: value}), served(feature)))
    assert body == {"model": "makers/talker", "messages": _TURN, name: value}
    with pytest.raises(Unsupported) as caught:
        for_server(chat(**{name: value}), served(*(FEATURES - {feature, "json_schema"})))
    assert caught.value.details["field"] == name


def test_json_of_a_form_is_an_ability_of_its_own() -> None:
    wanted = chat(response_format=_SCHEMA)
    assert json.loads(for_server(wanted, served("json_schema")))["response_format"] == _SCHEMA
    with pytest.raises(Unsupported):
        for_server(wanted, served("json"))


def test_a_server_that_does_not_know_a_field_does_not_see_it_either() -> None:
    asks_for_nothing = chat(
        n=1, top_k=-1, min_p=0, tools=[], logit_bias={}, frequency_penalty=0, user="me"
    )
    assert set(json.loads(for_server(asks_for_nothing, served()))) == {"model", "messages"}


def test_several_prompts_and_their_echo_are_passed_on() -> None:
    wanted = msgspec.convert(
        {"model": "talker", "prompt": ["one", "two"], "echo": True, "n": 2}, CompletionRequest
    )
    assert json.loads(for_server(wanted, served("echo", "n"))) == {
        "model": "makers/talker",
        "prompt": ["one", "two"],
        "echo": True,
        "n": 2,
    }


def test_what_a_server_does_before_it_says_anything_is_read_in_the_request() -> None:
    model = served("stream")
    assert work_of(chat(stream=True), model, 70) == Work(WorkKind.BEGIN, 70)
    assert work_of(chat(max_tokens=9), model, 70) == Work(WorkKind.WRITE, 9)
    assert work_of(chat(), model, 70) == Work(WorkKind.WRITE, 0), "nobody knows how much it writes"
    picture = {"model": "talker", "prompt": "Hills", "size": "64x32", "n": 2}
    for more, size in (({}, 4_096), ({"steps": 10}, 40_960), ({"size": "auto"}, 0)):
        asked = msgspec.convert(picture | more, ImageRequest)
        assert work_of(asked, model, 70) == Work(WorkKind.WHOLE, size)
