"""The compiled program that ships with this package.

It is built from ``contracts-client/program`` by its ``build.py``, which anybody can repeat and
compare: the build is reproducible to the byte.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

ELF_FOLDER: Final = Path(__file__).parent / "elf"
ELF_NAME: Final = "neurogrid.so"


class DamagedProgramError(Exception):
    """The packaged program does not match its checksum: reinstall, or build it again."""


def elf_path() -> Path:
    """Where the ELF is, for tools that want a file."""
    return ELF_FOLDER / ELF_NAME


@cache
def elf_sha256() -> str:
    """The checksum that was recorded when the program was built, in hex."""
    text = (ELF_FOLDER / f"{ELF_NAME}.sha256").read_text()
    return text.split()[0]


@cache
def elf_bytes() -> bytes:
    """The sBPF version 3 executable.

    Raises:
        DamagedProgramError: its checksum is not the recorded one.
    """
    elf = elf_path().read_bytes()
    if hashlib.sha256(elf).hexdigest() != elf_sha256():
        raise DamagedProgramError(f"{elf_path()} is not the program that was built")
    return elf
