"""The images of the programs that work on GPUs: one program, the C library, and nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from image_tree import Tree
from python_rootfs import shared_libraries

FOLDER = Path(__file__).parent / "challenge"
SCRUB = Path(__file__).parent / "scrub/scrub.c"
PROBE = Path(__file__).parent / "probe/probe.c"
# Every GPU of ours is driven from a machine of this kind; -O3 for its vector loops on a CPU.
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O3", "-Wall", "-Wextra", "-Werror", "-pthread")
# What NVIDIA's driver library is linked with. The node's runtime puts it into the container, not these.
_LIBRARIES_OF_THE_DRIVER = ("libdl.so.2", "libm.so.6", "libpthread.so.0", "librt.so.1")


def challenge_sources() -> Iterator[str]:
    """All that the program is made of."""
    for file in sorted(FOLDER.iterdir()):
        if file.suffix in {".c", ".h", ".ptx"}:
            yield file.read_text()


def compile_runner(out: Path) -> None:
    """The runner, with the kernels inside."""
    sources = sorted(file.name for file in FOLDER.glob("*.c"))
    subprocess.run(["gcc", *FLAGS, "-s", "-o", out, *sources], cwd=FOLDER, check=True)


def challenge_tree(scratch: Path) -> Tree:
    """The root file system."""
    runner = scratch / "challenge"
    compile_runner(runner)
    return _tree(runner)


def compile_scrub(out: Path) -> None:
    """What overwrites GPUs' memory."""
    subprocess.run(["gcc", *FLAGS, "-s", "-o", out, SCRUB], check=True)


def compile_probe(out: Path) -> None:
    """What says from inside a container what a job could do there."""
    subprocess.run(["gcc", *FLAGS, "-s", "-o", out, PROBE], check=True)


def probe_tree(scratch: Path) -> Tree:
    """The root file system of what says what a job could do."""
    program = scratch / "probe"
    compile_probe(program)
    return _tree(program)


def scrub_tree(scratch: Path) -> Tree:
    """The root file system of what overwrites GPUs' memory."""
    program = scratch / "scrub"
    compile_scrub(program)
    return _tree(program)


def _tree(program: Path) -> Tree:
    tree = Tree()
    tree.add_file(f"/bin/{program.name}", program)
    for path, source in shared_libraries([program], _LIBRARIES_OF_THE_DRIVER):
        tree.add_file(path, source)
    # The loader's cache is written there by the NVIDIA runtime; the others are mounted over.
    for folder in ("/etc", "/inputs", "/outputs"):
        tree.add_folder(folder)
    tree.add_folder("/tmp", 0o1777)
    return tree
