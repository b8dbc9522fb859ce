"""How a stream of a model's server goes: that it goes on, that it stays within what was asked for, and whether it has ended. Pure.

A server is a stranger's. One that talks for ever without saying anything, or writes for ever, is broken like one that is silent.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from neurogrid_marketplace.answer_counting import has_text
from neurogrid_marketplace.model_catalogue import Model

from .requests import Request
from .server_answers import NoAnswer, Silent, is_last
from .worst_case import most_units

# A server may cut a text finer than into tokens, but not much; and what a chat begins with is an event, too.
_EVENTS_OF_TOKEN: Final = 4
_MORE_EVENTS: Final = 64
# As many texts as there may be answers (`n`), of as many prompts.
_TEXTS_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a stream may bring nothing of an answer, whatever else it brings.

    Attributes:
        first_s: before its first text; between_s: from one text to the next.
    """

    first_s: float
    between_s: float


class Course:
    """Of one stream.

    Args:
        texts_max: how many events may have text; None: that is not known.
        now_s: a clock's, in seconds, as all other times here.
    """

    def __init__(self, patience: Patience, texts_max: int | None, now_s: float) -> None:
        self._patience = patience
        self._texts_max = texts_max
        self._since_s = now_s
        self._texts = 0
        self._open: set[int] = set()
        self._ended: set[int] = set()

    @property
    def has_ended(self) -> bool:
        """Whether every text that has begun has said how it ended."""
        return bool(self._ended) and not self._open

    @property
    def begins_until_s(self) -> float | None:
        """When its first text is too late; None once it has come."""
        return None if self._texts else self._since_s + self._patience.first_s

    def take(self, value: Mapping[str, Any], now_s: float) -> None:
        """The next event.

        Raises:
            NoAnswer: it is none, or has more than was asked for.
        """
        for number, has_ended in _texts(value):
            if has_ended:
                self._open.discard(number)
                self._ended.add(number)
            elif number not in self._ended:
                self._open.add(number)
        if has_text(value):
            self._texts += 1
            self._since_s = now_s
            if self._texts_max is not None and self._texts > self._texts_max:
                raise NoAnswer("it wrote more than was asked for")

    def look(self, now_s: float) -> None:
        """See whether it goes on.

        Raises:
            NoAnswer: nothing of an answer has come for too long; `Silent`: nothing at all.
        """
        limit_s = self._patience.between_s if self._texts else self._patience.first_s
        if now_s >= self._since_s + limit_s:
            kind = NoAnswer if self._texts else Silent
            raise kind(f"nothing of an answer came for {limit_s:g} s")

    def paused(self, for_s: float) -> None:
        """Its client took so long for what there was: that is not the server's doing."""
        self._since_s += for_s


def texts_max_of(request: Request, model: Model) -> int | None:
    """How many events of an answer may have text; None: that is not known."""
    most = most_units(request, model)
    return None if most is None else _EVENTS_OF_TOKEN * most.output_tokens + _MORE_EVENTS


def split_end(value: Mapping[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """An event as its text, which does not end yet, and its end, which has no text; None for what it has not.

    So all of an answer's text has reached its client before the end says what it cost.
    """
    if not is_last(value):
        return dict(value), None
    choices = value.get("choices")
    if choices is None:
        # Of a transcript, all of whose text was said before.
        return None, dict(value)
    end = {**value, "choices": [_without_text(each) for each in choices]}
    if not has_text(value):
        return None, end
    return {**value, "choices": [{**each, "finish_reason": None} for each in choices]}, end


def _without_text(choice: Mapping[str, Any]) -> dict[str, Any]:
    silent: dict[str, Any] = {"delta": {}} if "delta" in choice else {"text": ""}
    return {**choice, **silent, "logprobs": None}


def _texts(value: Mapping[str, Any]) -> Iterator[tuple[int, bool]]:
    """Of which texts an event is, by their numbers, and whether each has ended with it."""
    choices = value.get("choices")
    if choices is None:
        if isinstance(value.get("type"), str):
            yield 0, is_last(value)
        return
    if not isinstance(choices, list) or not all(isinstance(each, dict) for each in choices):
        raise NoAnswer("its answer has no choices that are any")
    for each in choices:
        number = each.get("index", 0)
        if not isinstance(number, int) or not 0 <= number < _TEXTS_MAX:
            raise NoAnswer("its answer has choices without a number")
        yield number, bool(each.get("finish_reason"))
