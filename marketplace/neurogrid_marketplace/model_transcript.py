"""A transcript, as far as two of them can be compared: its words, and how likely its pieces were. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from .answer_counting import usage_of

# What is compared takes their product.
WORDS_MAX: Final = 2000
_TEXT_BYTES_MAX: Final = 64 * 1024
_PIECES_MAX: Final = 1000
_WORD: Final = re.compile(r"\w+(?:['\u2019]\w+)*")
_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class Heard:
    """A piece of speech, and the mean logarithm of how likely its model found its tokens."""

    words: tuple[str, ...]
    logprob: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was heard.

    Attributes:
        words: in small letters, without signs.
        pieces: as far as their likelihood was told.
        audio_ms: how much its server says it has heard.
    """

    words: tuple[str, ...] = ()
    pieces: tuple[Heard, ...] = ()
    audio_ms: int = 0


class TranscriptReader:
    """Takes the events of a stream, or the one object of a whole answer.

    Attributes:
        is_whole: whether it holds all that came, and that is a transcript.
    """

    def __init__(self) -> None:
        self.is_whole = False
        self._words: tuple[str, ...] = ()
        self._pieces: tuple[Heard, ...] = ()
        self._audio_ms = 0

    def feed(self, value: Mapping[str, Any]) -> None:
        """The next one. Of a stream the last has all of its text."""
        self._audio_ms = max(self._audio_ms, usage_of(value).audio_ms, _ms(value.get("duration")))
        text = value.get("text")
        if not isinstance(text, str):
            return
        words = _words(text)
        self.is_whole = len(text) <= _TEXT_BYTES_MAX and len(words) <= WORDS_MAX
        if self.is_whole:
            self._words, self._pieces = words, _pieces(value.get("segments"))

    def reply(self) -> Transcript:
        """What has come."""
        return Transcript(self._words, self._pieces, self._audio_ms)


def word_errors(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words have to be put in, left out or changed to make one text of the other (Levenshtein)."""
    row = list(range(len(other) + 1))
    for count, word in enumerate(one, 1):
        before, row[0] = row[0], count
        for place, its_like in enumerate(other, 1):
            changed = before + (word != its_like)
            before = row[place]
            row[place] = min(before + 1, row[place - 1] + 1, changed)
    return row[-1]


def drift_nats(one: Transcript, other: Transcript) -> tuple[int, float]:
    """In how many words of the pieces that are the same, from the beginning, and by how much their likelihood differs on average."""
    words, total = 0, 0.0
    for ours, theirs in zip(one.pieces, other.pieces, strict=False):
        if ours.words != theirs.words:
            break
        words += len(ours.words)
        total += len(ours.words) * abs(ours.logprob - theirs.logprob)
    return words, total / words if words else 0.0


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text[:_TEXT_BYTES_MAX].lower()))


def _pieces(value: object) -> tuple[Heard, ...]:
    found = []
    for each in value[:_PIECES_MAX] if isinstance(value, list) else []:
        said = each if isinstance(each, dict) else {}
        text, logprob = said.get("text"), said.get("avg_logprob")
        if not isinstance(text, str) or not isinstance(logprob, int | float):
            break
        if not isfinite(logprob):
            break
        found.append(Heard(_words(text), float(logprob)))
    return tuple(found)


def _ms(value: object) -> int:
    if not isinstance(value, int | float) or not 0 < value < 1e9:
        return 0
    return int(-(-value * _MS // 1))
