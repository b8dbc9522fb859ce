"""Makes a coordinator's directory from a backup: everything is checked before anything has its name.

DIR.partial    the directory until it is whole, then renamed over DIR, which is empty or not there
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .. import restored
from ..setup import DATABASE_FILE
from ..store.migrations import SchemaTooNew, known
from ..store.sqlite_file import DamagedDatabase, check_file
from . import manifest
from .archive import BadArchive, Member, Stored, copy_out, members
from .manifest import MANIFEST_BYTES_MAX, MANIFEST_FILE, BackupTooNew, Manifest
from .saving import Progress


class DirectoryInUse(Exception):
    """Something is in the directory; a backup is never restored over anything."""


def restore(source: Path, directory: Path, progress: Progress) -> Manifest:
    """Make ``directory`` from a backup, with the mark that makes its first start let go of what was under way.

    Raises:
        DirectoryInUse: see there.
        BadArchive: the file is no backup, is damaged, or was made to harm.
        BackupTooNew: a newer release made it.
        OSError: it isn't there, or the disk is full.
    """
    _require_empty(directory)
    with source.open("rb") as file:
        found = list(_checked_names(file))
        described = _manifest(file, found)
        partial = directory.with_name(directory.name + ".partial")
        if partial.exists() or partial.is_symlink():
            raise DirectoryInUse(
                f"{partial} is there: another restore writes it, or one was killed; then remove it"
            )
        with _removed_unless_renamed(partial):
            _put(file, found, described, partial, progress)
            _check_database(partial / DATABASE_FILE, described)
            restored.mark(partial, described.made_at_ms)
            _sync_folders(partial)
            _require_empty(directory)
            partial.rename(directory)
            _sync(directory.parent)
    return described


def _require_empty(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise DirectoryInUse(f"{directory} is no directory")
    if directory.is_dir() and any(directory.iterdir()):
        raise DirectoryInUse(
            f"{directory} isn't empty: restore into a new directory, and put that into its place "
            "when no coordinator runs there"
        )


def _checked_names(file: BinaryIO) -> Iterator[Member]:
    seen = set()
    for member in members(file):
        if member.name != MANIFEST_FILE and not manifest.is_known(member.name):
            raise BadArchive(f"{member.name[:80]!r} is nothing that a backup has")
        if member.name in seen:
            raise BadArchive(f"{member.name!r} is in it twice")
        seen.add(member.name)
        yield member


def _manifest(file: BinaryIO, found: list[Member]) -> Manifest:
    if not found or found[-1].name != MANIFEST_FILE:
        raise BadArchive("it has no manifest at its end: it is no backup, or isn't whole")
    last = found.pop()
    if last.size_bytes > MANIFEST_BYTES_MAX:
        raise BadArchive(f"its manifest has more than {MANIFEST_BYTES_MAX} bytes")
    file.seek(last.offset)
    described = manifest.decode(file.read(last.size_bytes))
    newest = len(known())
    if described.schema > newest:
        raise BackupTooNew(
            f"NeuroGrid {described.version[:40]} made it: its database has schema {described.schema}, "
            f"and this release knows up to {newest}. Restore it with that release"
        )
    return described


def _put(
    file: BinaryIO, found: list[Member], described: Manifest, partial: Path, progress: Progress
) -> None:
    listed = [(item.name, item.size_bytes) for item in described.files]
    if listed != [(member.name, member.size_bytes) for member in found]:
        raise BadArchive("its manifest lists other files, or other sizes, than it holds")
    if DATABASE_FILE not in (name for name, _ in listed):
        raise BadArchive("it holds no database")
    total = sum(member.size_bytes for member in found)
    done = 0
    partial.mkdir(mode=0o700)
    for member, said in zip(found, described.files, strict=True):
        _put_one(file, member, said, partial)
        done += member.size_bytes
        progress("files", done, total)


def _put_one(file: BinaryIO, member: Member, said: Stored, partial: Path) -> None:
    path = partial / member.name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as target:
        sha256 = copy_out(file, member, target)
        if sha256 != said.sha256 or manifest.blob_of(member.name) not in (None, sha256):
            raise BadArchive(f"{member.name!r} is damaged: it has SHA-256 {sha256}")
        target.flush()
        os.fsync(target.fileno())


def _check_database(path: Path, described: Manifest) -> None:
    try:
        schema = check_file(path)
    except (DamagedDatabase, SchemaTooNew) as error:
        raise BadArchive(f"its database: {error}") from error
    if schema != described.schema or not schema:
        raise BadArchive(
            f"its database has schema {schema}, and its manifest says {described.schema}"
        )


@contextmanager
def _removed_unless_renamed(partial: Path) -> Iterator[None]:
    try:
        yield
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sync_folders(top: Path) -> None:
    for folder, _, _ in os.walk(top):
        _sync(Path(folder))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
