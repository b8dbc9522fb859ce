"""Changing a catalogue's file: what its operator wrote stays as it is, comments too.

A change is made in the text, read as a whole, and written only if it says what was meant.
"""

import json
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.model_catalogue import Catalogue, parse_catalogue
from neurogrid_marketplace.model_server import ModelWeights, WeightsInput

# As the coordinator reads it.
_FILE_BYTES_MAX = 4 * 1024 * 1024
_WEIGHTS = "[model.server.weights]"


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


def name_weights(path: Path, model_id: str, files: Sequence[WeightsInput]) -> None:
    """Write down which files the weights of a model's server are, in place of those that are named there.

    Raises:
        InvalidValue: the file has a mistake, no such model, or none with weights beside its image; or its text is of a form
            that is not changed by guessing.
    """
    text, catalogue = read_catalogue_file(path)
    weights = weights_of(path, catalogue, model_id)
    try:
        meant = msgspec.convert(
            {**msgspec.to_builtins(weights), "files": msgspec.to_builtins(files)}, ModelWeights
        )
    except msgspec.ValidationError as error:
        raise InvalidValue(f"{path}: {model_id}: {error}") from error
    changed = _with_files(text, catalogue.ids.index(model_id), files)
    found = parse_catalogue(changed, str(path)).find(model_id) if changed is not None else None
    if changed is None or found is None or found.server is None or found.server.weights != meant:
        raise InvalidValue(f"{path}: write the weights as a table of their own: {_WEIGHTS}")
    _write(path, changed)


def weights_of(path: Path, catalogue: Catalogue, model_id: str) -> ModelWeights:
    """The weights that a model's server has beside its image.

    Raises:
        InvalidValue: there is no such model, or it has none.
    """
    model = next((each for each in catalogue.models if each.id == model_id), None)
    if model is None:
        raise InvalidValue(
            f"{path}: no model has the id {model_id}; there are {', '.join(catalogue.ids)}"
        )
    if model.server is None or model.server.weights is None:
        raise InvalidValue(f"{path}: {model_id} has no {_WEIGHTS}: its weights are in its image")
    return model.server.weights


def _with_files(text: str, number: int, files: Sequence[WeightsInput]) -> str | None:
    """The text with these files at the entry of this number; None: its weights' table is not found."""
    lines = text.split("\n")
    entries = [place for place, line in enumerate(lines) if line.strip() == "[[model]]"]
    if number >= len(entries):
        return None
    ends = [*entries[1:], len(lines)][number]
    heads = [
        place for place in range(entries[number], ends) if lines[place].lstrip().startswith("[")
    ]
    table = next((place for place in heads if lines[place].strip() == _WEIGHTS), None)
    if table is None:
        return None
    after = next((place for place in heads if place > table), ends)
    kept = _without_files(lines[table + 1 : after])
    blank = len(kept)
    while blank and not kept[blank - 1].strip():
        blank -= 1
    new = ["files = [", *(f"  {_inline(each)}," for each in files), "]"]
    whole = [*lines[: table + 1], *kept[:blank], *new, *kept[blank:], *lines[after:]]
    return "\n".join(whole)


def _without_files(lines: Sequence[str]) -> list[str]:
    """A table's lines without what it says of its files, as `name_weights` writes it."""
    if "files = [" not in lines:
        return list(lines)
    begin = lines.index("files = [")
    end = lines.index("]", begin) if "]" in lines[begin:] else len(lines) - 1
    return [*lines[:begin], *lines[end + 1 :]]


def _inline(file: WeightsInput) -> str:
    # A basic string of TOML has JSON's escapes.
    path = json.dumps(file.path, ensure_ascii=False)
    return f'{{ path = {path}, sha256 = "{file.sha256}", size_bytes = {file.size_bytes} }}'


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
