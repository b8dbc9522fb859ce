"""Input and output files: blobs on the disk by their SHA-256, and the tokens that leases fetch by.

    DATA/artifacts/ab/abcd...    a whole blob, never changed
    DATA/artifacts/partial/...   uploads under way; emptied at start

A blob appears under its name only when all its bytes are on the disk (written, fsynced, renamed), so
whatever is there is right after any crash. Which account may read it is in the database
(`store.artifacts`).
"""

import asyncio
import hashlib
import hmac
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
# Bytes move between loop and disk in pieces of this size: large enough that the hop to a thread
# (0.1 ms) is small beside it, small enough to keep 64 transfers below 64 MiB.
PIECE_BYTES = 1024 * 1024
# Uploads at a time; more wait. Each has a thread hop and a piece in memory.
UPLOADS_MAX = 64
# An upload stops while this much is still free: the database lives on the same disk.
FREE_BYTES_MIN = 512 * 1024 * 1024


class ArtifactRefused(Exception):
    """The upload cannot be kept; the message is for whoever sent it."""


class TooLarge(ArtifactRefused):
    """More bytes than allowed."""


class WrongHash(ArtifactRefused):
    """The bytes are not those of the hash under which they were sent."""


class DiskFull(ArtifactRefused):
    """The coordinator's disk has no room; try again later or elsewhere."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored file."""

    sha256: str
    size_bytes: int


class BlobStore:
    """Files by content in one folder. Cheap to make; holds nothing but a limit of uploads."""

    def __init__(self, folder: Path, *, free_bytes_min: int = FREE_BYTES_MIN) -> None:
        self._folder = folder
        self._partial = folder / "partial"
        self._free_bytes_min = free_bytes_min
        self._uploads = asyncio.Semaphore(UPLOADS_MAX)

    def prepare(self) -> None:
        """Make the folders, and drop uploads that a former life left unfinished."""
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)

    async def put(
        self, chunks: AsyncIterator[bytes], *, size_bytes_max: int, sha256: str | None = None
    ) -> Blob:
        """Store what arrives; on any error, and when cancelled, nothing is left behind.

        Args:
            size_bytes_max: more is refused, as soon as it has arrived.
            sha256: the hash it must have, if that is known before.

        Raises:
            TooLarge, WrongHash, DiskFull: see there.
        """
        async with self._uploads:
            partial = self._partial / secrets.token_hex(16)
            writer = await asyncio.to_thread(_Writer, partial)
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

    def size_bytes(self, sha256: str) -> int | None:
        """The size of a stored blob; None if it is not here."""
        try:
            return self._path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def path(self, sha256: str) -> Path | None:
        """Where a stored blob lies, for a server that sends files by itself; None if not here."""
        path = self._path(sha256)
        return path if path.is_file() else None

    async def read(self, sha256: str, offset: int = 0) -> AsyncIterator[bytes]:
        """The blob's bytes from ``offset`` on.

        Raises:
            FileNotFoundError: it is not here.
        """
        file = await asyncio.to_thread(_open_at, self._path(sha256), offset)
        try:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece
        finally:
            file.close()

    def _path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256[:80]!r} is not a SHA-256")
        return self._folder / sha256[:2] / sha256

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


class LeaseTokens:
    """Bearer tokens by which a node fetches inputs and puts outputs of one lease.

    ``<lease id>.<HMAC-SHA256 of it>``: nothing to store, and a restarted coordinator makes the same
    one. A token says which lease speaks; whether that lease may still do so is the caller's question.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            raise ValueError("a token secret has at least 32 bytes")
        self._secret = secret

    def token(self, lease_id: str) -> str:
        """The token of a lease."""
        digest = hmac.new(self._secret, lease_id.encode(), hashlib.sha256).hexdigest()
        return f"{lease_id}.{digest}"

    def lease_of_token(self, token: str) -> str | None:
        """The lease whose token this is; None if it is nobody's."""
        lease_id = token.partition(".")[0]
        try:
            expected = self.token(lease_id).encode()
            given = token.encode()
        except UnicodeEncodeError:
            return None
        return lease_id if hmac.compare_digest(expected, given) else None
