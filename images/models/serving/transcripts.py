"""How a recording is to be heard, and what was said, in each of the forms that OpenAI's clients ask for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")


class Unreadable(Exception):
    """A recording that can't be heard; the message says why."""


@dataclass(frozen=True)
class Hearing:
    """How a recording is to be heard.

    Attributes:
        language: as "en"; "": found out.
        prompt: words that may occur.
        words: whether each word has its time.
    """

    language: str = ""
    prompt: str = ""
    temperature: float = 0
    words: bool = False


@dataclass(frozen=True)
class Word:
    """A word: seconds from the start."""

    word: str
    start: float
    end: float


@dataclass(frozen=True)
class Segment:
    """A piece of speech: seconds from the start, and what its model says of it."""

    start: float
    end: float
    text: str
    tokens: Sequence[int] = ()
    avg_logprob: float = 0
    compression_ratio: float = 0
    no_speech_prob: float = 0
    words: Sequence[Word] = ()


@dataclass(frozen=True)
class Transcript:
    """A recording as text.

    Attributes:
        language: as "en".
        duration_s: of the recording.
    """

    language: str
    duration_s: float
    segments: Sequence[Segment]

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(segment.text.strip() for segment in self.segments)

    @property
    def usage(self) -> dict[str, Any]:
        """What is paid for: each second that has begun."""
        return _usage(self.duration_s)


@dataclass(frozen=True)
class Listening:
    """A recording that is being heard.

    Attributes:
        language: as "en".
        duration_s: of the recording.
        segments: as they are found: the work is done while they are read.
    """

    language: str
    duration_s: float
    segments: Iterator[Segment]

    def whole(self) -> Transcript:
        """Hear it to its end."""
        return Transcript(self.language, self.duration_s, list(self.segments))


def as_delta(
    segment: Segment, duration_s: float, *, is_first: bool, is_counted: bool
) -> dict[str, Any]:
    """A segment, as an event of a stream: all of them together are the text.

    Args:
        duration_s: of the recording.
        is_counted: with what the recording counts as up to there, as vLLM's streams have it.
    """
    said = segment.text.strip()
    delta = {"type": "transcript.text.delta", "delta": said if is_first else f" {said}"}
    if not is_counted:
        return delta
    # A model may hear a segment end after its recording does.
    return {**delta, "usage": _usage(min(segment.end, duration_s))}


def as_done(answer: dict[str, Any]) -> dict[str, Any]:
    """The last event of a stream: the answer that its client would have got in one piece."""
    return {"type": "transcript.text.done", **answer}


def as_json(said: Transcript) -> dict[str, Any]:
    """The text, and what it counts as."""
    return {"text": said.text, "usage": said.usage}


def as_verbose_json(
    said: Transcript, temperature: float, granularities: Sequence[str]
) -> dict[str, Any]:
    """All that is known.

    Args:
        granularities: "segment", "word": what has times.
    """
    whole: dict[str, Any] = {
        "task": "transcribe",
        "language": said.language,
        "duration": round(said.duration_s, 2),
        "text": said.text,
    }
    if "word" in granularities:
        whole["words"] = [
            {"word": word.word.strip(), "start": round(word.start, 2), "end": round(word.end, 2)}
            for segment in said.segments
            for word in segment.words
        ]
    if "segment" in granularities:
        whole["segments"] = [
            {
                "id": number,
                "seek": 0,
                "start": round(segment.start, 2),
                "end": round(segment.end, 2),
                "text": segment.text,
                "tokens": list(segment.tokens),
                "temperature": temperature,
                "avg_logprob": round(segment.avg_logprob, 4),
                "compression_ratio": round(segment.compression_ratio, 4),
                "no_speech_prob": round(segment.no_speech_prob, 4),
            }
            for number, segment in enumerate(said.segments)
        ]
    return {**whole, "usage": said.usage}


def as_text(said: Transcript) -> str:
    """The text alone."""
    return said.text + "\n"


def as_srt(said: Transcript) -> str:
    """Subtitles, as SubRip has them."""
    return "".join(
        f"{number}\n{_times(segment, ',')}\n{_line(segment)}\n\n"
        for number, segment in enumerate(said.segments, 1)
    )


def as_vtt(said: Transcript) -> str:
    """Subtitles, as WebVTT has them."""
    cues = (f"{_times(segment, '.')}\n{_escaped(_line(segment))}\n\n" for segment in said.segments)
    return "WEBVTT\n\n" + "".join(cues)


PLAIN: dict[str, tuple[str, Callable[[Transcript], str]]] = {
    "text": ("text/plain", as_text),
    "srt": ("text/plain", as_srt),
    "vtt": ("text/vtt", as_vtt),
}


def _usage(heard_s: float) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(heard_s)}


def _line(segment: Segment) -> str:
    # An arrow or an empty line would begin another cue.
    return " ".join(segment.text.split()).replace("-->", "->")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _times(segment: Segment, point: str) -> str:
    return f"{_clock(segment.start, point)} --> {_clock(segment.end, point)}"


def _clock(seconds: float, point: str) -> str:
    whole, milliseconds = divmod(max(round(seconds * 1000), 0), 1000)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{point}{milliseconds:03}"
