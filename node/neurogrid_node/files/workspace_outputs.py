"""What a job left in /outputs, read as if the job meant harm: it may have.

No link is followed, nothing but plain files is opened, and names, depth, number and size are
bounded. The job has ended, so nothing changes meanwhile; the checks do not rely on that.
Everything blocks: run it in a worker thread of trio (it stops when cancelled).
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.fields import FilePath, decode

ENTRIES_MAX: Final = 10_000
# As in `FilePath`; checked before descending, so that a deep tree costs nothing.
_DEPTH_MAX: Final = 16
_CHUNK_BYTES: Final = 1 << 20
# O_NONBLOCK: opening a named pipe must not wait for its other end.
_OPEN_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


class OutputRefused(Exception):
    """Something in /outputs is not a plain file we take; ``code`` is stable.

    Codes: symlink, hard_link, device, fifo, socket, bad_name, too_deep, too_many_files, too_large,
    unreadable, changed.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class CollectedFile:
    """One output.

    Attributes:
        path: relative to /outputs, with slashes.
        sha256: hex.
        host_path: where it lies until the workspace is destroyed.
    """

    path: str
    size_bytes: int
    sha256: str
    host_path: Path


@dataclass(frozen=True, slots=True)
class Found:
    """A plain file that is there, as its folder says.

    Attributes:
        path: relative to the folder that was walked, with slashes.
    """

    path: str
    size_bytes: int


def collect_files(
    outputs: Path, *, max_bytes: int, max_entries: int = ENTRIES_MAX
) -> tuple[CollectedFile, ...]:
    """Every output, ordered by path.

    Args:
        max_bytes: of all files together, by their length (a file with holes counts in full).
        max_entries: files and folders together.

    Raises:
        OutputRefused: at the first thing, in order of path, that is not taken.
    """
    with directory_at(outputs) as root:
        found = walk(root, max_entries)
        total = sum(file.size_bytes for file in found)
        if total > max_bytes:
            raise OutputRefused("too_large", f"outputs of {total} bytes; at most {max_bytes}")
        return tuple(
            CollectedFile(file.path, file.size_bytes, _sha256(root, file), outputs / file.path)
            for file in found
        )


def walk(root: int, max_entries: int, *, but: tuple[str, ...] = ()) -> list[Found]:
    """Every file below an open folder, ordered by path.

    Args:
        but: files and folders whose names end so are left out, whatever they are.

    Raises:
        OutputRefused: at the first thing that is not taken.
    """
    seen = 0
    found: list[Found] = []

    def enter(directory: int, prefix: str, depth: int) -> None:
        nonlocal seen
        names = []
        with os.scandir(directory) as entries:
            for entry in entries:
                seen += 1
                if seen > max_entries:
                    raise OutputRefused(
                        "too_many_files", f"over {max_entries} files and folders: pack them"
                    )
                if not entry.name.endswith(but):
                    names.append(entry.name)
        for name in sorted(names):
            path = _checked(prefix + name)
            facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISDIR(facts.st_mode):
                found.append(Found(path, _size_of_plain(facts, path)))
                continue
            if depth == _DEPTH_MAX:
                raise OutputRefused("too_deep", f"{_shown(path)}: over {_DEPTH_MAX} folders deep")
            with directory_at(name, inside=directory) as inner:
                enter(inner, path + "/", depth + 1)

    enter(root, "", 1)
    return sorted(found, key=lambda file: file.path)


def _checked(path: str) -> str:
    name = path.rpartition("/")[2]
    try:
        path.encode()
        decode(FilePath, path)
    except (UnicodeEncodeError, MalformedMessage) as error:
        raise OutputRefused("bad_name", f"a name that cannot travel: {_shown(path)}") from error
    if not name.isprintable():
        raise OutputRefused("bad_name", f"a name with characters nobody sees: {_shown(path)}")
    return path


def _shown(path: str) -> str:
    return ascii(path[:200])


def _size_of_plain(facts: os.stat_result, path: str) -> int:
    mode = facts.st_mode
    for is_kind, code, words in (
        (stat.S_ISLNK, "symlink", "a symbolic link"),
        (stat.S_ISFIFO, "fifo", "a named pipe"),
        (stat.S_ISSOCK, "socket", "a socket"),
        (stat.S_ISCHR, "device", "a device"),
        (stat.S_ISBLK, "device", "a device"),
    ):
        if is_kind(mode):
            raise OutputRefused(code, f"{_shown(path)} is {words}; only plain files are taken")
    if not stat.S_ISREG(mode):
        raise OutputRefused("device", f"{_shown(path)} is no plain file")
    if facts.st_nlink != 1:
        raise OutputRefused("hard_link", f"{_shown(path)} has {facts.st_nlink} names; copy it")
    return facts.st_size


def _sha256(root: int, file: Found) -> str:
    """Hash of exactly the bytes that were counted, opened again without following a link."""
    digest = hashlib.sha256()
    remaining = file.size_bytes
    with plain_file(root, file.path) as descriptor:
        while True:
            trio.from_thread.check_cancelled()
            piece = os.read(descriptor, min(_CHUNK_BYTES, remaining + 1))
            digest.update(piece)
            remaining -= len(piece)
            if not piece or remaining < 0:
                break
    if remaining != 0:
        raise OutputRefused("changed", f"{_shown(file.path)} changed while it was read")
    return digest.hexdigest()


@contextmanager
def plain_file(root: int, path: str) -> Iterator[int]:
    """Open one file, component by component from the root.

    Raises:
        OutputRefused: it is not there, or no plain file.
    """
    *folders, name = path.split("/")
    opened: list[int] = []
    try:
        inside = root
        for folder in folders:
            inside = os.open(folder, _OPEN_DIRECTORY, dir_fd=inside)
            opened.append(inside)
        opened.append(os.open(name, _OPEN_FILE, dir_fd=inside))
        _size_of_plain(os.fstat(opened[-1]), path)
        yield opened[-1]
    except OSError as error:
        raise OutputRefused("unreadable", f"{_shown(path)}: {error.strerror}") from error
    finally:
        for descriptor in opened:
            os.close(descriptor)


@contextmanager
def directory_at(path: Path | str, *, inside: int | None = None) -> Iterator[int]:
    """Open a folder, which is no link.

    Raises:
        OutputRefused: ``unreadable``.
    """
    try:
        descriptor = os.open(path, _OPEN_DIRECTORY, dir_fd=inside)
    except OSError as error:
        raise OutputRefused("unreadable", f"{_shown(str(path))}: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def used_bytes(outputs: Path, *, stop_at: int) -> int:
    """Disk blocks used below a directory, counted no further than ``stop_at``.

    For a directory without a limit of its own. Names that vanish meanwhile are not counted; more
    than ``ENTRIES_MAX`` of them count as ``stop_at``.
    """
    total = seen = 0
    waiting = [outputs]
    while waiting:
        trio.from_thread.check_cancelled()
        try:
            entries = os.scandir(waiting.pop())
        except OSError:
            continue
        with entries:
            for entry in entries:
                seen += 1
                try:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    is_folder = entry.is_dir(follow_symlinks=False)
                except OSError:
                    continue
                if total >= stop_at or seen > ENTRIES_MAX:
                    return stop_at
                if is_folder:
                    waiting.append(Path(entry.path))
    return total
