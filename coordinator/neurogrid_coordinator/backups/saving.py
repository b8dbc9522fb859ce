"""Makes a backup of a coordinator, which may be running.

The database is copied as it is at one moment; the artifacts that it names are added after that, because a blob
never changes. The outbox (payments.db) is left out on purpose: see `neurogrid_coordinator.restored`.

    FILE.partial       the archive until it is whole, then renamed
    FILE.partial.db    the copy of the database meanwhile
"""

import fcntl
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from neurogrid_marketplace import __version__

from ..config import CONFIG_NAME, load_artifacts_config
from ..setup import DATABASE_FILE, TERMS_FILE, database_place
from ..store.artifacts import blobs_needed
from ..store.sqlite_file import check_file, copy_consistently, snapshot_of_file
from . import manifest
from .archive import ArchiveWriter, Stored, WrongContent
from .manifest import FORMAT, KEY_FILES, MANIFEST_FILE, Manifest

# (what is copied, bytes so far, bytes in all or 0 where that isn't known)
Progress = Callable[[str, int, int], None]


class NotOurFile(Exception):
    """The database is on a server, which has its own programs for backups."""


class BackupInUse(Exception):
    """Something has this name already, or another backup is writing it."""


def save(
    directory: Path, target: Path, *, artifacts: bool, keys: bool, progress: Progress
) -> Manifest:
    """Write a backup; when this returns, a power cut finds it. What fails or is killed leaves no file of this name.

    Args:
        artifacts: also the input and output files that the database needs, unless a bucket has them.
        keys: also the keys. Who has them can spend what clients let this coordinator spend.

    Raises:
        BackupInUse, NotOurFile: see there.
        ConfigError: the configuration doesn't say where the database, or the artifacts, are.
        DamagedDatabase: the database isn't sound.
        SchemaTooNew: a newer release wrote it.
        OSError: something isn't there, or the disk is full.
    """
    if not isinstance(database_place(directory), Path):
        raise NotOurFile(
            "this coordinator's database is on a PostgreSQL server: back it up with pg_dump, and "
            "beside it the files of this directory (docs/postgresql.md)"
        )
    artifacts = artifacts and load_artifacts_config(directory / CONFIG_NAME).store == "disk"
    if target.exists() or target.is_symlink():
        raise BackupInUse(f"{target} is there already, and a backup is never replaced")
    with _partial(target) as (file, partial, copy):
        made_at_ms = time.time_ns() // 1_000_000
        copy_consistently(
            directory / DATABASE_FILE, copy, lambda done, of: progress("database", done, of)
        )
        schema = check_file(copy)
        writer = ArchiveWriter(file)
        files = [_add(writer, DATABASE_FILE, copy)]
        files += _add_small(writer, directory, keys=keys)
        absent, damaged = 0, []
        if artifacts:
            with snapshot_of_file(copy) as conn:
                for number, sha256 in enumerate(blobs_needed(conn), 1):
                    progress("artifacts", number, 0)
                    name = manifest.blob_name(sha256)
                    try:
                        files.append(_add(writer, name, directory / name, sha256))
                    except FileNotFoundError:
                        # Deleted since the snapshot, and then nothing needs it any more.
                        absent += 1
                    except WrongContent:
                        damaged.append(sha256)
        made = Manifest(
            format=FORMAT,
            version=__version__,
            schema=schema,
            made_at_ms=made_at_ms,
            artifacts=artifacts,
            keys=keys,
            absent=absent,
            damaged=damaged,
            files=files,
        )
        text = manifest.encode(made)
        writer.add(MANIFEST_FILE, io.BytesIO(text), len(text))
        writer.finish()
        file.flush()
        os.fsync(file.fileno())
        _rename_to_new(partial, target)
    return made


@contextmanager
def _partial(target: Path) -> Iterator[tuple[BinaryIO, Path, Path]]:
    """The archive that isn't whole yet, and a place for the database; both are gone afterwards."""
    partial = target.with_name(target.name + ".partial")
    copy = partial.with_name(partial.name + ".db")
    # It has what clients sent: nobody else reads it, with keys or without.
    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupInUse(f"another backup is writing {partial}") from None
        # Between opening and locking another one may have finished: then this is its whole archive.
        if not partial.exists() or not os.path.samestat(partial.stat(), os.fstat(file.fileno())):
            raise BackupInUse(f"another backup has just written {target}")
        os.fchmod(file.fileno(), 0o600)
        file.truncate(0)
        copy.unlink(missing_ok=True)
        os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            yield file, partial, copy
        finally:
            copy.unlink(missing_ok=True)
            partial.unlink(missing_ok=True)


def _add_small(writer: ArchiveWriter, directory: Path, *, keys: bool) -> Iterator[Stored]:
    """What fits into memory and may be replaced meanwhile: read at once."""
    wanted = [
        (CONFIG_NAME, True),
        (TERMS_FILE, False),
        *((name, True) for name in KEY_FILES if keys),
    ]
    for name, required in wanted:
        try:
            data = (directory / name).read_bytes()
        except FileNotFoundError:
            if required:
                raise
            continue
        yield writer.add(name, io.BytesIO(data), len(data))


def _add(writer: ArchiveWriter, name: str, path: Path, sha256: str | None = None) -> Stored:
    with path.open("rb") as source:
        return writer.add(name, source, os.fstat(source.fileno()).st_size, sha256)


def _rename_to_new(partial: Path, target: Path) -> None:
    if target.exists():
        raise BackupInUse(f"{target} appeared meanwhile, and a backup is never replaced")
    partial.rename(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
