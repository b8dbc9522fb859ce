import hashlib
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trio

from neurogrid_marketplace.job import InputFile, OutputFile
from neurogrid_node.files.artifact_host import HostRefused, find_host
from neurogrid_node.files.artifacts import ArtifactError, ArtifactRefused, Artifacts, http_client
from node.file_server import (
    FileServer,
    content,
    cut,
    endless,
    file_server,
    stalled,
    status,
)

DATA = bytes(range(256)) * 4096


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    async with file_server() as serving:
        yield serving


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(stall_timeout_s=0.3) as made:
        yield made


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    (tmp_path / "inputs").mkdir()
    return tmp_path / "inputs"


def files(
    client: httpx.AsyncClient,
    server: FileServer,
    *,
    patience_s: float = 5.0,
    own: str = "127.0.0.1",
) -> Artifacts:
    return Artifacts(
        client,
        server.url,
        "token",
        coordinator="nobody",
        own_hosts=(own,),
        patience_s=patience_s,
    )


def wanted(data: bytes = DATA, path: str = "data.bin") -> InputFile:
    return InputFile(path, hashlib.sha256(data).hexdigest(), len(data))


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


async def test_an_input_lies_where_the_job_can_read_it(
    client: httpx.AsyncClient, server: FileServer, inputs: Path
) -> None:
    server.add(DATA)
    before = os.umask(0o077)
    try:
        await files(client, server).fetch(wanted(path="a/b/data.bin"), inputs)
    finally:
        os.umask(before)
    assert (inputs / "a/b/data.bin").read_bytes() == DATA
    assert stat.S_IMODE((inputs / "a/b/data.bin").stat().st_mode) == 0o644
    assert stat.S_IMODE((inputs / "a").stat().st_mode) == 0o755
    assert [path.name for path in inputs.parent.iterdir()] == ["inputs"]
    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer token"
    assert request.headers["host"] == server.url.split("/")[2]


async def test_an_input_that_is_there_is_not_fetched_again(
    client: httpx.AsyncClient, server: FileServer, inputs: Path
) -> None:
    (inputs / "data.bin").write_bytes(DATA)
    await files(client, server).fetch(wanted(), inputs)
    assert server.requests == []
    # A partial or changed one is.
    (inputs / "data.bin").write_bytes(DATA[:-1])
    server.add(DATA)
    await files(client, server).fetch(wanted(), inputs)
    assert (inputs / "data.bin").read_bytes() == DATA


async def test_no_input_is_lost_to_anothers_partial_file(
    client: httpx.AsyncClient, server: FileServer, inputs: Path
) -> None:
    names = ["x.partial", "x", "inputs.partial"]
    for name in names:
        server.add(name.encode())
        await files(client, server).fetch(wanted(name.encode(), name), inputs)
    assert contents(inputs) == {name: name.encode() for name in names}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (content(b"X" + DATA[1:]), "data.bin: does not have the hash"),
        (content(DATA[:-1]), "data.bin: does not have the hash"),
        (content(DATA + b"X"), "data.bin: larger than was said"),
        (endless(), "data.bin: larger than was said"),
        (status(404), "data.bin: HTTP 404"),
        (status(401), "data.bin: HTTP 401"),
        (status(302, "Location: http://169.254.169.254/"), "data.bin: HTTP 302"),
    ],
)
async def test_what_is_not_the_file_is_refused_at_once(
    client: httpx.AsyncClient, server: FileServer, inputs: Path, answer: object, says: str
) -> None:
    server.add(DATA)
    server.script.append(answer)  # type: ignore[arg-type]  # an answer
    with pytest.raises(ArtifactRefused, match=says):
        await files(client, server).fetch(wanted(), inputs)
    assert len(server.requests) == 1
    assert not (inputs / "data.bin").exists()


@pytest.mark.parametrize(
    "trouble",
    [status(500), status(503), status(429), cut(DATA, 1000), stalled(DATA, 1000)],
    ids=["500", "503", "429", "cut", "stalled"],
)
async def test_trouble_is_tried_again(
    client: httpx.AsyncClient, server: FileServer, inputs: Path, trouble: object
) -> None:
    server.add(DATA)
    server.script.append(trouble)  # type: ignore[arg-type]  # an answer
    await files(client, server).fetch(wanted(), inputs)
    assert (inputs / "data.bin").read_bytes() == DATA
    assert len(server.requests) == 2


async def test_a_coordinator_that_stays_away_is_named_in_the_end(
    client: httpx.AsyncClient, server: FileServer, inputs: Path
) -> None:
    server.script += [status(500)] * 10
    with pytest.raises(ArtifactError, match=r"input data\.bin: HTTP 500"):
        await files(client, server, patience_s=0.5).fetch(wanted(), inputs)
    server.url = "http://127.0.0.1:1/nobody"
    with pytest.raises(ArtifactError, match=r"input data\.bin: "):
        await files(client, server, patience_s=0).fetch(wanted(), inputs)


async def test_an_output_is_put_once(
    client: httpx.AsyncClient, server: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "out").write_bytes(DATA)
    output = OutputFile("out", hashlib.sha256(DATA).hexdigest(), len(DATA))
    await files(client, server).put(output, tmp_path / "out")
    await files(client, server).put(output, tmp_path / "out")
    assert server.files[output.sha256] == DATA
    assert server.seen == ["HEAD", "PUT", "HEAD"]
    assert server.requests[1].headers["content-length"] == str(len(DATA))


async def test_an_empty_output_is_put(
    client: httpx.AsyncClient, server: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "out").touch()
    output = OutputFile("out", hashlib.sha256(b"").hexdigest(), 0)
    await files(client, server).put(output, tmp_path / "out")
    assert server.files[output.sha256] == b""


async def test_an_upload_waits_for_a_coordinator_that_restarts_and_believes_a_no(
    client: httpx.AsyncClient, server: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "out").write_bytes(DATA)
    output = OutputFile("out", hashlib.sha256(DATA).hexdigest(), len(DATA))
    server.script += [status(404), status(503), status(500), status(500)]
    await files(client, server).put(output, tmp_path / "out")
    assert server.seen == ["HEAD", "PUT"] * 3
    assert server.files[output.sha256] == DATA
    server.files.clear()
    server.script += [status(404), status(413)]
    with pytest.raises(ArtifactRefused, match="output out: HTTP 413"):
        await files(client, server).put(output, tmp_path / "out")


async def test_an_endless_answer_to_an_upload_is_not_read(
    client: httpx.AsyncClient, server: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "out").write_bytes(b"x")
    output = OutputFile("out", hashlib.sha256(b"x").hexdigest(), 1)
    server.script += [status(404), endless()]
    with trio.fail_after(60):
        await files(client, server).put(output, tmp_path / "out")


async def test_private_hosts_are_only_the_coordinators_own(
    client: httpx.AsyncClient, server: FileServer, inputs: Path
) -> None:
    server.add(DATA)
    with pytest.raises(ArtifactRefused, match="on a private network"):
        await files(client, server, own="192.0.2.7").fetch(wanted(), inputs)
    assert server.requests == []
    server.url = server.url.replace("127.0.0.1", "localhost")
    await files(client, server).fetch(wanted(), inputs)
    assert server.requests[0].headers["host"].startswith("localhost:")


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://10.0.0.1",
        "http://[::1]/x",
        "http://[fd00::1]/x",
        "http://[::ffff:10.0.0.1]/x",
        "http://0.0.0.0:2375",
        "http://2852039166/",
        "http://224.0.0.1/",
        "http://user@1.1.1.1/",
        "http://1.1.1.1/a?path=",
        "http://1.1.1.1/a#b",
        "ftp://1.1.1.1/",
        "http:///nowhere",
    ],
)
async def test_addresses_that_are_never_asked(url: str) -> None:
    with pytest.raises(HostRefused):
        await find_host(url, ("127.0.0.1",))


async def test_public_addresses_are_asked_by_their_name() -> None:
    host = await find_host("https://1.1.1.1:8443/artifacts/", ())
    assert (host.url, host.name) == ("https://1.1.1.1:8443/artifacts", "1.1.1.1:8443")
    assert host.server_name == "1.1.1.1"
    six = await find_host("https://[2606:4700::1111]/a", ())
    assert six.url == "https://[2606:4700::1111]/a"
