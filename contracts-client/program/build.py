"""Build the on-chain program: ``python contracts-client/program/build.py [--out DIR]``.

Writes ``neurogrid.so`` and ``neurogrid.so.sha256``. The same clang produces the same bytes anywhere:
no paths, times or debug information get into the object, and the linker adds none.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from link import LinkError, link

PROGRAM_FOLDER: Final = Path(__file__).resolve().parent
COMMITTED_ELF_FOLDER: Final = PROGRAM_FOLDER.parent / "neurogrid_contracts" / "elf"
ELF_NAME: Final = "neurogrid.so"

# Pinned by name: another major version generates other, equally valid, code, and the committed
# bytes could then not be compared. Debian 12 and Ubuntu 24.04 both package it.
COMPILER: Final = "clang-16"
COMPILER_FLAGS: Final = (
    "-target", "bpf",
    "-O2",
    "-ffreestanding",
    "-fno-builtin",  # no calls to memcpy and friends: there is no libc
    "-fno-strict-aliasing",  # account bytes are read both as structures and as words
    "-Wall", "-Wextra", "-Werror",
)  # fmt: skip
COMPILE_TIMEOUT_S: Final = 120


class BuildError(Exception):
    """The program cannot be built here; the message says what to do."""


def compile_program(source: Path) -> bytes:
    """The relocatable object for one C file.

    Raises:
        BuildError: the compiler is missing, or it found an error.
    """
    compiler = shutil.which(COMPILER)
    if compiler is None:
        raise BuildError(
            f"{COMPILER} is not installed. Install it (Debian, Ubuntu: apt-get install {COMPILER})"
            " or use the committed neurogrid_contracts/elf/neurogrid.so."
        )
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "program.o"
        # In the source's folder and by relative name, so that no path can reach the object.
        result = subprocess.run(
            [compiler, *COMPILER_FLAGS, "-c", source.name, "-o", str(output)],
            cwd=source.parent,
            capture_output=True,
            text=True,
            timeout=COMPILE_TIMEOUT_S,
            check=False,  # its message goes into BuildError
        )
        if result.returncode != 0:
            raise BuildError(f"{COMPILER} failed:\n{result.stderr}")
        return output.read_bytes()


def build(out: Path) -> Path:
    """Compile, link and write the ELF and its checksum into ``out``; returns the ELF's path.

    Raises:
        BuildError: the program cannot be compiled or linked.
    """
    try:
        elf = link(compile_program(PROGRAM_FOLDER / "program.c"), "entrypoint")
    except LinkError as error:
        raise BuildError(f"linking failed: {error}") from error
    out.mkdir(parents=True, exist_ok=True)
    path = out / ELF_NAME
    path.write_bytes(elf)
    checksum = out / f"{ELF_NAME}.sha256"
    checksum.write_text(f"{hashlib.sha256(elf).hexdigest()}  {ELF_NAME}\n")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=COMMITTED_ELF_FOLDER, help="folder to write to")
    try:
        path = build(parser.parse_args().out)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{path}: {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
