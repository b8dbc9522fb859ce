"""A file of what was proved, for the next life of the node: the GPUs of a job that runs on cannot be asked again."""

from pathlib import Path
from typing import Final

import msgspec

from .proofs import ABILITIES, Proof

FILE_NAME: Final = "proofs.json"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_FILE_BYTES_MAX: Final = 1 << 20


class _Kept(msgspec.Struct, frozen=True):
    """The file.

    Attributes:
        boot: the kernel's name for this start of the machine; a later one has loaded its drivers anew.
    """

    boot: str
    proofs: tuple[Proof, ...]


def read_proofs(directory: Path, boot_id: Path = _BOOT_ID) -> tuple[Proof, ...]:
    """GPUs that were proved since the machine was started; nothing of a file that cannot be read."""
    try:
        with (directory / FILE_NAME).open("rb") as file:
            kept = msgspec.json.decode(file.read(_FILE_BYTES_MAX), type=_Kept)
        boot = boot_id.read_text().strip()
    except (OSError, ValueError):
        return ()
    gpus = (proof for proof in kept.proofs if proof.what not in ABILITIES)
    return tuple(gpus) if kept.boot == boot else ()


def write_proofs(directory: Path, proofs: tuple[Proof, ...], boot_id: Path = _BOOT_ID) -> None:
    """Replace the file.

    Raises:
        OSError: the disk refuses. Then a job's GPUs are not offered after a restart until it has ended.
    """
    partial = directory / f"{FILE_NAME}.partial"
    partial.write_bytes(msgspec.json.encode(_Kept(boot_id.read_text().strip(), proofs)))
    partial.replace(directory / FILE_NAME)
