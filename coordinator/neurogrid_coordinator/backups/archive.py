"""The file that a backup is: a tar archive of plain files, which `tar` can read too.

Nothing else is taken back from one: headers are read by ourselves, so that a link, a device, a sparse file,
a long name or any other of the format's extensions is refused where it stands, before it means anything.
"""

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_BLOCK_BYTES = 512
_PIECE_BYTES = 1024 * 1024
_NAME_BYTES_MAX = 99


class BadArchive(Exception):
    """It is no backup, or is damaged, or was made to harm; the message says what is wrong."""


class WrongContent(Exception):
    """A file is not what it has to be, and was left out."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in an archive."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Member:
    """A file's header. ``offset``: where its bytes begin."""

    name: str
    size_bytes: int
    offset: int


class ArchiveWriter:
    """Adds files to an open, empty file, one after the other."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def add(
        self, name: str, source: BinaryIO, size_bytes: int, sha256: str | None = None
    ) -> Stored:
        """Add what ``source`` holds.

        Raises:
            WrongContent: it isn't so long, or hasn't this SHA-256; nothing was added.
        """
        begin = self._file.tell()
        self._file.write(_header(name, size_bytes))
        digest = hashlib.sha256()
        left = size_bytes
        while left and (piece := source.read(min(left, _PIECE_BYTES))):
            digest.update(piece)
            self._file.write(piece)
            left -= len(piece)
        found = digest.hexdigest()
        if left or source.read(1) or (sha256 is not None and found != sha256):
            self._file.seek(begin)
            self._file.truncate()
            raise WrongContent(f"{name} is not {size_bytes} bytes with SHA-256 {sha256 or found}")
        self._file.write(bytes(-size_bytes % _BLOCK_BYTES))
        return Stored(name, size_bytes, found)

    def finish(self) -> None:
        """Add the end."""
        self._file.write(bytes(2 * _BLOCK_BYTES))


def members(file: BinaryIO) -> Iterator[Member]:
    """The files of an archive, in order, as far as their headers say; the whole archive is walked.

    Raises:
        BadArchive: it holds anything but plain files, or doesn't end as an archive does.
    """
    file.seek(0, 2)
    end = file.tell()
    offset = 0
    while True:
        file.seek(offset)
        block = file.read(_BLOCK_BYTES)
        if len(block) < _BLOCK_BYTES:
            raise BadArchive("it is cut off, or no backup")
        if block == bytes(_BLOCK_BYTES):
            if end - offset != 2 * _BLOCK_BYTES or any(file.read(_BLOCK_BYTES)):
                raise BadArchive("something follows its end")
            return
        member = _member(block, offset + _BLOCK_BYTES)
        offset = member.offset + member.size_bytes + -member.size_bytes % _BLOCK_BYTES
        if offset > end - 2 * _BLOCK_BYTES:
            raise BadArchive(f"{member.name!r} is cut off, or its size is a lie")
        yield member


def copy_out(file: BinaryIO, member: Member, target: BinaryIO) -> str:
    """Write a file's bytes to ``target``; their SHA-256."""
    file.seek(member.offset)
    digest = hashlib.sha256()
    left = member.size_bytes
    while left:
        piece = file.read(min(left, _PIECE_BYTES))
        if not piece:
            raise BadArchive(f"{member.name!r} is cut off")
        digest.update(piece)
        target.write(piece)
        left -= len(piece)
    return digest.hexdigest()


def _header(name: str, size_bytes: int) -> bytes:
    if len(name.encode()) > _NAME_BYTES_MAX:
        raise ValueError(f"a name of more than {_NAME_BYTES_MAX} bytes: {name!r}")
    info = tarfile.TarInfo(name)
    info.size, info.mode = size_bytes, 0o600
    return info.tobuf(tarfile.GNU_FORMAT)


def _member(block: bytes, offset: int) -> Member:
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        raise BadArchive(f"it has a header that can't be read ({error})") from error
    if info.type != tarfile.REGTYPE or info.linkname:
        raise BadArchive(
            f"{info.name[:80]!r} is a link, a device or another thing that no backup has"
        )
    if info.size < 0:
        raise BadArchive(f"{info.name[:80]!r} has a size below zero")
    return Member(info.name, info.size, offset)
