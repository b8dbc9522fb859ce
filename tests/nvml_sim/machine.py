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
# In the child: one reading, or wait, for each line on its standard input.
READER = """
import dataclasses, json, pathlib, sys
from neurogrid_node.machine.gpu import GpuReader
folder = pathlib.Path(sys.argv[1])
reader = GpuReader(folder / "kernel", sysfs=folder / "sys", proc=folder / "proc",
                   amdgpu_ids=folder / "amdgpu.ids")
for line in sys.stdin:
    if line.startswith("wait"):
        told = [dataclasses.asdict(event) for event in reader.wait(int(line.split()[1]))]
    else:
        told = dataclasses.asdict(reader.read())
    print(json.dumps(told), flush=True)
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
        "power_limit": "700000",
        "throttle": "0x1",
        "ecc_corrected": "2",
        "ecc_uncorrected": "0",
        "pci": f"00000000:{index + 1:02X}:00.0",
        "minor": str(index),
        "mig": "0",
    } | changes
    return [f"gpu {index} {name} {value}" for name, value in facts.items()]


def part_uuid_of(index: int, part: int) -> str:
    return f"MIG-{index:08x}-5555-6666-7777-{part:012x}"


def part(index: int, number: int, profile: str, memory_gib: int, **changes: str) -> list[str]:
    """Settings of a part of a GPU that is split."""
    facts = {
        "uuid": part_uuid_of(index, number),
        "name": f"NVIDIA H100 80GB HBM3 MIG {profile}",
        "memory_total": str(memory_gib << 30),
        "memory_used": str(16 << 20),
    } | changes
    return [f"part {index} {number} {name} {value}" for name, value in facts.items()]


class MachineSettings:
    """What the library says of the machine; it can change at any time. nvml_sim.c has its form."""

    def __init__(self, file: Path) -> None:
        """
        Args:
            file: that NVML_SIM names.
        """
        self.file = file

    def set(self, *parts: str | Iterable[str]) -> None:
        """Be this machine from now on."""
        lines = [line for part in parts for line in ([part] if isinstance(part, str) else part)]
        new = self.file.with_suffix(".new")
        new.write_text("\n".join(["driver 550.90.07", "cuda 12040", *lines]) + "\n")
        new.replace(self.file)

    def unload_driver(self) -> None:
        self.file.unlink()


class Machine(MachineSettings):
    """A machine, and the process on it that reads it."""

    def __init__(self, library: Path | None, directory: Path) -> None:
        """
        Args:
            library: from `build`; None is a machine without the driver's library.
            directory: for its files; may hold folders ``kernel``, as the kernel's list of GPUs,
                ``sys`` and ``proc``, and a file ``amdgpu.ids``.
        """
        super().__init__(directory / "settings")
        self._reader = subprocess.Popen(
            [sys.executable, "-c", READER, str(directory)],
            env={
                **os.environ,
                "LD_LIBRARY_PATH": str(library or directory),
                "NVML_SIM": str(self.file),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self) -> dict[str, Any]:
        """A `GpuReading` of the child, as plain values."""
        reading: dict[str, Any] = self._ask("read")
        return reading

    def wait(self, timeout_ms: int) -> list[dict[str, Any]]:
        """The `XidEvent`s that the child waits for."""
        events: list[dict[str, Any]] = self._ask(f"wait {timeout_ms}")
        return events

    def _ask(self, what: str) -> Any:
        assert self._reader.stdin is not None
        assert self._reader.stdout is not None
        print(what, file=self._reader.stdin, flush=True)
        return json.loads(self._reader.stdout.readline())

    def close(self) -> None:
        """End the child, which must have had no trouble."""
        output, _ = self._reader.communicate(timeout=30)
        assert (self._reader.returncode, output) == (0, "")
