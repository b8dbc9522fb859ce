import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.artifacts import (
    PIECE_BYTES,
    BlobStore,
    DiskFull,
    LeaseTokens,
    TooLarge,
    WrongHash,
)


async def arriving(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    store = BlobStore(tmp_path, free_bytes_min=0)
    store.prepare()
    return store


@on_asyncio
async def test_a_blob_is_found_by_the_hash_of_its_bytes(store: BlobStore, tmp_path: Path) -> None:
    chunks = [b"a" * 700_000, b"b" * 700_000, b"c"]
    whole = b"".join(chunks)
    blob = await store.put(arriving(*chunks), size_bytes_max=len(whole))
    assert blob.sha256 == hashlib.sha256(whole).hexdigest()
    assert blob.size_bytes == store.size_bytes(blob.sha256) == len(whole)
    assert files_in(tmp_path) == [f"{blob.sha256[:2]}/{blob.sha256}"]
    assert b"".join([piece async for piece in store.read(blob.sha256)]) == whole
    rest = [piece async for piece in store.read(blob.sha256, offset=len(whole) - 2)]
    assert rest == [b"bc"]


@on_asyncio
async def test_an_empty_blob_and_the_same_blob_twice_are_fine(store: BlobStore) -> None:
    first = await store.put(arriving(), size_bytes_max=0)
    again = await store.put(arriving(b""), size_bytes_max=0)
    assert first == again
    assert first.sha256 == hashlib.sha256(b"").hexdigest()


@on_asyncio
async def test_too_many_bytes_and_a_wrong_hash_leave_nothing(
    store: BlobStore, tmp_path: Path
) -> None:
    with pytest.raises(TooLarge):
        await store.put(arriving(b"x" * 10, b"x"), size_bytes_max=10)
    with pytest.raises(WrongHash):
        await store.put(arriving(b"x"), size_bytes_max=10, sha256="0" * 64)
    assert files_in(tmp_path) == []


@on_asyncio
async def test_an_upload_that_breaks_off_leaves_nothing(store: BlobStore, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (PIECE_BYTES + 1)
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        await store.put(broken(), size_bytes_max=10 * PIECE_BYTES)
    assert files_in(tmp_path) == []


@on_asyncio
async def test_uploads_stop_before_the_disk_is_full(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, free_bytes_min=10**18)
    store.prepare()
    with pytest.raises(DiskFull):
        await store.put(arriving(b"x"), size_bytes_max=10)


@on_asyncio
async def test_a_restart_drops_unfinished_uploads(store: BlobStore, tmp_path: Path) -> None:
    blob = await store.put(arriving(b"kept"), size_bytes_max=10)
    leftover = tmp_path / "partial" / "leftover"
    leftover.write_bytes(b"half")
    store.prepare()
    assert not leftover.exists()
    assert store.path(blob.sha256) is not None


def test_a_name_that_is_no_hash_never_reaches_the_disk(store: BlobStore) -> None:
    for name in ("../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"):
        with pytest.raises(ValueError, match="SHA-256"):
            store.size_bytes(name)


def test_a_token_opens_its_own_lease_only() -> None:
    tokens = LeaseTokens(b"s" * 32)
    token = tokens.token("lease_1")
    assert tokens.lease_of_token(token) == "lease_1"
    assert LeaseTokens(b"t" * 32).lease_of_token(token) is None
    forged = ("lease_2" + token[7:], token[:-1], token + "0", "", ".", "\ud800", "lease_1")
    assert [tokens.lease_of_token(text) for text in forged] == [None] * len(forged)
