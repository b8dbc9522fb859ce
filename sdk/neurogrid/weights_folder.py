"""The files of a model's weights in a folder, as a hub's own program leaves them there."""

from pathlib import Path

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.model_server import WEIGHTS_FILES_MAX

# A hub's cache has each file here by its hash, and in "snapshots" links by name to it.
_BLOBS, _SNAPSHOTS = "blobs", "snapshots"


def weights_files(folder: Path) -> list[tuple[str, Path]]:
    """Each file's path below the folder, and where it is; by path.

    Links are followed: what they lead to is what is loaded. Names that begin with a dot are left out, and so are a hub's
    own copies of what has a name beside them.

    Raises:
        InvalidValue: there are none, or more than a job can have.
    """
    found = sorted(
        (place.relative_to(folder).as_posix(), place)
        for place in folder.rglob("*")
        if place.is_file() and not _left_out(place, folder)
    )
    if not found:
        raise InvalidValue(f"{folder}: no files")
    if len(found) > WEIGHTS_FILES_MAX:
        raise InvalidValue(
            f"{folder}: {len(found)} files; a model has at most {WEIGHTS_FILES_MAX}. Leave out what its server does not load"
        )
    return found


def _left_out(place: Path, folder: Path) -> bool:
    inner = place.relative_to(folder)
    if any(part.startswith(".") for part in inner.parts):
        return True
    return any(
        parent.name == _BLOBS and (parent.parent / _SNAPSHOTS).is_dir()
        for parent in place.parents
        if parent.is_relative_to(folder)
    )
