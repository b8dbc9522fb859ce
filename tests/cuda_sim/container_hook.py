"""What NVIDIA's container toolkit is to an engine, over the simulated CUDA driver: `nvidia-container-runtime-hook`.

An engine of Docker's that finds such a program when it starts gives containers the GPUs that are asked for by running it
before the container's own process, with the container's bundle on standard input (OCI runtime specification, prestart
hooks) and the UUIDs in NVIDIA_VISIBLE_DEVICES. Where NVIDIA's mounts its driver, this one puts the simulated one.
"""

import os
import sys
from pathlib import Path

from cuda_sim import machine as cuda

NAME = "nvidia-container-runtime-hook"
_PROGRAM = """#!{python}
import json, pathlib, shutil, sys
config = json.loads((pathlib.Path(json.load(sys.stdin)["bundle"]) / "config.json").read_text())
given = dict(entry.split("=", 1) for entry in config["process"]["env"])["NVIDIA_VISIBLE_DEVICES"]
everybody = pathlib.Path({everybody!r})
uuids = (everybody.read_text() if everybody.exists() else given).split(",")
root = pathlib.Path(config["root"]["path"])
for folder in ("usr/lib/x86_64-linux-gnu", "etc"):
    (root / folder).mkdir(parents=True, exist_ok=True)
shutil.copy({library!r}, root / "usr/lib/x86_64-linux-gnu/libcuda.so.1")
(root / "etc/cuda_sim").write_text(";".join(f"{{uuid}},{bytes},Simulated GPU" for uuid in uuids))
"""
_GPU_BYTES = 1 << 20


class ContainerHook:
    """The program, and how it behaves.

    Attributes:
        folder: to be in the PATH of an engine when it starts, and of a node, which asks for the toolkit's version.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._everybody = folder / "everybody"
        library = cuda.build(folder) / cuda.LIBRARY
        program = folder / NAME
        program.write_text(
            _PROGRAM.format(
                python=sys.executable,
                everybody=str(self._everybody),
                library=str(library),
                bytes=_GPU_BYTES,
            )
        )
        program.chmod(0o755)

        told = folder / "nvidia-ctk"
        told.write_text("#!/bin/sh\necho NVIDIA Container Toolkit CLI version 1.19.1\n")
        told.chmod(0o755)

    def path(self) -> str:
        """PATH with it."""
        return f"{self.folder}:{os.environ['PATH']}"

    def give_everybody(self, *uuids: str) -> None:
        """Give these GPUs to whoever asks for any; none of them: give what is asked for."""
        if uuids:
            self._everybody.write_text(",".join(uuids))
        else:
            self._everybody.unlink()
