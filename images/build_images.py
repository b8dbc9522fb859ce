"""Build the container images of the jobs, on this machine, without a registry: ``make images``.

    neurogrid/python:V    Python V with a shell: this machine's CPython, Debian's static busybox
    neurogrid/job:1       the same with numpy and Pillow, from the wheels that requirements.lock pins
    neurogrid/operations:1 the same as job:1 with the program of operations, operations/operation.py
    neurogrid/model-server:1 the same as job:1 with what the servers of all models share, from models/serving/
    neurogrid/model-text:1 the same as model-server:1 with a small language model of ours, from models/text/
    neurogrid/true:1      the shell alone
    neurogrid/gang-link:1 the link of a gang's network: one static program, from gang-link/link.c
    neurogrid/egress-link:1 a job's way to its node's proxy: one static program, from egress-link/link.c
    neurogrid/challenge:1 the runner of challenges, compiled from the C in challenge/
    neurogrid/scrub:1     what overwrites a GPU's memory between two tenants, from scrub/scrub.c
    neurogrid/probe:1     what says from inside a container what a job could do there, from probe/probe.c

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

from challenge_tree import (
    PROBE,
    SCRUB,
    challenge_sources,
    challenge_tree,
    probe_tree,
    scrub_tree,
)
from image_tree import Tree
from python_rootfs import SITE_PACKAGES, add_shell, fingerprint_parts, python_tree

IMAGES = Path(__file__).parent
REPOSITORY = IMAGES.parent
BUSYBOX = REPOSITORY / "build/debian/busybox-static/bin/busybox"
LABEL = "io.neurogrid.fingerprint"
# Where our programs are in an image.
PROGRAMS = "/opt/neurogrid"

PYTHON_IMAGE = f"neurogrid/python:{sys.version_info.major}.{sys.version_info.minor}"
JOB_IMAGE = "neurogrid/job:1"
OPERATIONS_IMAGE = "neurogrid/operations:1"
OPERATION_PROGRAM = IMAGES / "operations/operation.py"
MODEL_TEXT = IMAGES / "models/text"
MODEL_TEXT_IMAGE = "neurogrid/model-text:1"
# What its image has of the folder: neither the recipe nor the page.
MODEL_TEXT_FILES = ("byte_pairs.py", "generate.py", "serve.py", "transformer.py", "weights.npz")
MODEL_SERVING = IMAGES / "models/serving"
MODEL_SERVER_IMAGE = "neurogrid/model-server:1"
TRUE_IMAGE = "neurogrid/true:1"
GANG_LINK_IMAGE = "neurogrid/gang-link:1"
EGRESS_LINK_IMAGE = "neurogrid/egress-link:1"
CHALLENGE_IMAGE = "neurogrid/challenge:1"
SCRUB_IMAGE = "neurogrid/scrub:1"
PROBE_IMAGE = "neurogrid/probe:1"

JOB_PACKAGES = ("numpy", "pillow")
# HTTP of the servers of models, and what it stands on.
SERVER_PACKAGES = (
    "anyio",
    "click",
    "h11",
    "idna",
    "msgspec",
    "python-multipart",
    "starlette",
    "typing-extensions",
    "uvicorn",
)
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
    lock = (REPOSITORY / "requirements.lock").read_text()
    pins = locked(JOB_PACKAGES, lock)
    server_pins = locked(SERVER_PACKAGES, lock)
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
    operations = Recipe(
        tag=OPERATIONS_IMAGE,
        folder="operations",
        layer="operations.tar",
        tree=lambda _: operations_tree(),
        ingredients=(job.fingerprint(), OPERATION_PROGRAM.read_text()),
        build_arguments={"BASE_IMAGE": JOB_IMAGE},
    )
    model_server = Recipe(
        tag=MODEL_SERVER_IMAGE,
        folder="models/serving",
        layer="server.tar",
        tree=lambda scratch: model_server_tree(server_pins, scratch),
        ingredients=(
            job.fingerprint(),
            server_pins,
            *(file.read_text() for file in sorted(MODEL_SERVING.glob("*.py"))),
        ),
        build_arguments={"BASE_IMAGE": JOB_IMAGE},
    )
    model_text = Recipe(
        tag=MODEL_TEXT_IMAGE,
        folder="models/text",
        layer="model.tar",
        tree=lambda _: model_text_tree(),
        ingredients=(
            model_server.fingerprint(),
            *(
                hashlib.sha256((MODEL_TEXT / name).read_bytes()).hexdigest()
                for name in MODEL_TEXT_FILES
            ),
        ),
        build_arguments={"BASE_IMAGE": MODEL_SERVER_IMAGE},
    )
    true = Recipe(
        tag=TRUE_IMAGE,
        folder="true",
        layer="rootfs.tar",
        tree=lambda _: shell_tree(),
        ingredients=(busybox,),
    )
    gang_link = link_recipe(GANG_LINK_IMAGE, "gang-link")
    egress_link = link_recipe(EGRESS_LINK_IMAGE, "egress-link")
    challenge = Recipe(
        tag=CHALLENGE_IMAGE,
        folder="challenge",
        layer="rootfs.tar",
        tree=challenge_tree,
        ingredients=(*challenge_sources(), *interpreter),
    )
    scrub = Recipe(
        tag=SCRUB_IMAGE,
        folder="scrub",
        layer="rootfs.tar",
        tree=scrub_tree,
        ingredients=(SCRUB.read_text(), *interpreter),
    )
    probe = Recipe(
        tag=PROBE_IMAGE,
        folder="probe",
        layer="rootfs.tar",
        tree=probe_tree,
        ingredients=(PROBE.read_text(), *interpreter),
    )
    return [
        python,
        job,
        operations,
        model_server,
        model_text,
        true,
        gang_link,
        egress_link,
        challenge,
        scrub,
        probe,
    ]


def link_recipe(tag: str, folder: str) -> Recipe:
    """An image of one C program, which is called as its folder is."""
    source = IMAGES / folder / "link.c"
    return Recipe(
        tag=tag,
        folder=folder,
        layer="rootfs.tar",
        tree=lambda scratch: program_tree(source, scratch),
        ingredients=(source.read_text(),),
    )


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
    tree = Tree()
    tree.add_python(SITE_PACKAGES, installed_packages(pins, scratch), _skip_in_packages)
    return tree


def installed_packages(pins: str, scratch: Path) -> Path:
    """The folder into which the packages that ``pins`` names have been installed."""
    requirements = scratch / "requirements.txt"
    requirements.write_text(pins)
    installed = scratch / "installed"
    uv = Path(sysconfig.get_path("scripts"), "uv")
    install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", sys.executable]
    install += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", requirements]
    subprocess.run([*install, "--target", installed], check=True)
    return installed


def operations_tree() -> Tree:
    """The program of operations alone."""
    tree = Tree()
    tree.add_file(f"{PROGRAMS}/operation.py", OPERATION_PROGRAM)
    return tree


def model_server_tree(pins: str, scratch: Path) -> Tree:
    """What the servers of all models share, and the packages that it needs."""
    tree = packages_tree(pins, scratch)
    tree.add_python(f"{PROGRAMS}/models/serving", MODEL_SERVING, lambda path: path.suffix != ".py")
    return tree


def model_text_tree() -> Tree:
    """The program of the text model and its weights."""
    tree = Tree()
    for name in MODEL_TEXT_FILES:
        tree.add_file(f"{PROGRAMS}/models/text/{name}", MODEL_TEXT / name)
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
