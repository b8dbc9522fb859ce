"""A disk of a test's own: it may fill it, and knows to the block what is left on it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_disk(place: Path, backing: Path, size_bytes: int) -> Iterator[None]:
    """A filesystem at ``place``.

    Args:
        backing: its file. It has holes, so it takes what is used; it is gone afterwards.
    """
    place.mkdir(parents=True)
    with backing.open("wb") as file:
        file.truncate(size_bytes)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(backing)], check=True)
    subprocess.run(["mount", "-o", "loop", str(backing), str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        backing.unlink()
