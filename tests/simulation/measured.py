"""How far apart real models' answers are, by honest servers and by others: measured in their own images, and kept for `answer_cheats`.

`python -m simulation.measured vectors` (or another of `PARTS`) in tests/ takes minutes and writes that part of measured.json. It
needs the images of `make models`, and for transcripts Debian's recordings (make build/debian/pocketsphinx-testdata).
"""

import array
import base64
import json
import random
import struct
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import msgspec

from conformance.recording import SPOKEN
from models.text.byte_pairs import BytePairs
from models.text.generate import WEIGHTS
from models.text.transformer import load
from neurogrid_marketplace.model_check import Answer, Comparison, Counts, Other, compare, seen_by
from neurogrid_marketplace.model_pictures import Picture
from neurogrid_marketplace.model_transcript import TranscriptReader
from neurogrid_marketplace.model_vectors import Vectors
from neurogrid_marketplace.png_points import points_of

from .model_cheats import texts

FILE = Path(__file__).with_name("measured.json")
PROGRAMS = Path(__file__).with_name("in_images")
DOCS = Path(__file__).parents[2] / "docs"
HONEST = "itself"
_TEXTS, _SEEDS, _PROMPTS = 60, 12, 100
_NOISE_DB = 5
# What is measured, by kind of server, each time of one answer.
Measured = Mapping[str, Sequence[Comparison]]


def kept() -> Mapping[str, Measured]:
    """What was measured: by kind of answer, and kind of server."""
    return msgspec.json.decode(FILE.read_bytes(), type=dict[str, dict[str, list[Comparison]]])


def said(
    image: str, program: str, *kinds: str, sent: str = "", mounts: Sequence[str] = (), **env: str
) -> dict[str, Any]:
    """What a program says in an image."""
    command = [
        "docker",
        "run",
        "--rm",
        "-i",
        "--network",
        "none",
        "--tmpfs",
        "/tmp:size=1g,mode=1777",
    ]
    for mount in (f"{PROGRAMS}:/in_images:ro", *mounts):
        command += ["-v", mount]
    for name, value in env.items():
        command += ["-e", f"{name}={value}"]
    command += [image, "python3", f"/in_images/{program}.py", *kinds]
    done = subprocess.run(
        command, input=sent, capture_output=True, text=True, timeout=1800, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compared(
    answers: Mapping[str, Sequence[Answer]], to: str = HONEST
) -> dict[str, list[Comparison]]:
    """Each with what the model itself answers."""
    return {
        kind: [compare(*pair) for pair in zip(given, answers[to], strict=True)]
        for kind, given in answers.items()
        if kind != to
    }


def vectors() -> dict[str, list[Comparison]]:
    """Of paragraphs of our own pages, by all-MiniLM-L6-v2."""
    image, lot = "neurogrid/model-embedding:1", random.Random(1)
    paragraphs = [
        " ".join(each.split())
        for page in sorted(DOCS.glob("*.md"))
        for each in page.read_text().split("\n\n")
    ]
    texts = json.dumps(lot.sample([each for each in paragraphs if 40 < len(each) < 600], _TEXTS))
    others = ["bfloat16", "float16", "8 bits", "6 bits", "5 bits", "4 bits", "a layer less"]
    made = said(image, "vectors", HONEST, *others, sent=texts)
    for core in ("Prescott", "Haswell"):
        again = said(image, "vectors", HONEST, sent=texts, OPENBLAS_CORETYPE=core)
        made[f"as a {core} computes"] = again[HONEST]

    def read(packed: str) -> Vectors:
        data = base64.b64decode(packed)
        return Vectors((struct.unpack(f"<{len(data) // 4}f", data),), 9)

    return compared({kind: [read(each) for each in given] for kind, given in made.items()})


def pictures() -> dict[str, list[Comparison]]:
    """Of a dozen seeds, by the model of landscapes."""
    image, two = "neurogrid/model-terrain:1", "2 steps"
    others = ["other kernels", "8 bits", "6 bits", "4 bits", two, "a smaller picture"]
    made = said(image, "pictures", str(_SEEDS), HONEST, *others)
    read = {
        kind: [Picture(b"", points_of(base64.b64decode(each))) for each in given]
        for kind, given in made.items()
    }
    one = compared({two: read[two], "one step for two": read[HONEST]}, two)
    return {**compared({kind: each for kind, each in read.items() if kind != two}), **one}


def transcripts() -> dict[str, list[Comparison]]:
    """Of read sentences, as they are, faster, and with noise; by Whisper base."""
    image = "neurogrid/model-speech-base:1"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        _record(Path(folder))
        mounts = [f"{folder}:/measured:ro"]
        others = ["32-bit numbers", "6 bits", "4 bits", "the smaller model"]
        made = said(image, "transcripts", HONEST, *others, mounts=mounts)
        again = said(image, "transcripts", HONEST, mounts=mounts, CT2_FORCE_CPU_ISA="AVX2")
    made["without AVX-512"] = again[HONEST]

    def read(value: Mapping[str, Any]) -> Answer:
        reader = TranscriptReader()
        reader.feed(value)
        return reader.reply()

    return compared({kind: [read(each) for each in given.values()] for kind, given in made.items()})


def seeded() -> dict[str, list[Comparison]]:
    """Texts that a seed draws, at a temperature of 0.8, of Bard."""
    kinds = {
        HONEST: "exact",
        "on another processor": "other processor",
        "in 16 bits": "other machine",
        "a layer less": "smaller",
    }
    kinds |= {bits: bits for bits in ("8 bits", "6 bits", "4 bits")}
    made = {name: texts(kind, _PROMPTS, 0.8) for name, kind in kinds.items()}
    return compared(
        {name: [replace(each, tokens=()) for each in given] for name, given in made.items()}
    )


def counts() -> dict[str, list[Comparison]]:
    """Of texts that Bard draws by chance, counted by its vocabulary; honest ones, and with so many thousandths more."""
    pairs = BytePairs(load(WEIGHTS)[1])
    found: dict[str, list[Comparison]] = {}
    for temperature in (0.7, 1.0, 1.3):
        for more in (0, 100, 500):
            name = f"a temperature of {temperature:g}" + (f", {more / 10:g} % more" if more else "")
            found[name] = [
                seen_by(
                    replace(each, output_tokens=each.output_tokens * (1000 + more) // 1000),
                    Other(
                        None,
                        counts=Counts(each.input_tokens, len(pairs.encode(each.text.encode()))),
                    ),
                )
                for each in texts("exact", _PROMPTS, temperature)
            ]
    return found


def _record(folder: Path) -> None:
    lot, whole = random.Random(1), array.array("h")
    for file in sorted([*SPOKEN.parent.glob("*.wav"), *SPOKEN.parents[1].glob("cards/*.wav")]):
        with wave.open(str(file)) as sound:
            hertz, points = (
                sound.getframerate(),
                array.array("h", sound.readframes(sound.getnframes())),
            )
        loud = (sum(each * each for each in points) / len(points)) ** 0.5 / 10 ** (_NOISE_DB / 20)
        noisy = (round(each + lot.gauss(0, loud)) for each in points)
        made = {
            "plain": (hertz, points),
            "fast": (hertz * 11 // 10, points),
            "noisy": (hertz, array.array("h", (max(-32768, min(32767, each)) for each in noisy))),
        }
        for name, (rate, each) in made.items():
            _write(folder / f"{file.stem}-{name}.wav", rate, each)
        if file.parent == SPOKEN.parent:
            whole += points
    _write(folder / "whole.wav", hertz, whole)


def _write(file: Path, hertz: int, points: "array.array[int]") -> None:
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(hertz)
        sound.writeframes(points.tobytes())


PARTS: Mapping[str, Callable[[], dict[str, list[Comparison]]]] = {
    "vectors": vectors,
    "pictures": pictures,
    "transcripts": transcripts,
    "seeded texts": seeded,
    "counts": counts,
}


def _line(measured: Measured) -> str:
    """A server a line, each number as far as it matters."""

    def brief(seen: Comparison) -> dict[str, Any]:
        near = replace(seen, apart=round(seen.apart, 7), drift_nats=round(seen.drift_nats, 5))
        usual = Comparison(None)
        return {
            each.name: getattr(near, each.name)
            for each in fields(near)
            if each.name == "text" or getattr(near, each.name) != getattr(usual, each.name)
        }

    lines = (
        f'"{kind}": {msgspec.json.encode([brief(each) for each in given]).decode()}'
        for kind, given in measured.items()
    )
    return "{" + ",\n".join(lines) + "}"


def main() -> None:
    """See the module."""
    part = sys.argv[1]
    found = dict(kept()) if FILE.exists() else {}
    found[part] = PARTS[part]()
    lines = (f'"{name}": {_line(given)}' for name, given in sorted(found.items()))
    FILE.write_text("{" + ",\n".join(lines) + "}\n")
    for kind, given in found[part].items():
        apart = sorted(each.apart for each in given)
        far = sum(each.speaks_against for each in given)
        print(
            f"{kind}: median {apart[len(apart) // 2]:.6f}, most {apart[-1]:.6f}, seen {far} of {len(apart)}"
        )


if __name__ == "__main__":
    main()
