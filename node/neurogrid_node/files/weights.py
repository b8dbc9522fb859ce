"""Weights of models that were here: files of replicas' inputs that stay for the next one, by coordinator and hash.

    ROOT/COORDINATOR/SHA256     linked into the inputs of each replica that has it

There is nothing beside these files that could come to differ from them. A link more says that a job has one; the time of last
access, which we set, when it was needed last; a time of last change that is ours alone, that its bytes were seen to have the hash of
its name. Jobs see them read-only; whoever else changes one gives it another time, and then it is read again before anybody gets
it. Each coordinator has its own, so none can ask for another's by a hash.
"""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import trio

from neurogrid_marketplace.job import InputFile
from neurogrid_marketplace.serving import WeightsFile

from .artifacts import make_parents

T = TypeVar("T")

_log = logging.getLogger(__name__)

# 9 September 2001: no file of a job's is as old.
_SEEN_NS: Final = 10**18
_INTERVAL_S: Final = 60.0
# What is left free for all others where room is made for weights.
_SPARE_BYTES: Final = 1 << 30
# Some large models, and most of the disk for jobs' own files.
_SHARE_PERCENT: Final = 30


@dataclass(frozen=True, slots=True)
class _Kept:
    path: Path
    size_bytes: int
    used_ns: int
    needed: bool


class Weights:
    """See the module.

    Args:
        root: on the filesystem of the jobs' files; made when there is something to keep.
        limit_bytes: how much of what no job has is kept.
    """

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self._root = root
        self._limit_bytes = limit_bytes
        self._limiter = trio.CapacityLimiter(2)

    async def here_bytes(self, coordinator: str, files: tuple[WeightsFile, ...]) -> int:
        """How much of this is here."""

        def look() -> int:
            sizes = {each.sha256: each.size_bytes for each in files}
            return sum(
                size
                for sha256, size in sizes.items()
                if _size(self._path(coordinator, sha256)) == size
            )

        return await self._done(look) if files else 0

    async def place(self, coordinator: str, wanted: InputFile, inputs: Path) -> bool:
        """Have an input in its place below ``inputs``, if it is here; whether it was.

        Raises:
            OSError: the disk refuses.
        """
        source = self._path(coordinator, wanted.sha256)
        target = inputs / wanted.path

        def link() -> bool:
            if not _is_whole(source, wanted):
                return False
            make_parents(target, inputs)
            if target.exists() and not target.samefile(source):
                target.unlink()
            try:
                with suppress(FileExistsError):
                    os.link(source, target)
            except OSError as error:
                _log.info("weights can't be linked, and are fetched: %s", error)
                return False
            _mark(source)
            return True

        return await self._done(link)

    async def keep(self, coordinator: str, wanted: InputFile, inputs: Path) -> None:
        """Keep an input that has come, and has the hash that was named."""
        source = self._path(coordinator, wanted.sha256)

        def link() -> None:
            fetched = inputs / wanted.path
            try:
                # Before it is said to be whole, it has to be.
                with fetched.open("rb") as file:
                    os.fsync(file.fileno())
                source.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with suppress(FileExistsError):
                    os.link(fetched, source)
                    _mark(source)
            except OSError as error:
                _log.info("weights are not kept: %s", error)

        await self._done(link)

    async def make_room(self, size_bytes: int) -> None:
        """Let go what no job has, the longest unused first, until so much fits; or all of it."""

        def has_room() -> bool:
            return shutil.disk_usage(self._root.parent).free >= size_bytes + _SPARE_BYTES

        def free() -> None:
            if not self._root.exists() or has_room():
                return
            for each in self._unused():
                each.path.unlink(missing_ok=True)
                if has_room():
                    return

        await self._done(free)

    async def trim(self) -> int:
        """Let go what is more than may be kept; how many bytes are."""

        def free() -> int:
            unused = self._unused()
            kept = sum(each.size_bytes for each in unused)
            for each in unused:
                if kept <= self._limit_bytes:
                    break
                each.path.unlink(missing_ok=True)
                kept -= each.size_bytes
            return kept

        return await self._done(free)

    async def run(self) -> None:
        """Trim, for ever."""
        while True:
            try:
                await self.trim()
            except OSError as error:
                _log.warning("weights are not looked through: %s", error)
            await trio.sleep(_INTERVAL_S)

    def _path(self, coordinator: str, sha256: str) -> Path:
        return self._root / coordinator / sha256

    def _unused(self) -> list[_Kept]:
        loose = [each for each in self._all() if not each.needed]
        return sorted(loose, key=lambda each: (each.used_ns, each.path.name))

    def _all(self) -> Iterator[_Kept]:
        for path in self._root.glob("*/*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                yield _Kept(path, status.st_size, status.st_atime_ns, status.st_nlink > 1)

    async def _done(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._limiter)


def weights_limit_bytes(weights_gib: int, root: Path) -> int:
    """How much of what no job has is kept; where nothing is said, a share of the disk.

    Args:
        weights_gib: as configured; 0: nothing is said.
        root: of the jobs' files.
    """
    return (
        weights_gib << 30 if weights_gib else shutil.disk_usage(root).total * _SHARE_PERCENT // 100
    )


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _is_whole(path: Path, wanted: InputFile) -> bool:
    """Whether it is there with the bytes of its name; what is not is removed."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    if status.st_size == wanted.size_bytes:
        if status.st_mtime_ns == _SEEN_NS:
            return True
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == wanted.sha256:
                return True
    _log.warning("weights %s were changed, and are fetched again", path.name)
    path.unlink(missing_ok=True)
    return False


def _mark(path: Path) -> None:
    """It has the bytes of its name, and is needed now."""
    os.utime(path, ns=(time.time_ns(), _SEEN_NS))
