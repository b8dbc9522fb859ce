"""Input and output files: blobs by their SHA-256, wherever they are kept, and the tokens that leases fetch by.

They are kept on the disk (`disk_blobs`) or in a bucket of an S3-compatible store (`s3_blobs`). Which account may read
one is in the database (`store.artifacts`).
"""

import asyncio
import hashlib
import hmac
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
# Bytes move between loop and store in pieces of this size: large enough that the hop to a thread
# (0.1 ms) is small beside it, small enough to keep 64 transfers below 64 MiB.
PIECE_BYTES = 1024 * 1024


class ArtifactRefused(Exception):
    """The upload cannot be kept; the message is for whoever sent it."""


class TooLarge(ArtifactRefused):
    """More bytes than allowed."""


class WrongHash(ArtifactRefused):
    """The bytes are not those of the hash under which they were sent."""


class DiskFull(ArtifactRefused):
    """The coordinator's disk has no room; try again later or elsewhere."""


class StoreUnavailable(Exception):
    """The store of blobs does not answer, or not as it should; the same may succeed later. The message is for the log."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored file."""

    sha256: str
    size_bytes: int


class Turns:
    """Who may say whether a blob stays: whoever makes it somebody's, or whoever found that nobody has it.

    A store can't be asked in a transaction of the database. So both hold a blob's turn from looking at it to what
    follows from that: one stands by the other's commit, and no file goes while it becomes somebody's.
    """

    def __init__(self) -> None:
        # Some blobs share one, which costs them a wait of one commit.
        self._locks = tuple(asyncio.Lock() for _ in range(256))

    def of(self, sha256: str) -> asyncio.Lock:
        """The turn of a blob."""
        return self._locks[int(checked(sha256)[:2], 16)]


class BlobStore(Protocol):
    """Where blobs are. A blob is there under its name only when all its bytes are, and then never changes.

    Every method but `file` and `read` of a local disk may raise `StoreUnavailable`; where it says `FileNotFoundError`
    the store has answered that it has no such blob. What is no SHA-256 is a `ValueError`.
    """

    turns: Turns

    async def put(
        self, chunks: AsyncIterator[bytes], *, size_bytes_max: int, sha256: str | None = None
    ) -> Blob:
        """Store what arrives; on any error, and when cancelled, nothing of it can be read.

        Args:
            size_bytes_max: more is refused, as soon as it has arrived.
            sha256: the hash it must have, if that is known before.

        Raises:
            TooLarge, WrongHash, DiskFull, StoreUnavailable: see there.
        """
        ...

    async def size_bytes(self, sha256: str) -> int | None:
        """The size of a stored blob; None if it is not here."""
        ...

    def read(self, sha256: str, offset: int = 0) -> AsyncGenerator[bytes]:
        """The blob's bytes from ``offset`` on.

        Raises:
            FileNotFoundError: it is not here.
        """
        ...

    def file(self, sha256: str) -> AbstractAsyncContextManager[Path]:
        """The blob as a file on this machine, for programs that need one; it may be gone afterwards.

        Raises:
            FileNotFoundError: it is not here.
            DiskFull: there is no room for it.
        """
        ...

    async def remove(self, sha256: str) -> None:
        """Delete a stored blob, if it is here. The caller knows that nobody has it, and has its turn."""
        ...


async def content(blobs: BlobStore, sha256: str, size_bytes_max: int) -> bytes | None:
    """A small blob's bytes; None if it is not here, or larger.

    Raises:
        StoreUnavailable: see there.
    """
    found = bytearray()
    try:
        async with aclosing(blobs.read(sha256)) as pieces:
            async for piece in pieces:
                found += piece
                if len(found) > size_bytes_max:
                    return None
    except FileNotFoundError:
        return None
    return bytes(found)


def checked(sha256: str) -> str:
    """The same, if it is a SHA-256 as we write it: what names a file or an object must be nothing else.

    Raises:
        ValueError: it is not.
    """
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"{sha256[:80]!r} is not a SHA-256")
    return sha256


class LeaseTokens:
    """Bearer tokens by which a node fetches inputs and puts outputs of one lease.

    ``<lease id>.<HMAC-SHA256 of it>``: nothing to store, and a restarted coordinator makes the same
    one. A token says which lease speaks; whether that lease may still do so is the caller's question.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            raise ValueError("a token secret has at least 32 bytes")
        self._secret = secret

    def secret_for(self, purpose: bytes) -> bytes:
        """Another secret, from which nobody finds out this one."""
        return hmac.new(self._secret, purpose, hashlib.sha256).digest()

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
