"""Blobs on this machine's disk.

    DATA/artifacts/ab/abcd...    a whole blob, never changed
    DATA/artifacts/partial/...   uploads under way; emptied at start

A blob appears under its name only when all its bytes are on the disk (written, fsynced, renamed), so
whatever is there is right after any crash.
"""

import asyncio
import hashlib
import os
import secrets
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from .artifacts import PIECE_BYTES, Blob, DiskFull, TooLarge, Turns, WrongHash, checked

# Uploads at a time; more wait. Each has a thread hop and a piece in memory.
UPLOADS_MAX = 64
# An upload stops while this much is still free: the database lives on the same disk.
FREE_BYTES_MIN = 512 * 1024 * 1024


class DiskBlobs:
    """Files by content in one folder. Cheap to make; holds nothing but a limit of uploads."""

    def __init__(self, folder: Path, *, free_bytes_min: int = FREE_BYTES_MIN) -> None:
        self._folder = folder
        self._partial = folder / "partial"
        self._free_bytes_min = free_bytes_min
        self._uploads = asyncio.Semaphore(UPLOADS_MAX)
        self.turns = Turns()

    def prepare(self) -> None:
        """Make the folders, and drop uploads that a former life left unfinished."""
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)

    async def put(
        self, chunks: AsyncIterator[bytes], *, size_bytes_max: int, sha256: str | None = None
    ) -> Blob:
        """See `BlobStore`."""
        async with self._uploads:
            partial = self._partial / secrets.token_hex(16)
            # No thread: who is cancelled meanwhile would leave it open.
            writer = _Writer(partial)
            try:
                pending = bytearray()
                size_bytes = 0
                async for chunk in chunks:
                    size_bytes += len(chunk)
                    if size_bytes > size_bytes_max:
                        raise TooLarge(f"more than {size_bytes_max} bytes")
                    pending += chunk
                    if len(pending) >= PIECE_BYTES:
                        self._require_room(len(pending))
                        await asyncio.to_thread(writer.write, bytes(pending))
                        pending.clear()
                self._require_room(len(pending))
                await asyncio.to_thread(writer.write, bytes(pending))
                found = writer.sha256()
                if sha256 is not None and found != sha256:
                    raise WrongHash(f"the bytes have SHA-256 {found}, not {sha256}")
                await asyncio.to_thread(writer.keep, self._path(found))
                return Blob(found, size_bytes)
            finally:
                # No thread: a cancelled task could not wait for it.
                writer.discard()

    async def size_bytes(self, sha256: str) -> int | None:
        """See `BlobStore`."""
        try:
            return self._path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    @asynccontextmanager
    async def file(self, sha256: str) -> AsyncGenerator[Path]:
        """The stored file itself: nobody may change it."""
        path = self._path(sha256)
        if not path.is_file():
            raise FileNotFoundError(sha256)
        yield path

    async def remove(self, sha256: str) -> None:
        """See `BlobStore`."""
        self._path(sha256).unlink(missing_ok=True)

    async def read(self, sha256: str, offset: int = 0) -> AsyncGenerator[bytes]:
        """See `BlobStore`."""
        # No thread: who is cancelled meanwhile would leave it open.
        file = _open_at(self._path(sha256), offset)
        try:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece
        finally:
            file.close()

    def _path(self, sha256: str) -> Path:
        return self._folder / checked(sha256)[:2] / sha256

    def _require_room(self, size_bytes: int) -> None:
        if shutil.disk_usage(self._folder).free < self._free_bytes_min + size_bytes:
            raise DiskFull("the coordinator's disk is full; try again later")


class _Writer:
    """One upload's file and running hash; used by one thread at a time."""

    def __init__(self, partial: Path) -> None:
        self._partial = partial
        self._file: BinaryIO | None = partial.open("xb")
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        assert self._file is not None, "open"
        self._file.write(data)
        self._hash.update(data)

    def sha256(self) -> str:
        return self._hash.hexdigest()

    def keep(self, path: Path) -> None:
        assert self._file is not None, "open"
        self._file.flush()
        os.fsync(self._file.fileno())
        path.parent.mkdir(exist_ok=True)
        self._partial.replace(path)
        for folder in (path.parent, path.parent.parent):
            _fsync_folder(folder)

    def discard(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._partial.unlink(missing_ok=True)


def _open_at(path: Path, offset: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(offset)
    return file


def _fsync_folder(folder: Path) -> None:
    # A new name is only durable when its folder is.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
