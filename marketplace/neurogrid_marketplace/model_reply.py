"""A model's answer as far as two of them can be compared: its text, how likely its tokens were, and what it says it cost. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from .answer_counting import usage_of

# Of a server's own words.
_WORD_CHARS: Final = 32
_TOKEN_CHARS: Final = 256
# Tokens that write none of a text: what ends it, the marks around thoughts, the form around a tool's name and arguments.
_END: Final = 2
_MARKS: Final = 16
_MARKS_OF_CALL: Final = 48


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
        unseen_tokens: that may have been written beside the text, at most.
    """

    text: str = ""
    finish: str = ""
    tokens: tuple[Token, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    unseen_tokens: int = _END


class ReplyReader:
    """Takes the events of a stream, or the one object of a whole answer; holds what a reply has, and no more.

    Args:
        stop_bytes: of the longest sequence that ends it, and is cut off.
        bytes_max, tokens_max: of what is held.

    Attributes:
        is_whole: whether it holds all that came.
    """

    def __init__(
        self, stop_bytes: int = 0, *, bytes_max: int = 256 * 1024, tokens_max: int = 16_384
    ) -> None:
        self.is_whole = True
        self._stop_bytes = stop_bytes
        self._left_bytes, self._left_tokens = bytes_max, tokens_max
        self._thoughts: list[str] = []
        self._words: list[str] = []
        self._calls: list[str] = []
        self._called: set[int] = set()
        self._tokens: list[Token] = []
        self._finish = ""
        self._read = self._written = 0

    def feed(self, value: Mapping[str, Any]) -> None:
        """The next one."""
        usage = usage_of(value)
        self._read = max(self._read, usage.input_tokens + usage.cached_input_tokens)
        self._written = max(self._written, usage.output_tokens)
        choice = _first(value)
        said = {**choice, **_map(choice.get("delta")), **_map(choice.get("message"))}
        self._keep(self._thoughts, _text(said.get("reasoning_content") or said.get("reasoning")))
        for name in ("text", "content", "refusal"):
            self._keep(self._words, _text(said.get(name)))
        calls = said.get("tool_calls")
        self._keep(self._calls, _calls(calls))
        self._called.update(_numbers(calls))
        tokens = _tokens(choice.get("logprobs"))
        self._left_tokens -= len(tokens)
        if self._left_tokens < 0:
            self.is_whole = False
        if self.is_whole:
            self._tokens += tokens
        self._finish = _text(choice.get("finish_reason"))[:_WORD_CHARS] or self._finish

    def reply(self) -> Reply:
        """What has come."""
        text = "".join((*self._thoughts, *self._words, *self._calls))
        unseen = _END + self._stop_bytes + (_MARKS if self._thoughts else 0)
        unseen += _MARKS_OF_CALL * len(self._called)
        return Reply(text, self._finish, tuple(self._tokens), self._read, self._written, unseen)

    def _keep(self, where: list[str], text: str) -> None:
        self._left_bytes -= len(text.encode("utf-8", "surrogatepass"))
        if self._left_bytes < 0:
            self.is_whole = False
        if self.is_whole and text:
            where.append(text)


def reply_of(values: Iterable[Mapping[str, Any]]) -> Reply:
    """Out of all of an answer."""
    reader = ReplyReader()
    for value in values:
        reader.feed(value)
    return reader.reply()


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


def _numbers(calls: Any) -> Iterable[int]:
    """Which calls of tools they are pieces of."""
    for place, call in enumerate(calls if isinstance(calls, list) else []):
        number = _map(call).get("index")
        yield number if isinstance(number, int) else place


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
        Token(text[:_TOKEN_CHARS], float(chance))
        for text, chance in pairs
        if isinstance(text, str) and isinstance(chance, int | float) and isfinite(chance)
    ]


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
