import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator.api_world import open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.s3_server import S3Server, s3_server
from neurogrid_coordinator.config import ConfigError
from neurogrid_coordinator.files.artifacts import (
    PIECE_BYTES,
    BlobStore,
    DiskFull,
    LeaseTokens,
    StoreUnavailable,
    TooLarge,
    WrongHash,
    content,
)
from neurogrid_coordinator.files.artifacts_config import ArtifactsConfig
from neurogrid_coordinator.files.blob_stores import open_blobs
from neurogrid_coordinator.files.checkpoints import BlobSweeper
from neurogrid_coordinator.files.disk_blobs import DiskBlobs
from neurogrid_coordinator.files.s3_blobs import S3Blobs
from neurogrid_coordinator.store import checkpoints

# The least that S3 takes of a part that isn't the last.
PART_BYTES = 5 * 1024 * 1024


async def arriving(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def whole(store: BlobStore, sha256: str, offset: int = 0) -> bytes:
    return b"".join([piece async for piece in store.read(sha256, offset)])


@dataclass(frozen=True)
class Kept:
    """A store, and how to see what is in it: the ends of names, blobs' and leftovers'."""

    store: BlobStore
    names: Callable[[], list[str]]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as made:
        yield made


@pytest.fixture
def s3(server: S3Server, tmp_path: Path) -> Kept:
    name = server.make_bucket()
    bucket = server.open(name, tmp_path)
    store = S3Blobs(
        bucket, tmp_path / "files", part_bytes=PART_BYTES, resume_after_s=0, free_bytes_min=0
    )
    asyncio.run(store.prepare())

    def names() -> list[str]:
        # What is abandoned, nobody waits for.
        bucket._threads.shutdown(wait=True)
        keys = server.keys(name)
        assert all(key.startswith("our/own/") for key in keys)
        return [key.removeprefix("our/own/") for key in keys] + files_in(tmp_path / "files")

    return Kept(store, names)


@pytest.fixture
def disk(tmp_path: Path) -> Kept:
    store = DiskBlobs(tmp_path / "files", free_bytes_min=0)
    store.prepare()
    return Kept(store, lambda: files_in(tmp_path / "files"))


@pytest.fixture(params=["disk", "s3"])
def kept(request: pytest.FixtureRequest) -> Kept:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Kept)
    return found


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# --- what every store does -----------------------------------------------------------------------


@on_asyncio
async def test_a_blob_is_found_by_the_hash_of_its_bytes(kept: Kept) -> None:
    store = kept.store
    chunks = [b"a" * 700_000, b"b" * 700_000, b"c"]
    data = b"".join(chunks)
    for sha256 in (None, digest(data)):
        blob = await store.put(arriving(*chunks), size_bytes_max=len(data), sha256=sha256)
        assert blob.sha256 == digest(data)
        assert blob.size_bytes == await store.size_bytes(blob.sha256) == len(data)
    assert await whole(store, blob.sha256) == data
    assert await whole(store, blob.sha256, len(data) - 2) == b"bc"
    async with store.file(blob.sha256) as path:
        assert path.read_bytes() == data
    assert await content(store, blob.sha256, len(data)) == data
    assert await content(store, blob.sha256, len(data) - 1) is None, "it is larger"
    assert kept.names() == [f"{blob.sha256[:2]}/{blob.sha256}"]


@on_asyncio
async def test_an_empty_blob_and_the_same_blob_twice_are_fine(kept: Kept) -> None:
    first = await kept.store.put(arriving(), size_bytes_max=0)
    again = await kept.store.put(arriving(b""), size_bytes_max=0, sha256=first.sha256)
    assert first == again
    assert first.sha256 == digest(b"")
    assert await whole(kept.store, first.sha256) == b""


@on_asyncio
async def test_a_blob_that_is_removed_is_not_there(kept: Kept) -> None:
    store = kept.store
    blob = await store.put(arriving(b"gone"), size_bytes_max=10)
    for _ in range(2):
        await store.remove(blob.sha256)
    assert await store.size_bytes(blob.sha256) is None
    assert await content(store, blob.sha256, 10) is None
    with pytest.raises(FileNotFoundError):
        await whole(store, blob.sha256)
    with pytest.raises(FileNotFoundError):
        async with store.file(blob.sha256):
            pass
    assert kept.names() == []


@on_asyncio
async def test_what_may_not_be_kept_leaves_nothing(kept: Kept) -> None:
    store = kept.store

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (PART_BYTES + PIECE_BYTES)
        raise ConnectionError("gone")

    large = b"x" * (2 * PART_BYTES + 1)
    for sha256 in (None, "0" * 64):
        with pytest.raises(TooLarge):
            await store.put(arriving(b"x" * 10, b"x"), size_bytes_max=10, sha256=sha256)
        with pytest.raises(TooLarge):
            await store.put(arriving(large, b"x"), size_bytes_max=len(large), sha256=sha256)
        with pytest.raises(ConnectionError):
            await store.put(broken(), size_bytes_max=10 * PART_BYTES, sha256=sha256)
    for data in (b"x", large):
        with pytest.raises(WrongHash):
            await store.put(arriving(data), size_bytes_max=len(data), sha256="0" * 64)
    assert kept.names() == []


@on_asyncio
async def test_a_name_that_is_no_hash_never_reaches_the_store(kept: Kept) -> None:
    for name in ("../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"):
        with pytest.raises(ValueError, match="SHA-256"):
            await kept.store.size_bytes(name)
        with pytest.raises(ValueError, match="SHA-256"):
            kept.store.turns.of(name)


# --- what the disk does --------------------------------------------------------------------------


@on_asyncio
async def test_uploads_stop_before_the_disk_is_full(tmp_path: Path) -> None:
    store = DiskBlobs(tmp_path, free_bytes_min=10**18)
    store.prepare()
    with pytest.raises(DiskFull):
        await store.put(arriving(b"x"), size_bytes_max=10)


@on_asyncio
async def test_a_restart_drops_unfinished_uploads(tmp_path: Path) -> None:
    store = DiskBlobs(tmp_path, free_bytes_min=0)
    store.prepare()
    blob = await store.put(arriving(b"kept"), size_bytes_max=10)
    leftover = tmp_path / "partial" / "leftover"
    leftover.write_bytes(b"half")
    store.prepare()
    assert not leftover.exists()
    assert await store.size_bytes(blob.sha256) == 4


# --- what S3 does --------------------------------------------------------------------------------


@on_asyncio
async def test_large_blobs_travel_in_parts_and_downloads_go_on_where_they_broke_off(
    server: S3Server, s3: Kept
) -> None:
    data = bytes(range(256)) * (9 * PART_BYTES // 1024)
    assert 2 * PART_BYTES < len(data) < 3 * PART_BYTES
    server.seen.clear()
    blob = await s3.store.put(
        arriving(data[:100], data[100:]), size_bytes_max=len(data), sha256=digest(data)
    )
    assert server.seen == ["POST", "PUT", "PUT", "PUT", "POST"]
    server.breaks_off = 2
    assert digest(await whole(s3.store, blob.sha256)) == blob.sha256
    assert server.breaks_off == 0
    server.breaks_off = 99
    with pytest.raises(StoreUnavailable):
        await whole(s3.store, blob.sha256)
    server.breaks_off = 0
    assert s3.names() == [f"{blob.sha256[:2]}/{blob.sha256}"]


@on_asyncio
async def test_a_store_that_is_away_or_refuses_us_is_told_from_a_blob_that_is_gone(
    server: S3Server, s3: Kept, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blob = await s3.store.put(arriving(b"x"), size_bytes_max=1)
    server.refuses = True
    try:
        for refused in (
            s3.store.size_bytes(blob.sha256),
            s3.store.remove(blob.sha256),
            s3.store.put(arriving(b"x"), size_bytes_max=1),
        ):
            with pytest.raises(StoreUnavailable, match=r"403|AccessDenied"):
                await refused
    finally:
        server.refuses = False
    for nowhere in (
        server.open("no-such-bucket", tmp_path),
        server.open("closed", tmp_path, endpoint="http://127.0.0.1:1"),
    ):
        store = S3Blobs(nowhere, tmp_path / "files")
        # It doesn't keep a coordinator from starting.
        await store.prepare()
        with pytest.raises(StoreUnavailable):
            await store.size_bytes(blob.sha256)
    assert "NoSuchBucket" in caplog.text
    assert await whole(s3.store, blob.sha256) == b"x"


@on_asyncio
async def test_a_damaged_object_is_no_file_and_what_never_ended_is_dropped(
    server: S3Server, s3: Kept, tmp_path: Path
) -> None:
    name, other = server.make_bucket(), digest(b"other")
    bucket = server.open(name, tmp_path)
    await bucket.put(f"{other[:2]}/{other}", b"others")
    store = S3Blobs(bucket, tmp_path / "files", free_bytes_min=0)
    with pytest.raises(FileNotFoundError):
        async with store.file(other):
            pass
    await store.remove(other)
    await bucket.begin("aa/begun")
    # For moto everything was begun in 2010.
    assert await bucket.abandon_begun(datetime(2000, 1, 1, tzinfo=UTC)) == 0
    assert server.keys(name) == ["our/own/aa/begun"]
    assert await bucket.abandon_begun(datetime(2020, 1, 1, tzinfo=UTC)) == 1
    assert server.keys(name) == []


@on_asyncio
async def test_the_store_and_its_credentials_are_the_configurations(tmp_path: Path) -> None:
    disk = await open_blobs(ArtifactsConfig(), tmp_path)
    assert isinstance(disk, DiskBlobs)
    secret = tmp_path / "secret"
    config = ArtifactsConfig(
        store="s3", bucket="bucket", endpoint="http://127.0.0.1:1", credentials_file="secret"
    )
    with pytest.raises(ConfigError, match="No such file"):
        await open_blobs(config, tmp_path)
    secret.write_text("[default]\naws_access_key_id = hidden\n")
    secret.chmod(0o600)
    with pytest.raises(ConfigError, match="needs a section") as refused:
        await open_blobs(config, tmp_path)
    assert "hidden" not in str(refused.value)
    secret.write_text("[default]\naws_access_key_id = x\naws_secret_access_key = y\n")
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match="others may read"):
        await open_blobs(config, tmp_path)


@on_asyncio
async def test_clients_are_served_from_a_bucket_and_told_when_it_is_away(
    server: S3Server, s3: Kept, tmp_path: Path
) -> None:
    data = b"from a bucket" * 1000
    url = f"/api/v1/artifacts/{digest(data)}"
    async with open_world(tmp_path, blobs=s3.store) as world:
        alice = await world.customer("alice")
        assert (await alice.http.put(url, content=data)).status_code == 201
        assert (await alice.http.put(url, content=data)).status_code == 200
        assert (await alice.http.get(url)).content == data
        part = await alice.http.get(url, headers={"Range": "bytes=5-6"})
        assert (part.status_code, part.content) == (206, data[5:7])
        server.refuses = True
        try:
            for answer in (await alice.http.get(url), await alice.http.put(url, content=data)):
                assert answer.status_code == 503
                assert answer.json()["error"]["code"] == "STORE_UNAVAILABLE"
                assert "AccessDenied" not in answer.text, "that is the operator's concern"
                assert answer.headers["retry-after"] == "1"
        finally:
            server.refuses = False
        # What nobody needs waits until it can be deleted, and what somebody needs stays.
        unneeded = await s3.store.put(arriving(b"nobody's"), size_bytes_max=10)
        both = [unneeded.sha256, digest(data)]
        await world.database.write(checkpoints.let_go, both)
        sweeper = BlobSweeper(world.database, s3.store)
        server.refuses = True
        try:
            with pytest.raises(StoreUnavailable):
                await sweeper.sweep()
        finally:
            server.refuses = False
        while await sweeper.sweep():
            pass
        assert await s3.store.size_bytes(unneeded.sha256) is None
        assert (await alice.http.get(url)).content == data


@on_asyncio
async def test_no_blob_is_deleted_while_it_becomes_somebodys(s3: Kept, tmp_path: Path) -> None:
    """The same bytes come again while the sweeper is about to delete them: whoever is first, they are there or refused."""
    data = b"again"
    url = f"/api/v1/artifacts/{digest(data)}"
    async with open_world(tmp_path, blobs=s3.store) as world:
        alice = await world.customer("alice")
        sweeper = BlobSweeper(world.database, s3.store)
        for _ in range(5):
            await s3.store.put(arriving(data), size_bytes_max=10)
            await world.database.write(checkpoints.let_go, [digest(data)])
            answer, _ = await asyncio.gather(alice.http.put(url, content=data), sweeper.sweep())
            if answer.is_success:
                assert (await alice.http.get(url)).content == data
                break
            assert answer.json()["error"]["code"] == "UNAVAILABLE"


def test_a_token_opens_its_own_lease_only() -> None:
    tokens = LeaseTokens(b"s" * 32)
    token = tokens.token("lease_1")
    assert tokens.lease_of_token(token) == "lease_1"
    assert LeaseTokens(b"t" * 32).lease_of_token(token) is None
    forged = ("lease_2" + token[7:], token[:-1], token + "0", "", ".", "\ud800", "lease_1")
    assert [tokens.lease_of_token(text) for text in forged] == [None] * len(forged)
