"""Folders of programs that look at a machine beside its node, or before there is one: doctor's.

    PLACE/.doctor-XXXXXXXX     locked for as long as its program lives

A program that was killed leaves its folder, and in it the disk of a container that it was trying, mounted. Nobody
holds the lock then; the next such program, and the next start of the node, remove it. The kernel drops the lock of a
process that dies, so that no clock and no process number is believed. Every function blocks.
"""

import fcntl
import logging
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from .workspace_disk import DiskError, unmount

_log = logging.getLogger(__name__)

_PREFIX: Final = ".doctor-"
# Not yet locked: nobody looks for it.
_NEW_PREFIX: Final = ".new-doctor-"
_MOUNTS: Final = Path("/proc/self/mountinfo")


@contextmanager
def scratch_folder(place: Path) -> Iterator[Path]:
    """An empty folder in this place, that is removed afterwards, or by somebody later.

    Raises:
        OSError: none can be made there.
    """
    made = Path(tempfile.mkdtemp(prefix=_NEW_PREFIX, dir=place))
    held = _lock(made)
    folder = made.rename(made.with_name(made.name.replace(_NEW_PREFIX, _PREFIX)))
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(held)


def remove_forsaken(directory: Path) -> None:
    """Remove what killed programs have left in this directory and above it, where they work while it is missing.

    What cannot be removed is logged.
    """
    for place in (directory, *directory.parents):
        with suppress(OSError):
            for folder in place.glob(f"{_PREFIX}*"):
                _remove_if_forsaken(folder)


def _remove_if_forsaken(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return
    try:
        held = _lock(folder)
    except BlockingIOError:
        return
    try:
        _log.warning("removing %s, which a killed program has left", folder)
        _remove(folder)
    finally:
        os.close(held)


def _lock(folder: Path) -> int:
    """A descriptor that holds the folder's lock.

    Raises:
        BlockingIOError: somebody else does.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove(folder: Path) -> None:
    try:
        for mounted in _mounted_below(folder):
            unmount(mounted)
    except (DiskError, OSError) as error:
        # Its files stay, too: what is mounted in it may be used.
        _log.error("%s stays: %s", folder, error)
        return
    shutil.rmtree(folder, ignore_errors=True)


def _mounted_below(folder: Path) -> list[Path]:
    """What is mounted in a folder, the innermost first."""
    found = []
    for line in _MOUNTS.read_bytes().splitlines():
        # Source: proc(5); what would end a field is written in octal.
        name = re.sub(rb"\\([0-7]{3})", lambda each: bytes([int(each[1], 8)]), line.split(b" ")[4])
        path = Path(os.fsdecode(name))
        if path.is_relative_to(folder.resolve()):
            found.append(path)
    return sorted(found, key=lambda path: len(path.parts), reverse=True)
