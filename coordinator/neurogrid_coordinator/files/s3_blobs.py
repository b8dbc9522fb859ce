"""Blobs in a bucket of an S3-compatible store.

    PREFIX ab/abcd...            a whole blob, never changed
    DATA/artifacts/partial/...   on the disk: what has to be a file for a moment; emptied at start

An object appears only when its upload is completed, and that only happens when all bytes have come and have the hash of
its name.
"""

import asyncio
import hashlib
import logging
import secrets
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from .artifacts import (
    PIECE_BYTES,
    Blob,
    DiskFull,
    StoreUnavailable,
    TooLarge,
    Turns,
    WrongHash,
    checked,
)
from .disk_blobs import FREE_BYTES_MIN
from .s3_bucket import Bucket, Part

_log = logging.getLogger(__name__)

# What is no larger is one request. Larger ones travel in parts of this size, unless there would be too many.
PART_BYTES: Final = 8 * 1024 * 1024
_PARTS_MAX: Final = 10_000
# Uploads at a time; more wait. Each has a part in memory.
_UPLOADS_MAX: Final = 16
# What was begun so long ago and is not there yet is nobody's any more; another coordinator's may be.
_STALE: Final = timedelta(days=1)
# How often a download that breaks off goes on where it was.
_RESUMES_MAX: Final = 3
RESUME_AFTER_S: Final = 0.5


class S3Blobs:
    """Objects by content in one bucket.

    Args:
        folder: for what has to be a file for a moment.
        part_bytes: of large uploads; S3 takes no smaller ones than 5 MiB but the last.
        resume_after_s: how long a download that broke off waits, longer each time.
    """

    def __init__(
        self,
        bucket: Bucket,
        folder: Path,
        *,
        part_bytes: int = PART_BYTES,
        resume_after_s: float = RESUME_AFTER_S,
        free_bytes_min: int = FREE_BYTES_MIN,
    ) -> None:
        self._bucket = bucket
        self._partial = folder / "partial"
        self._part_bytes = part_bytes
        self._resume_after_s = resume_after_s
        self._free_bytes_min = free_bytes_min
        self._uploads = asyncio.Semaphore(_UPLOADS_MAX)
        self.turns = Turns()

    async def prepare(self) -> None:
        """Make the folder, and drop what former lives left unfinished; a store that is away is only complained of.

        Raises:
            OSError: the folder can't be made.
        """
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        try:
            if dropped := await self._bucket.abandon_begun(datetime.now(UTC) - _STALE):
                _log.info("dropped %d uploads that had never ended", dropped)
        except StoreUnavailable as error:
            _log.error("the store of artifacts: %s", error)

    async def put(
        self, chunks: AsyncIterator[bytes], *, size_bytes_max: int, sha256: str | None = None
    ) -> Blob:
        """See `BlobStore`. An object has to be begun under its name, so what has none yet is kept on the disk first."""
        async with self._uploads:
            if sha256 is not None:
                return await self._put(chunks, size_bytes_max, checked(sha256))
            async with self._file(chunks, size_bytes_max) as (path, blob):
                return await self._put(_pieces(path), blob.size_bytes, blob.sha256)

    async def size_bytes(self, sha256: str) -> int | None:
        """See `BlobStore`."""
        try:
            return await self._bucket.size_bytes(_key(sha256))
        except FileNotFoundError:
            return None

    async def read(self, sha256: str, offset: int = 0) -> AsyncGenerator[bytes]:
        """See `BlobStore`. What breaks off goes on where it was, a few times."""
        resumes = 0
        while True:
            try:
                body = await self._bucket.open(_key(sha256), offset)
                try:
                    while piece := await body.piece():
                        offset += len(piece)
                        yield piece
                    return
                finally:
                    body.close()
            except StoreUnavailable:
                resumes += 1
                if resumes > _RESUMES_MAX:
                    raise
            await asyncio.sleep(self._resume_after_s * resumes)

    @asynccontextmanager
    async def file(self, sha256: str) -> AsyncGenerator[Path]:
        """See `BlobStore`: a copy, which has the hash that it should."""
        size_bytes = await self.size_bytes(sha256)
        if size_bytes is None:
            raise FileNotFoundError(sha256)
        async with (
            aclosing(self.read(sha256)) as pieces,
            self._file(pieces, size_bytes) as (path, blob),
        ):
            if blob.sha256 != sha256:
                _log.error("the object %s is damaged: it has SHA-256 %s", sha256, blob.sha256)
                raise FileNotFoundError(sha256)
            yield path

    async def remove(self, sha256: str) -> None:
        """See `BlobStore`."""
        await self._bucket.remove(_key(sha256))

    async def _put(self, chunks: AsyncIterator[bytes], size_bytes_max: int, sha256: str) -> Blob:
        key, size_bytes, digest = _key(sha256), 0, hashlib.sha256()
        part_bytes = max(self._part_bytes, -(-size_bytes_max // _PARTS_MAX))
        pending = bytearray()
        parts: list[Part] = []
        upload_id = ""
        try:
            async for chunk in chunks:
                size_bytes += len(chunk)
                if size_bytes > size_bytes_max:
                    raise TooLarge(f"more than {size_bytes_max} bytes")
                pending += chunk
                while len(pending) > part_bytes:
                    part = bytes(pending[:part_bytes])
                    del pending[:part_bytes]
                    await asyncio.to_thread(digest.update, part)
                    upload_id = upload_id or await self._bucket.begin(key)
                    parts.append(await self._bucket.put_part(key, upload_id, len(parts) + 1, part))
            last = bytes(pending)
            await asyncio.to_thread(digest.update, last)
            if (found := digest.hexdigest()) != sha256:
                raise WrongHash(f"the bytes have SHA-256 {found}, not {sha256}")
            if not upload_id:
                await self._bucket.put(key, last)
            else:
                parts.append(await self._bucket.put_part(key, upload_id, len(parts) + 1, last))
                await self._bucket.complete(key, upload_id, parts)
                upload_id = ""
        finally:
            if upload_id:
                self._bucket.abandon(key, upload_id)
        return Blob(sha256, size_bytes)

    @asynccontextmanager
    async def _file(
        self, chunks: AsyncIterator[bytes], size_bytes_max: int
    ) -> AsyncGenerator[tuple[Path, Blob]]:
        """What arrives as a file, for as long as the caller is in here."""
        path = self._partial / secrets.token_hex(16)
        digest, size_bytes = hashlib.sha256(), 0
        try:
            with path.open("xb") as file:

                def write(data: bytes) -> None:
                    digest.update(data)
                    file.write(data)

                pending = bytearray()
                async for chunk in chunks:
                    size_bytes += len(chunk)
                    if size_bytes > size_bytes_max:
                        raise TooLarge(f"more than {size_bytes_max} bytes")
                    pending += chunk
                    if len(pending) >= PIECE_BYTES:
                        self._require_room(len(pending))
                        await asyncio.to_thread(write, bytes(pending))
                        pending.clear()
                self._require_room(len(pending))
                await asyncio.to_thread(write, bytes(pending))
            yield path, Blob(digest.hexdigest(), size_bytes)
        finally:
            path.unlink(missing_ok=True)

    def _require_room(self, size_bytes: int) -> None:
        if shutil.disk_usage(self._partial).free < self._free_bytes_min + size_bytes:
            raise DiskFull("the coordinator's disk is full; try again later")


def _key(sha256: str) -> str:
    return f"{checked(sha256)[:2]}/{sha256}"


async def _pieces(path: Path) -> AsyncGenerator[bytes]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece
