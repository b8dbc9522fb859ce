"""What a model's answer can have cost at most, by the text that was asked and delivered, whatever its server counts. Pure.

A token stands for at least a byte of text, in every vocabulary that is used. Beside the text there are tokens that write
none: an end, marks of a template, a stop sequence that was cut off.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from .units import Units

# Of each text: its end, and the marks that templates put around thoughts and channels.
_MARKS: Final = 16
# Of each call of a tool: the JSON, or other form, that its name and arguments were taken out of.
_MARKS_OF_CALL: Final = 48
# What a template writes beside the messages themselves: who the model is, which day, how tools are called.
_TEMPLATE: Final = 1024
_TEXTS: Final = ("content", "reasoning_content", "reasoning", "refusal", "text")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request lets its answer cost.

    Attributes:
        body_bytes: of the request, as the server gets it.
        is_text: whether all that the model reads is text.
        stop_bytes: of the longest stop sequence: it is cut off where it comes.
    """

    body_bytes: int
    is_text: bool = True
    stop_bytes: int = 0


class TextBound:
    """Of one answer, as its text comes.

    Attributes:
        text_bytes: that have come, of all its texts.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._texts: set[int] = set()
        self._calls: set[tuple[int, int]] = set()
        self.text_bytes = 0

    def feed(self, value: Mapping[str, Any]) -> None:
        """An event of a stream, or a whole answer."""
        choices = value.get("choices")
        for number, choice in enumerate(choices if isinstance(choices, list) else []):
            if not isinstance(choice, dict):
                continue
            index = choice.get("index")
            place = index if isinstance(index, int) else number
            self._texts.add(place)
            for said in (choice, choice.get("delta"), choice.get("message")):
                if isinstance(said, dict):
                    self._said(said, place)

    def most(self, units: Units) -> Units:
        """As much of these as the texts allow: both kinds of tokens may be less than the server says."""
        written = self.text_bytes
        written += (_MARKS + self._asked.stop_bytes) * max(1, len(self._texts))
        written += _MARKS_OF_CALL * len(self._calls)
        units = replace(units, output_tokens=min(units.output_tokens, written))
        if not self._asked.is_text:
            return units
        read = self._asked.body_bytes + _TEMPLATE
        anew = min(units.input_tokens, read)
        cached = min(units.cached_input_tokens, read - anew)
        return replace(units, input_tokens=anew, cached_input_tokens=cached)

    def _said(self, said: Mapping[str, Any], place: int) -> None:
        self.text_bytes += sum(_bytes(said.get(name)) for name in _TEXTS)
        calls = said.get("tool_calls")
        for number, call in enumerate(calls if isinstance(calls, list) else []):
            if not isinstance(call, dict):
                continue
            index = call.get("index")
            self._calls.add((place, index if isinstance(index, int) else number))
            function = call.get("function")
            if isinstance(function, dict):
                self.text_bytes += _bytes(function.get("name")) + _bytes(function.get("arguments"))


def _bytes(text: object) -> int:
    return len(text.encode("utf-8", "surrogatepass")) if isinstance(text, str) else 0
