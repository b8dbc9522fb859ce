"""Write speech down: read /inputs/request.json, leave /outputs/result.json (docs/models.md has both forms)."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from models.serving.transcripts import Hearing, Transcript, Unreadable
from models.speech.hearing import Whisper, decoded, weights

INPUTS, OUTPUTS = Path("/inputs"), Path("/outputs")


def answer(said: Transcript) -> dict[str, Any]:
    """What result.json has, without the time that it took.

    ``confidence`` is how likely the model finds a token of its own text, by the pieces' lengths; null where nothing
    was said.
    """
    length_s = sum(piece.end - piece.start for piece in said.segments)
    sure = sum(math.exp(piece.avg_logprob) * (piece.end - piece.start) for piece in said.segments)
    return {
        "text": said.text,
        "language": said.language,
        "confidence": round(min(sure / length_s, 1), 3) if length_s else None,
        "segments": [
            {
                "start": round(piece.start, 2),
                "end": round(piece.end, 2),
                "text": piece.text.strip(),
            }
            for piece in said.segments
        ],
    }


def refuse(why: str) -> NoReturn:
    """End without a result; the task's log says why."""
    sys.exit(f"transcribe: {why}")


def main() -> None:
    """See the module."""
    began_s = time.monotonic()
    request = json.loads((INPUTS / "request.json").read_text())
    language = request["parameters"]["language"]
    try:
        with (INPUTS / request["file"]).open("rb") as file:
            sound = decoded(file)
    except Unreadable as error:
        refuse(f"{request['file']}: {error}")
    model = Whisper(weights())
    if language and language not in model.languages:
        refuse(f"language {language}: this model knows {', '.join(sorted(model.languages))} alone")
    said = model.listen(sound, Hearing(language), lambda: None).whole()
    made = answer(said)
    took_s = round(time.monotonic() - began_s, 3)
    (OUTPUTS / "result.json").write_text(json.dumps({**made, "execution_time_s": took_s}) + "\n")
    print(json.dumps({"heard_s": round(said.duration_s, 2), "execution_time_s": took_s}))


if __name__ == "__main__":
    main()
