"""Services over HTTP and WebSocket, from a real job that means no good."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from coordinator.on_asyncio import on_asyncio
from coordinator.running_job import Place, into
from engine.job_host import JobHost

pytestmark = pytest.mark.engine


def client(here: Place, key: str | None = None) -> httpx.AsyncClient:
    """Whoever has a key, at the service."""
    headers = {"Authorization": f"Bearer {here.alice.key if key is None else key}"}
    url = f"http://{here.address}/api/v1/services/{here.task_id}"
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=60)


async def until_serving(http: httpx.AsyncClient) -> None:
    """The job may not listen yet, which is said, and passes."""
    async with asyncio.timeout(60):
        while (answer := await http.get("/")).status_code != 200:
            assert answer.status_code == 503, answer.text


@on_asyncio
async def test_a_request_gets_to_the_service_and_its_answer_back(
    host: JobHost, tmp_path: Path
) -> None:
    async with into(host, tmp_path, "port") as here, client(here) as http:
        await until_serving(http)
        headers = {
            "Connection": "keep-alive, X-Hop",
            "X-Hop": "1",
            "X-Forwarded-For": "10.0.0.1",
            "Forwarded": "for=me",
            "X-Mine": "yes",
            "Cookie": "a=b",
        }
        answer = await http.post("/a%2Fb/c?x=1&y=%20", content=b"given", headers=headers)
        assert answer.status_code == 200
        said = answer.json()
        assert (said["method"], said["path"], said["body"]) == (
            "POST",
            "/a%2Fb/c?x=1&y=%20",
            "given",
        )
        heard = dict(said["headers"])
        assert heard["x-mine"] == "yes"
        assert heard["x-forwarded-prefix"] == f"/api/v1/services/{here.task_id}"
        assert heard["connection"] == "close"
        # Neither our key, nor what is of one connection, nor what only we may say.
        assert not heard.keys() & {"authorization", "x-hop", "x-forwarded-for", "forwarded"}

        async def pieces() -> Any:
            for piece in (b"in ", b"pieces"):
                yield piece

        assert (await http.put("/", content=pieces())).json()["body"] == "in pieces"
        head = await http.head("/")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 0


@on_asyncio
async def test_a_stream_comes_as_it_is_said(host: JobHost, tmp_path: Path) -> None:
    async with into(host, tmp_path, "port") as here, client(here) as http:
        await until_serving(http)
        async with http.stream("GET", "/stream") as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            pieces = [piece async for piece in answer.aiter_raw()]
        assert b"".join(pieces) == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
        assert len(pieces) > 1


@on_asyncio
async def test_what_a_service_says_does_not_count_for_the_apis_origin(
    host: JobHost, tmp_path: Path
) -> None:
    async with into(host, tmp_path, "port") as here, client(here) as http:
        await until_serving(http)
        answer = await http.get("/hostile", follow_redirects=False)
        assert (answer.status_code, answer.content) == (302, b"ok")
        assert answer.headers["location"] == f"/api/v1/services/{here.task_id}/login"
        assert not answer.headers.keys() & {
            "set-cookie",
            "clear-site-data",
            "service-worker-allowed",
            "strict-transport-security",
            "alt-svc",
            "www-authenticate",
            "x-own",
        }
        policies = answer.headers.get_list("content-security-policy")
        assert policies[0] == "default-src *"
        assert policies[-1].startswith("sandbox ")
        assert "allow-same-origin" not in policies[-1]
        assert answer.headers["referrer-policy"] == "no-referrer"
        # What it said after its answer reaches nobody.
        assert (await http.get("/")).json()["method"] == "GET"


@on_asyncio
async def test_a_service_that_fails_is_told_from_a_task_that_is_not_there(
    host: JobHost, tmp_path: Path
) -> None:
    async with into(host, tmp_path, "port") as here, client(here) as http:
        await until_serving(http)
        answer = await http.get("/nonsense")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
        assert "not HTTP" in answer.json()["error"]["message"]
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get("/cut")
        bob = await here.world.customer("bob")
        reader, _ = await here.world.key_of(here.alice.account, ("read",))
        for key, status in (("ng_nobody", 401), (bob.key, 404), (reader, 403)):
            async with client(here, key) as other:
                assert (await other.get("/")).status_code == status
        bare = await http.get(f"http://{here.address}/api/v1/services/{here.task_id}")
        assert (bare.status_code, bare.headers["location"][-1]) == (308, "/")
        odd = here.task_id.replace("_", "%5F")
        assert (await http.get(f"http://{here.address}/api/v1/services/{odd}/")).status_code == 404


@on_asyncio
async def test_a_request_that_two_readers_could_understand_differently_is_one(
    host: JobHost, tmp_path: Path
) -> None:
    async with into(host, tmp_path, "port") as here, client(here) as http:
        await until_serving(http)
        name, _, port = here.address.partition(":")

        def ask(head: str, body: bytes) -> bytes:
            with socket.create_connection((name, int(port)), 60) as connection:
                connection.sendall(
                    f"POST /api/v1/services/{here.task_id}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                    f"Authorization: Bearer {here.alice.key}\r\n{head}\r\n".encode()
                    + body
                )
                answer = b""
                while data := connection.recv(65_536):
                    answer += data
                return answer

        hidden = b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"
        smuggled = b"0\r\n\r\n" + hidden
        for head, body in (
            (f"Content-Length: {len(smuggled)}\r\nTransfer-Encoding: chunked\r\n", smuggled),
            (f"Content-Length: 4\r\nContent-Length: {len(hidden)}\r\n", hidden),
            ("Transfer-Encoding : chunked\r\n", smuggled),
            ("X: a\rContent-Length: 40\r\n", b""),
        ):
            answer = await asyncio.to_thread(ask, head, body)
            status = answer.split(b" ", 2)[1]
            if status == b"200":
                said = json.loads(answer.partition(b"\r\n\r\n")[2])
                lengths = [name for name, _ in said["headers"] if name == "content-length"]
                assert (said["path"], len(lengths) <= 1) == ("/", True)
                assert "/admin" not in json.dumps(said)
            else:
                assert status == b"400"


@on_asyncio
async def test_a_websocket_is_joined_to_the_services_own(host: JobHost, tmp_path: Path) -> None:
    async with into(host, tmp_path, "port") as here, client(here) as http:
        await until_serving(http)
        url = f"ws://{here.address}/api/v1/services/{here.task_id}"
        headers = {"Authorization": f"Bearer {here.alice.key}"}
        async with connect(
            f"{url}/socket?x=1",
            additional_headers=headers,
            subprotocols=[Subprotocol("chat"), Subprotocol("other")],
        ) as ours:
            assert ours.subprotocol == "chat"
            for message in ("words", b"\x00bytes", "long " * 5000):
                await ours.send(message)
                assert await ours.recv() == message
            await ours.ping()
        for path, key, status in (
            ("/socket", "ng_nobody", 401),
            ("/", here.alice.key, 503),
        ):
            with pytest.raises(InvalidStatus) as caught:
                async with connect(
                    url + path, additional_headers={"Authorization": f"Bearer {key}"}
                ):
                    pass
            assert caught.value.response.status_code == status
        async with connect(
            f"{url}/socket", additional_headers=headers, subprotocols=[Subprotocol("chat")]
        ) as ours:
            here.world.stopping.set()
            with pytest.raises(ConnectionClosed):
                await ours.recv()


@on_asyncio
async def test_what_a_key_has_opened_to_a_service_ends_with_it(
    host: JobHost, tmp_path: Path
) -> None:
    async with into(host, tmp_path, "port") as here, client(here) as http:
        await until_serving(http)
        url = f"ws://{here.address}/api/v1/services/{here.task_id}/socket"
        headers = {"Authorization": f"Bearer {here.alice.key}"}
        async with connect(
            url, additional_headers=headers, subprotocols=[Subprotocol("chat")]
        ) as ours:
            await here.end_key()
            with pytest.raises(ConnectionClosed):
                await ours.recv()
