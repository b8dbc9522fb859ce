"""The files of the dashboard as they are sent: read once, whole, packed, each under its own path and nothing beside.

No path of a request ever becomes a path on the disk, so there is nothing to break out of.
"""

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

FOLDER: Final = Path(str(resources.files("neurogrid_coordinator"))) / "dashboard_files"
INDEX: Final = "index.html"
# Built files carry a hash of what is in them in their names, so that one is never another.
_HASHED: Final = "assets/"
# Twenty times what there is: a folder that somebody filled is not read into memory.
_BYTES_MAX: Final = 20 * 1024 * 1024
_SMALL: Final = 512


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file.

    Attributes:
        packed: in gzip; None where that gains nothing.
        is_hashed: nothing else is ever under this name.
    """

    content: bytes
    packed: bytes | None
    media_type: str
    etag: str
    is_hashed: bool


def read_files(folder: Path = FOLDER) -> Mapping[str, PageFile]:
    """All files by their path below ``folder``, as URLs have it; empty where nothing was built.

    Raises:
        ValueError: there is more than a dashboard can be.
    """
    found: dict[str, PageFile] = {}
    size = 0
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or path.is_symlink() or name.startswith("."):
            continue
        size += path.stat().st_size
        if size > _BYTES_MAX:
            raise ValueError(f"{folder} holds more than {_BYTES_MAX} bytes")
        found[name] = _file(name, path.read_bytes())
    return found if INDEX in found else {}


def _file(name: str, content: bytes) -> PageFile:
    packed = gzip.compress(content, 9, mtime=0) if len(content) > _SMALL else None
    if packed is not None and len(packed) > 0.95 * len(content):
        packed = None
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if name.endswith(".js"):
        # Some systems' tables say otherwise, and browsers run no module of another type.
        media_type = "text/javascript"
    if media_type.startswith("text/"):
        media_type += "; charset=utf-8"
    digest = hashlib.sha256(content).hexdigest()[:32]
    return PageFile(content, packed, media_type, f'"{digest}"', name.startswith(_HASHED))
