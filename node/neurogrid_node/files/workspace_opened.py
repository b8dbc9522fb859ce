"""Files of a job that may be running, held open: what they are now, whatever becomes of their names.

Opened while the job is frozen, they are its folder at one moment: a file that is replaced or deleted
afterwards stays what it was for us. One that is written to is found out. What is taken and what not is as
for outputs. Everything blocks: run it in a worker thread of trio.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import trio

from neurogrid_marketplace.checkpoint import MAX_CHECKPOINT_FILES, UNFINISHED_SUFFIXES
from neurogrid_marketplace.job import OutputFile

from .workspace_outputs import OutputRefused, directory_at, plain_file, walk

# Folders count too; the job stands still while they are listed.
_ENTRIES_MAX: Final = 4 * MAX_CHECKPOINT_FILES
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """One file.

    Attributes:
        descriptor: open for reading.
        changed_ns: when it was last written to, as it was opened.
    """

    path: str
    size_bytes: int
    descriptor: int
    changed_ns: int

    @property
    def host_path(self) -> Path:
        """By this name it can be opened again, also when it has no other any more."""
        return Path(f"/proc/self/fd/{self.descriptor}")

    def hashed(self) -> OutputFile:
        """The file by its hash.

        Raises:
            OutputRefused: ``changed``: it was written to since it was opened.
        """
        digest = hashlib.sha256()
        offset = 0
        while piece := os.pread(self.descriptor, _CHUNK_BYTES, offset):
            trio.from_thread.check_cancelled()
            digest.update(piece)
            offset += len(piece)
            if offset > self.size_bytes:
                break
        facts = os.fstat(self.descriptor)
        if offset != self.size_bytes or facts.st_mtime_ns != self.changed_ns:
            raise OutputRefused(
                "changed",
                f"{self.path[:200]!a} was written to while it was read: write it under a name that ends "
                "in .tmp, and rename it",
            )
        return OutputFile(self.path, digest.hexdigest(), self.size_bytes)


class OpenedFiles:
    """Files that are open, until it is closed."""

    def __init__(self, files: tuple[OpenedFile, ...]) -> None:
        self.files = files

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for file in self.files:
            os.close(file.descriptor)


def open_files(folder: Path, *, max_bytes: int) -> OpenedFiles:
    """Open every file below a folder that is finished, ordered by path.

    Args:
        max_bytes: of all files together, by their length.

    Raises:
        OutputRefused: at the first thing that is not taken.
    """
    opened: list[OpenedFile] = []
    try:
        with directory_at(folder) as root:
            found = walk(root, _ENTRIES_MAX, but=UNFINISHED_SUFFIXES)
            if len(found) > MAX_CHECKPOINT_FILES:
                raise OutputRefused(
                    "too_many_files",
                    f"{len(found)} files; a checkpoint has at most {MAX_CHECKPOINT_FILES}: pack them",
                )
            for file in found:
                with plain_file(root, file.path) as descriptor:
                    facts = os.fstat(descriptor)
                    held = os.dup(descriptor)
                opened.append(OpenedFile(file.path, facts.st_size, held, facts.st_mtime_ns))
        total = sum(file.size_bytes for file in opened)
        if total > max_bytes:
            raise OutputRefused("too_large", f"files of {total} bytes; at most {max_bytes}")
    except BaseException:
        for each in opened:
            os.close(each.descriptor)
        raise
    return OpenedFiles(tuple(opened))
