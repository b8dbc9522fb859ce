"""What an answer of a model's server comes to, read out of it as it passes. Pure.

The server's own `usage` counts where it has said it: in a JSON answer, or in one of the last events of a stream. A
stream that breaks off before that counts a token for each event that had text in it.
"""

from typing import Any, Final

import msgspec

from .json_outline import JsonOutline
from .units import MAX_UNITS, NOTHING_SERVED, Units

_EVENT_BYTES_MAX: Final = 256 * 1024
_DATA: Final = b"data:"
_ANSWERED: Final = Units(requests=1)
# Of a piece of a stream, what has text: of a chat, of a completion, of a transcript.
_TEXTS: Final = ("content", "reasoning_content", "reasoning", "refusal", "tool_calls", "text")


class NoCount:
    """An answer of which nothing can be read: it is a request."""

    units = _ANSWERED

    def feed(self, data: bytes) -> None:
        """The next piece."""

    def take(self, event: Any) -> None:
        """The next event of a stream, whose JSON was read already."""

    def end(self) -> None:
        """It is complete."""


class WholeCount:
    """A JSON answer. It comes to something once it is complete."""

    def __init__(self) -> None:
        self.units = _ANSWERED
        self._outline = JsonOutline()

    def feed(self, data: bytes) -> None:
        """The next piece."""
        self._outline.feed(data)

    def take(self, event: Any) -> None:
        """An event of a stream, which its answer does not say that it is: it counts nothing."""

    def end(self) -> None:
        """It is complete."""
        value = self._outline.value()
        usage = usage_of(value)
        if not usage.audio_ms:
            # A transcript of a server that says no usage.
            usage += Units(audio_ms=_number(_map(value).get("duration"), 1000))
        self.units = _ANSWERED + usage + Units(images=_images(value))


class EventCount:
    """A stream of events.

    Attributes:
        units: what it has come to so far.
    """

    def __init__(self) -> None:
        self.units = _ANSWERED
        self._line = bytearray()
        self._is_long = False
        self._has_usage = False

    def feed(self, data: bytes) -> None:
        """The next piece."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            if not self._line and len(line) <= _EVENT_BYTES_MAX:
                self._event(line.rstrip(b"\r"))
                continue
            self._take(line)
            self._event(bytes(self._line).rstrip(b"\r"))
            self._line.clear()
            self._is_long = False
        if rest:
            self._take(rest)

    def end(self) -> None:
        """It is complete."""

    def _take(self, data: bytes) -> None:
        room = _EVENT_BYTES_MAX - len(self._line)
        self._line += data[:room]
        self._is_long = self._is_long or len(data) > room

    def _event(self, line: bytes) -> None:
        if not line.startswith(_DATA):
            return
        if self._is_long:
            self._count_text()
            return
        try:
            value = msgspec.json.decode(line[len(_DATA) :])
        except (msgspec.DecodeError, RecursionError):
            return  # "[DONE]", or nothing of ours
        self.take(value)

    def take(self, event: Any) -> None:
        """The next event, whose JSON was read already."""
        usage = usage_of(event)
        if usage is not NOTHING_SERVED and usage != NOTHING_SERVED:
            self.units = _ANSWERED + usage
            self._has_usage = True
        elif not self._has_usage and has_text(event):
            self._count_text()

    def _count_text(self) -> None:
        if not self._has_usage:
            # Without usage a stream has come to a request and its tokens.
            self.units = Units(output_tokens=self.units.output_tokens + 1, requests=1)


Count = NoCount | WholeCount | EventCount


def count_of(content_type: str, content_encoding: str) -> Count:
    """How an answer with these headers is counted."""
    kind = content_type.partition(";")[0].strip().lower()
    if content_encoding.strip().lower() not in ("", "identity"):
        return NoCount()
    if kind == "text/event-stream":
        return EventCount()
    return WholeCount() if kind == "application/json" else NoCount()


def usage_of(value: Any) -> Units:
    """What an answer, or an event, says in ``usage``; nothing where it says nothing that can be read."""
    usage = _map(value).get("usage")
    if not isinstance(usage, dict):
        return NOTHING_SERVED
    read = _number(usage.get("prompt_tokens", usage.get("input_tokens")))
    details = usage.get("prompt_tokens_details", usage.get("input_tokens_details"))
    cached = min(read, _number(_map(details).get("cached_tokens")))
    return Units(
        input_tokens=read - cached,
        cached_input_tokens=cached,
        output_tokens=_number(usage.get("completion_tokens", usage.get("output_tokens"))),
        audio_ms=_number(usage.get("seconds"), 1000),
    )


def _images(value: Any) -> int:
    data = _map(value).get("data")
    if not isinstance(data, list):
        return 0
    return sum("b64_json" in _map(item) or "url" in _map(item) for item in data)


def has_text(value: Any) -> bool:
    """Whether an event of a stream says something of the answer: a text, a call of a tool."""
    event = _map(value)
    choices = event.get("choices")
    if not isinstance(choices, list):
        # A piece of a transcript.
        return bool(event.get("delta"))
    return any(_says_something(_map(choice)) for choice in choices)


def _says_something(choice: dict[str, Any]) -> bool:
    said = choice | _map(choice.get("delta"))
    return any(said.get(name) for name in _TEXTS)


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any, times: int = 1) -> int:
    """A count of a server's, which may say anything."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return 0
    return int(-(-min(value, MAX_UNITS) * times // 1)) if value * times < MAX_UNITS else MAX_UNITS
