"""What a receipt is compared with beside itself: output files on this disk, and another run's.

The coordinator is not asked; the chain is `receipt_escrow`'s.
"""

import hashlib
from pathlib import Path

from neurogrid_marketplace.closeness import FilePair, are_same, undecided_pairs
from neurogrid_marketplace.comparator import ComparatorKind
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.receipt import Verification
from neurogrid_marketplace.receipt_items import COORDINATOR, Item, absent, proven

from .errors import IntegrityError


def compare_outputs(found: Verification, directory: Path) -> Item:
    """Compare files below ``directory`` with the hashes that the node signed.

    Raises:
        IntegrityError: one is missing, or another; names it.
        OSError: one can't be read.
    """
    outputs = found.result.outputs
    for output in outputs:
        path = directory / output.path
        if not path.is_file():
            raise IntegrityError(f"{path} is missing: the receipt names it")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != output.sha256:
            raise IntegrityError(
                f"{path} is not the file that the receipt names: its SHA-256 is {digest}"
            )
    if not outputs:
        return absent("files", "the receipt names no output files to compare")
    return proven(
        "files", "node", f"{len(outputs)} files in {directory} are those that the node named"
    )


def compare_runs(found: Verification, directory: Path, other: Path) -> Item:
    """Compare the receipt's output files with another run's, by the comparator of the signed demand.

    Args:
        directory: the receipt's own files, see `compare_outputs`.

    Raises:
        IntegrityError: they are not the same.
        OSError: a file can't be read.
    """
    comparator = found.comparator
    if comparator.kind is ComparatorKind.IMAGE:
        return absent("comparison", f"only {comparator.words()} can tell")
    others = [_output(path, other) for path in sorted(other.rglob("*")) if path.is_file()]
    pairs = undecided_pairs(comparator, found.result.outputs, others)

    def read(pair: FilePair) -> tuple[bytes, bytes]:
        return (directory / pair.path).read_bytes(), (other / pair.path).read_bytes()

    if pairs is None or not are_same(comparator, pairs, read):
        raise IntegrityError(
            f"the files in {other} are not those of the receipt, by {comparator.words()}"
        )
    return proven(
        "comparison",
        COORDINATOR,
        f"the files in {other} are the same by what the demand asks for: {comparator.words()}",
    )


def _output(path: Path, directory: Path) -> OutputFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return OutputFile(path.relative_to(directory).as_posix(), digest, path.stat().st_size)
