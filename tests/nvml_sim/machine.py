"""A machine with simulated GPUs, and a process on it that reads them through the real pynvml.

The process is a child because the loader looks at LD_LIBRARY_PATH only when an interpreter starts.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("nvml_sim.c")
LIBRARY = "libnvidia-ml.so.1"
# In the child: one reading for each line on its standard input.
READER = """
import dataclasses, json, pathlib, sys
from neurogrid_node.gpu import GpuReader
reader = GpuReader(pathlib.Path(sys.argv[1]))
for line in sys.stdin:
    print(json.dumps(dataclasses.asdict(reader.read())), flush=True)
reader.close()
"""


def build(directory: Path) -> Path:
    """Compile the simulated library; the directory to find it in."""
    subprocess.run(
        [
            *("gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-shared"),
            *("-fPIC", f"-Wl,-soname,{LIBRARY}", "-o", str(directory / LIBRARY), str(SOURCE)),
        ],
        check=True,
    )
    return directory


def uuid_of(index: int) -> str:
    return f"GPU-{index:08x}-1111-2222-3333-444444444444"


def healthy(index: int, **changes: str) -> list[str]:
    """Settings of a GPU with nothing wrong with it."""
    facts = {
        "uuid": uuid_of(index),
        "name": "NVIDIA H100 80GB HBM3",
        "memory_total": str(80 << 30),
        "memory_used": str(1 << 30),
        "compute_capability": "9.0",
        "utilisation": "37",
        "temperature": "61",
        "power": "215000",
        "mig": "0",
    } | changes
    return [f"gpu {index} {name} {value}" for name, value in facts.items()]


class Machine:
    """Its settings can change at any time; see nvml_sim.c for their form."""

    def __init__(self, library: Path | None, directory: Path) -> None:
        """
        Args:
            library: from `build`; None is a machine without the driver's library.
            directory: for its files; may hold a folder ``kernel`` as the kernel's list of GPUs.
        """
        self._settings = directory / "settings"
        self._reader = subprocess.Popen(
            [sys.executable, "-c", READER, str(directory / "kernel")],
            env={
                **os.environ,
                "LD_LIBRARY_PATH": str(library or directory),
                "NVML_SIM": str(self._settings),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def set(self, *parts: str | Iterable[str]) -> None:
        """Be this machine from now on."""
        lines = [line for part in parts for line in ([part] if isinstance(part, str) else part)]
        new = self._settings.with_suffix(".new")
        new.write_text("\n".join(["driver 550.90.07", "cuda 12040", *lines]) + "\n")
        new.replace(self._settings)

    def unload_driver(self) -> None:
        self._settings.unlink()

    def read(self) -> dict[str, Any]:
        """A `GpuReading` of the child, as plain values."""
        assert self._reader.stdin is not None
        assert self._reader.stdout is not None
        print("read", file=self._reader.stdin, flush=True)
        reading: dict[str, Any] = json.loads(self._reader.stdout.readline())
        return reading

    def close(self) -> None:
        """End the child, which must have had no trouble."""
        output, _ = self._reader.communicate(timeout=30)
        assert (self._reader.returncode, output) == (0, "")
