"""The image of the challenge's runner: one program, the C library, and nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from image_tree import Tree
from python_rootfs import shared_libraries

FOLDER = Path(__file__).parent / "challenge"
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
    tree = Tree()
    tree.add_file("/bin/challenge", runner)
    for path, source in shared_libraries([runner], _LIBRARIES_OF_THE_DRIVER):
        tree.add_file(path, source)
    # The loader's cache is written there by the NVIDIA runtime; the others are mounted over.
    for folder in ("/etc", "/inputs", "/outputs"):
        tree.add_folder(folder)
    tree.add_folder("/tmp", 0o1777)
    return tree
