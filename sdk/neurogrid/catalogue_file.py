"""Changing a catalogue's file: what its operator wrote stays as it is, comments too.

A change is made in the text, read as a whole, and written only if it says what was meant.
"""

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.model_catalogue import Catalogue, parse_catalogue

# As the coordinator reads it.
_FILE_BYTES_MAX = 4 * 1024 * 1024


def read_catalogue_file(path: Path) -> tuple[str, Catalogue]:
    """The text of a catalogue's file, and what it says.

    Raises:
        InvalidValue: it can't be read, or has a mistake; it says where.
    """
    try:
        if path.stat().st_size > _FILE_BYTES_MAX:
            raise InvalidValue(f"{path}: more than {_FILE_BYTES_MAX} bytes")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"{path}: {error}") from error
    return text, parse_catalogue(text, str(path))


def add_entry(path: Path, entry: str) -> Catalogue:
    """Add an entry at the end of a file; one that is not there yet is made.

    Returns:
        all that the file says then.

    Raises:
        InvalidValue: the file or the entry has a mistake, or there is a model of that name; the file is as it was.
    """
    text = read_catalogue_file(path)[0] if path.exists() else ""
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    whole = text + gap + entry
    catalogue = parse_catalogue(whole, str(path))
    _write(path, whole)
    return catalogue


def pin_images(path: Path, pin: Callable[[str], str], only: str | None = None) -> dict[str, str]:
    """Replace images' tags by digests.

    Args:
        pin: the name with its digest, of a name.
        only: the id of the model whose image is meant, wherever that stands; None: all images.

    Returns:
        the new name by the old one, of those that have changed.

    Raises:
        InvalidValue: the file has a mistake, no such model, or an image that is not found in its text.
    """
    text, catalogue = read_catalogue_file(path)
    if only is not None and only not in catalogue.ids:
        raise InvalidValue(
            f"{path}: no model has the id {only}; there are {', '.join(catalogue.ids)}"
        )
    images = {each.image for each in catalogue.models if only in (None, each.id)}
    pinned = {image: new for image in sorted(images) if (new := pin(image)) != image}
    for old, new in pinned.items():
        line = re.compile(rf"""^([ \t]*image[ \t]*=[ \t]*)(["']){re.escape(old)}\2""", re.MULTILINE)
        text = line.sub(rf"\g<1>\g<2>{new}\g<2>", text)
    meant = Catalogue(
        tuple(
            msgspec.structs.replace(each, image=pinned.get(each.image, each.image))
            for each in catalogue.models
        )
    )
    if parse_catalogue(text, str(path)).models != meant.models:
        raise InvalidValue(f'{path}: write each image as a line of its own: image = "NAME:TAG"')
    if pinned:
        _write(path, text)
    return pinned


def _write(path: Path, text: str) -> None:
    """Write the whole file or nothing of it, where it really is."""
    place = path.resolve()
    mode = place.stat().st_mode & 0o777 if place.exists() else 0o644
    descriptor, scratch = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(scratch, mode)
        os.replace(scratch, place)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
