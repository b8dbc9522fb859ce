"""Sealed inputs on their way to a job: opened as they arrive, and whose fault it is when they do not."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from neurogrid_marketplace.errors import SealBroken
from neurogrid_marketplace.job import InputFile
from neurogrid_marketplace.sealed_file import CHUNK_BYTES, FileSealer
from neurogrid_node.files.artifacts import ArtifactRefused, Artifacts, http_client
from node.file_server import FileServer, content, file_server

KEY = b"k" * 32
PLAIN = bytes(range(256)) * 1024


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    async with file_server() as serving:
        yield serving


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(stall_timeout_s=0.3) as made:
        yield made


def sealed(plain: bytes = PLAIN) -> bytes:
    sealer = FileSealer(KEY, b"s" * 32)
    chunks = [plain[at : at + CHUNK_BYTES] for at in range(0, len(plain), CHUNK_BYTES)]
    return sealer.header + b"".join(
        sealer.seal(chunk, is_last=chunk is chunks[-1]) for chunk in chunks
    )


def wanted(data: bytes) -> InputFile:
    return InputFile("data/secret.bin", hashlib.sha256(data).hexdigest(), len(data), sealed=True)


def files(client: httpx.AsyncClient, server: FileServer) -> Artifacts:
    return Artifacts(
        client,
        server.url,
        "token",
        coordinator="",
        own_hosts=("127.0.0.1",),
        patience_s=1.0,
    )


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    (tmp_path / "inputs").mkdir()
    return tmp_path / "inputs"


async def test_the_job_finds_what_was_sealed_and_nothing_sealed_beside_it(
    client: httpx.AsyncClient, server: FileServer, inputs: Path
) -> None:
    data = sealed()
    server.add(data)
    for _ in range(2):  # a node that died in between does it again
        await files(client, server).fetch(wanted(data), inputs, KEY)
        (found,) = (path for path in inputs.parent.rglob("*") if path.is_file())
        assert (found.name, found.read_bytes()) == ("secret.bin", PLAIN)


@pytest.mark.parametrize("key", [b"K" * 32, b""], ids=["another key", "no key"])
async def test_what_does_not_open_is_not_placed(
    client: httpx.AsyncClient, server: FileServer, inputs: Path, key: bytes
) -> None:
    data = sealed()
    server.add(data)
    with pytest.raises(SealBroken, match=r"input data/secret\.bin"):
        await files(client, server).fetch(wanted(data), inputs, key)
    assert not (inputs / "data/secret.bin").exists()


async def test_a_file_that_was_never_sealed_does_not_open(
    client: httpx.AsyncClient, server: FileServer, inputs: Path
) -> None:
    server.add(PLAIN)
    with pytest.raises(SealBroken, match="not a sealed file"):
        await files(client, server).fetch(wanted(PLAIN), inputs, KEY)


async def test_a_file_that_the_coordinator_changed_is_its_fault_and_not_the_clients(
    client: httpx.AsyncClient, server: FileServer, inputs: Path
) -> None:
    data = sealed()
    named = wanted(data)
    changed = data[:-1] + bytes([data[-1] ^ 1])
    server.script.append(content(changed))
    with pytest.raises(ArtifactRefused, match="hash"):
        await files(client, server).fetch(named, inputs, KEY)


async def test_what_is_for_the_node_alone_never_lies_on_its_disk(
    client: httpx.AsyncClient, server: FileServer, inputs: Path
) -> None:
    data = sealed(b"secret")
    server.add(data)
    read = files(client, server).read_sealed
    assert await read(wanted(data), KEY, 1000) == b"secret"
    assert [path for path in inputs.parent.rglob("*") if path.is_file()] == []
    with pytest.raises(SealBroken):
        await read(wanted(data), b"K" * 32, 1000)
    with pytest.raises(SealBroken, match="more than 10 bytes"):
        await read(wanted(data), KEY, 10)
    server.script.append(content(data + b"more"))
    with pytest.raises(ArtifactRefused, match="hash"):
        await read(wanted(data), KEY, 1000)
