"""A machine whose CUDA driver is simulated: the library, and the environment that has a program find it."""

import os
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("cuda_sim.c")
LIBRARY = "libcuda.so.1"
_WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-parentheses")


def build(directory: Path) -> Path:
    """Compile the simulated library; the directory to find it in."""
    subprocess.run(
        [
            *("gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", *_WARNINGS, "-shared", "-fPIC"),
            *("-pthread", f"-Wl,-soname,{LIBRARY}", "-o", str(directory / LIBRARY), str(SOURCE)),
        ],
        check=True,
    )
    return directory


def uuid_of(index: int) -> str:
    return f"GPU-{index:08x}-1111-2222-3333-444444444444"


def environment(library: Path, memory_bytes: tuple[int, ...]) -> dict[str, str]:
    """Of a machine with a GPU for each amount of memory."""
    gpus = (
        f"{uuid_of(index)},{amount},Simulated GPU {index}"
        for index, amount in enumerate(memory_bytes)
    )
    return {**os.environ, "LD_LIBRARY_PATH": str(library), "CUDA_SIM": ";".join(gpus)}
