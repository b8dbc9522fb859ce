"""Build the container images of the jobs, on this machine, without a registry: ``make images``.

    neurogrid/python:V    Python V with a shell: this machine's CPython, Debian's static busybox
    neurogrid/job:1       the same with numpy and Pillow, from the wheels that requirements.lock pins
    neurogrid/true:1      the shell alone
    neurogrid/gang-link:1 the link of a gang's network: one static program, from gang-link/link.c
    neurogrid/challenge:1 the runner of challenges, compiled from the C in challenge/

An image carries a label with the fingerprint of everything that went into it, so a second run
builds nothing. No Dockerfile here has a RUN line: building runs nothing and needs no network.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import docker
import docker.errors
from docker.models.images import Image

from challenge_tree import challenge_sources, challenge_tree
from image_tree import Tree
from python_rootfs import SITE_PACKAGES, add_shell, fingerprint_parts, python_tree

IMAGES = Path(__file__).parent
REPOSITORY = IMAGES.parent
BUSYBOX = REPOSITORY / "build/debian/busybox-static/bin/busybox"
LABEL = "io.neurogrid.fingerprint"

PYTHON_IMAGE = f"neurogrid/python:{sys.version_info.major}.{sys.version_info.minor}"
JOB_IMAGE = "neurogrid/job:1"
TRUE_IMAGE = "neurogrid/true:1"
GANG_LINK_IMAGE = "neurogrid/gang-link:1"
CHALLENGE_IMAGE = "neurogrid/challenge:1"

JOB_PACKAGES = ("numpy", "pillow")
# Once installed, packages are trees of files. These parts are for those who develop them or compile
# against them.
_SKIPPED_IN_PACKAGES = {"bin", "tests", "include", "uv_cache.json"}

# Sending and unpacking 120 MB takes seconds; a busy disk may make it a minute.
ENGINE_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one image is made."""

    tag: str
    folder: str
    """Below images/; holds its Dockerfile."""
    layer: str
    """The name under which the Dockerfile adds the tree."""
    tree: Callable[[Path], Tree]
    """Makes the tree; may leave files in the folder it is given, which outlives the build."""
    ingredients: tuple[str, ...]
    """Whatever changes the image when it changes, besides the code in this folder."""
    build_arguments: dict[str, str] = field(default_factory=dict)

    def fingerprint(self) -> str:
        code = [*sorted(IMAGES.glob("*.py")), IMAGES / self.folder / "Dockerfile"]
        digest = hashlib.sha256()
        for part in (*(file.read_text() for file in code), *self.ingredients):
            digest.update(hashlib.sha256(part.encode()).digest())
        return digest.hexdigest()


def recipes() -> list[Recipe]:
    """All images, each after the one it is built on."""
    busybox = hashlib.sha256(BUSYBOX.read_bytes()).hexdigest()
    interpreter = tuple(fingerprint_parts())
    pins = locked(JOB_PACKAGES, (REPOSITORY / "requirements.lock").read_text())
    python = Recipe(
        tag=PYTHON_IMAGE,
        folder="python",
        layer="rootfs.tar",
        tree=lambda _: python_tree(BUSYBOX),
        ingredients=(busybox, *interpreter),
    )
    job = Recipe(
        tag=JOB_IMAGE,
        folder="job",
        layer="packages.tar",
        tree=lambda scratch: packages_tree(pins, scratch),
        ingredients=(python.fingerprint(), pins),
        build_arguments={"BASE_IMAGE": PYTHON_IMAGE},
    )
    true = Recipe(
        tag=TRUE_IMAGE,
        folder="true",
        layer="rootfs.tar",
        tree=lambda _: shell_tree(),
        ingredients=(busybox,),
    )
    link_source = IMAGES / "gang-link/link.c"
    gang_link = Recipe(
        tag=GANG_LINK_IMAGE,
        folder="gang-link",
        layer="rootfs.tar",
        tree=lambda scratch: program_tree(link_source, scratch),
        ingredients=(link_source.read_text(),),
    )
    challenge = Recipe(
        tag=CHALLENGE_IMAGE,
        folder="challenge",
        layer="rootfs.tar",
        tree=challenge_tree,
        ingredients=(*challenge_sources(), *interpreter),
    )
    return [python, job, true, gang_link, challenge]


def locked(packages: Iterable[str], lock: str) -> str:
    """The entries of ``packages`` in the text of a requirements file, hashes included."""
    wanted = tuple(f"{package}==" for package in packages)
    lines = []
    inside = False
    for line in lock.splitlines():
        inside = inside or line.startswith(wanted)
        if inside:
            lines.append(line)
        inside = inside and line.endswith("\\")
    return "\n".join(lines) + "\n"


def packages_tree(pins: str, scratch: Path) -> Tree:
    """The packages that ``pins`` names, installed where the image's Python looks for them."""
    requirements = scratch / "requirements.txt"
    requirements.write_text(pins)
    installed = scratch / "installed"
    uv = Path(sysconfig.get_path("scripts"), "uv")
    install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", sys.executable]
    install += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", requirements]
    subprocess.run([*install, "--target", installed], check=True)
    tree = Tree()
    tree.add_python(SITE_PACKAGES, installed, _skip_in_packages)
    return tree


def shell_tree() -> Tree:
    """A root file system with nothing but a static shell."""
    tree = Tree()
    add_shell(tree, BUSYBOX)
    return tree


def program_tree(source: Path, scratch: Path) -> Tree:
    """A root file system with nothing but one C program, named as the source's folder."""
    name = source.parent.name
    program = scratch / name
    flags = ["-std=gnu11", "-static", "-Os", "-s", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", program, source], check=True)
    tree = Tree()
    tree.add_file(f"/{name}", program)
    return tree


def _skip_in_packages(path: PurePosixPath) -> bool:
    return not _SKIPPED_IN_PACKAGES.isdisjoint(path.parts)


def build(engine: docker.DockerClient, recipe: Recipe) -> None:
    """Build one image and give it its tag; the one that had the tag goes, if nothing uses it."""
    older = present(engine, recipe.tag)
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryFile() as context:
        layer = Path(scratch, recipe.layer)
        recipe.tree(Path(scratch)).write(layer)
        with tarfile.open(fileobj=context, mode="w") as tar:
            tar.add(IMAGES / recipe.folder / "Dockerfile", "Dockerfile")
            tar.add(layer, recipe.layer)
        context.seek(0)
        image, _ = engine.images.build(
            fileobj=context,
            custom_context=True,
            tag=recipe.tag,
            labels={LABEL: recipe.fingerprint()},
            buildargs=recipe.build_arguments,
            network_mode="none",
            rm=True,
        )
    if older is not None and older.id is not None and older.id != image.id:
        try:
            engine.images.remove(older.id)
        except docker.errors.APIError as error:
            # 409: a container or another image still stands on it. It goes with the last of them.
            if error.status_code != 409:
                raise


def present(engine: docker.DockerClient, tag: str) -> Image | None:
    try:
        return engine.images.get(tag)
    except docker.errors.ImageNotFound:
        return None


def main() -> None:
    engine = docker.from_env(timeout=ENGINE_TIMEOUT_S)
    for recipe in recipes():
        image = present(engine, recipe.tag)
        if image is not None and image.labels.get(LABEL) == recipe.fingerprint():
            continue
        started = time.monotonic()
        print(f"{'images':<9} {recipe.tag}", end=" ", flush=True)
        build(engine, recipe)
        print(f"({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    main()
