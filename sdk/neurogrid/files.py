"""What is done with files on this machine, for both clients: hashes, pieces, paths that stay inside."""

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from .errors import IntegrityError

CHUNK_BYTES = 1024 * 1024


def inside(path: str) -> PurePosixPath:
    """The output's path, unless it would leave the directory: the server is not trusted with that."""
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts or "\\" in path or "\0" in path:
        raise IntegrityError(f"the coordinator names an output {path!r}, which is no plain path")
    return relative


def hash_file(path: Path) -> tuple[str, int]:
    """Its SHA-256 in hex, and its size."""
    digest, size_bytes = hashlib.sha256(), 0
    for piece in pieces(path):
        digest.update(piece)
        size_bytes += len(piece)
    return digest.hexdigest(), size_bytes


def pieces(path: Path) -> Iterator[bytes]:
    """What is in a file, a MiB at a time."""
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece
