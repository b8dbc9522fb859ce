"""A model's answer as far as two of them can be compared: its text, how likely its tokens were, and what it says it cost. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from .answer_counting import usage_of


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a text, and the natural logarithm of how likely its model found it."""

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Reply:
    """The first text of an answer.

    Attributes:
        text: all that it wrote: thoughts, words, and calls of tools, one after the other.
        finish: why it ended, in the server's word; "" where it did not say.
        tokens: as far as their likelihood was told.
        input_tokens, output_tokens: what its server says it has read and written.
    """

    text: str = ""
    finish: str = ""
    tokens: tuple[Token, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0


def reply_of(values: Iterable[Mapping[str, Any]]) -> Reply:
    """Out of the events of a stream, or the one object of a whole answer."""
    thoughts, words, calls = [], [], []
    tokens: list[Token] = []
    finish, read, written = "", 0, 0
    for value in values:
        usage = usage_of(value)
        read = max(read, usage.input_tokens + usage.cached_input_tokens)
        written = max(written, usage.output_tokens)
        choice = _first(value)
        said = {**choice, **_map(choice.get("delta")), **_map(choice.get("message"))}
        thoughts.append(_text(said.get("reasoning_content")) or _text(said.get("reasoning")))
        words.append(
            _text(said.get("text")) + _text(said.get("content")) + _text(said.get("refusal"))
        )
        calls.append(_calls(said.get("tool_calls")))
        tokens += _tokens(choice.get("logprobs"))
        finish = _text(choice.get("finish_reason")) or finish
    text = "".join((*thoughts, *words, *calls))
    return Reply(text, finish, tuple(tokens), read, written)


def _first(value: Mapping[str, Any]) -> dict[str, Any]:
    choices = value.get("choices")
    for number, choice in enumerate(choices if isinstance(choices, list) else []):
        if isinstance(choice, dict) and choice.get("index", number) == 0:
            return choice
    return {}


def _calls(value: Any) -> str:
    """Names and arguments; ids are drawn anew each time."""
    found = []
    for call in value if isinstance(value, list) else []:
        function = _map(_map(call).get("function"))
        found.append(_text(function.get("name")) + _text(function.get("arguments")))
    return "".join(found)


def _tokens(value: Any) -> list[Token]:
    told = _map(value)
    content = told.get("content")
    if isinstance(content, list):
        pairs = [(_map(each).get("token"), _map(each).get("logprob")) for each in content]
    else:
        texts, chances = told.get("tokens"), told.get("token_logprobs")
        if not isinstance(texts, list) or not isinstance(chances, list):
            return []
        pairs = list(zip(texts, chances, strict=False))
    return [
        Token(text, float(chance))
        for text, chance in pairs
        if isinstance(text, str) and isinstance(chance, int | float) and isfinite(chance)
    ]


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
