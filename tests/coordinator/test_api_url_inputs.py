"""Inputs that a task names by URL, from a server that may be anybody's."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest

from certificates import certificate
from coordinator.api_world import TASK, Customer, World, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.served import served
from coordinator.web_server import WebServer, found_at, ok, serving
from neurogrid_coordinator.files.url_fetch import FetchFailed, UrlFetcher
from neurogrid_coordinator.outbound import Outbound
from neurogrid_coordinator.services.artifacts import Artifacts, Limits
from neurogrid_coordinator.services.errors import InvalidRequest
from neurogrid_coordinator.services.fetching import URLS_MAX, Fetching
from neurogrid_coordinator.services.submission import InputWanted, Submission
from neurogrid_marketplace.addresses import Surroundings
from neurogrid_marketplace.input_url import InputUrl
from neurogrid_marketplace.resources import Requirements

DATA = b"a,b\n1,2\n"
DIGEST = hashlib.sha256(DATA).hexdigest()
HOST = "files.example.org"


@asynccontextmanager
async def files_world(
    folder: Path, **changes: Any
) -> AsyncGenerator[tuple[World, Customer, WebServer]]:
    """A coordinator whose operator lets files be fetched from one server in his own network."""
    async with serving() as web, open_world(folder, **changes) as world:
        world.web.private[HOST, web.port] = ip_address("127.0.0.1")
        yield world, await world.customer("alice"), web


def named(web: WebServer, path: str = "/data.csv", **more: str) -> dict[str, str]:
    """An input by URL."""
    return {"path": "data.csv", "url": f"http://{HOST}:{web.port}{path}", **more}


async def submitted(customer: Customer, *inputs: dict[str, str], key: str = "") -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    body = {**TASK, "inputs": list(inputs)}
    return await customer.http.post("/api/v1/tasks", json=body, headers=headers)


async def refusal(customer: Customer, *inputs: dict[str, str]) -> str:
    """Why it is refused; it names the URL and its place."""
    answer = await submitted(customer, *inputs)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "INVALID_REQUEST"), answer.text
    assert error["details"] == {"field": "inputs[0].url"}
    message: str = error["message"]
    assert inputs[0]["url"][:100] in message
    return message


@on_asyncio
async def test_a_file_is_fetched_once_and_named_by_its_hash(tmp_path: Path) -> None:
    async with files_world(tmp_path) as (world, alice, web):
        web.answers["/data.csv"] = ok(DATA)
        answer = await submitted(alice, named(web), {**named(web), "path": "again.csv"})
        assert answer.status_code == 201, answer.text
        task = answer.json()["data"]
        assert task["inputs"] == [
            {"path": path, "sha256": DIGEST, "size": len(DATA), "url": named(web)["url"]}
            for path in ("again.csv", "data.csv")
        ]
        assert len(web.asked) == 1
        assert f"Host: {HOST}:{web.port}\r\n" in web.asked[0]
        assert "Accept-Encoding: identity\r\n" in web.asked[0]
        state = await world.award(task["id"])
        assert state.lease is not None
        node = world.client(world.tokens.token(state.lease.lease_id))
        assert (await node.get(f"/api/v1/artifacts/{DIGEST}")).content == DATA
        # It is the account's file from now on, and nobody else's.
        assert (await alice.http.head(f"/api/v1/artifacts/{DIGEST}")).status_code == 200
        bob = await world.customer("bob")
        assert (await bob.http.head(f"/api/v1/artifacts/{DIGEST}")).status_code == 404


@on_asyncio
async def test_a_request_that_is_repeated_has_the_bytes_of_the_first_fetch(tmp_path: Path) -> None:
    async with files_world(tmp_path) as (_, alice, web):
        web.answers["/data.csv"] = ok(DATA)
        first = await submitted(alice, named(web), key="k")
        web.answers["/data.csv"] = ok(b"something else")
        again = await submitted(alice, named(web), key="k")
        assert again.status_code == 200
        for same in ("id", "inputs"):
            assert again.json()["data"][same] == first.json()["data"][same]
        pinned = await submitted(alice, named(web, sha256=DIGEST), key="k")
        assert pinned.status_code == 200
        assert len(web.asked) == 1
        other = await submitted(alice, named(web))
        assert other.json()["data"]["inputs"][0]["sha256"] != DIGEST


@on_asyncio
async def test_a_pinned_file_that_is_here_is_not_fetched_and_another_is_refused(
    tmp_path: Path,
) -> None:
    async with files_world(tmp_path) as (_, alice, web):
        web.answers["/data.csv"] = ok(b"something else")
        message = await refusal(alice, named(web, sha256=DIGEST))
        assert hashlib.sha256(b"something else").hexdigest() in message
        await alice.http.put(f"/api/v1/artifacts/{DIGEST}", content=DATA)
        assert (await submitted(alice, named(web, sha256=DIGEST))).status_code == 201
        assert len(web.asked) == 1


@on_asyncio
async def test_a_workflow_fetches_what_its_tasks_share_once(tmp_path: Path) -> None:
    async with files_world(tmp_path) as (_, alice, web):
        web.answers["/data.csv"] = ok(DATA)
        task = {**TASK, "inputs": [named(web)]}
        body = {"tasks": {"one": task, "two": task}}
        headers = {"Idempotency-Key": "w"}
        first = await alice.http.post("/api/v1/workflows", json=body, headers=headers)
        assert first.status_code == 201, first.text
        web.answers["/data.csv"] = ok(b"something else")
        again = await alice.http.post("/api/v1/workflows", json=body, headers=headers)
        assert (again.status_code, len(web.asked)) == (200, 1)
        body["tasks"]["two"] = {**TASK, "inputs": [named(web, "/gone")]}
        web.answers["/gone"] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        refused = await alice.http.post("/api/v1/workflows", json=body)
        error = refused.json()["error"]
        assert error["details"] == {"field": "tasks.two.inputs[0].url"}
        assert "404 Not Found" in error["message"]


@on_asyncio
async def test_redirects_are_followed_and_judged(tmp_path: Path) -> None:
    async with files_world(tmp_path) as (world, alice, web):
        web.answers["/data.csv"] = ok(DATA)
        web.answers["/moved"] = found_at("/data.csv")
        assert (await submitted(alice, named(web, "/moved"))).status_code == 201
        world.web.names["inside.example.org"] = [["10.0.0.7"]]
        for location, why in (
            ("http://169.254.169.254/latest/meta-data", "no name"),
            ("http://inside.example.org/", "no address of the public internet"),
            ("file:///etc/passwd", "neither https"),
            ("/round", "more than 8 times"),
        ):
            web.answers["/round"] = found_at(location)
            assert why in await refusal(alice, named(web, "/round"))


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["10.1.2.3", "::1"], ["::ffff:127.0.0.1"], ["169.254.169.254"]]
)
@on_asyncio
async def test_no_name_leads_into_the_coordinators_own_network(
    tmp_path: Path, addresses: list[str]
) -> None:
    async with files_world(tmp_path) as (world, alice, web):
        world.web.names["evil.example.org"] = [addresses]
        asked = {"path": "x", "url": f"http://evil.example.org:{web.port}/data.csv"}
        message = await refusal(alice, asked)
        assert "no address of the public internet" in message
        assert not any(address in message.replace(asked["url"], "") for address in addresses)
        assert web.asked == []


@on_asyncio
async def test_a_name_that_changes_its_mind_leads_to_what_was_judged(tmp_path: Path) -> None:
    async with files_world(tmp_path) as (world, alice, web):
        world.web.outside = (ip_address("127.0.0.1"),)
        world.web.names["rebind.example.org"] = [["127.0.0.1"], ["127.0.0.2"]]
        url = f"http://rebind.example.org:{web.port}"
        web.answers["/data.csv"] = found_at("/next")
        message = await refusal(alice, {"path": "x", "url": f"{url}/data.csv"})
        # One look for each connection: the first led to what was judged, the second nowhere.
        assert "no address of the public internet" in message
        assert len(web.asked) == 1


@on_asyncio
async def test_servers_that_answer_with_something_else(tmp_path: Path) -> None:
    async with files_world(tmp_path) as (world, alice, web):
        for answer, why in (
            (b"SSH-2.0-OpenSSH_9.2\r\n", "breaks off"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "breaks off"),
            (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "breaks off"),
            (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "500 Internal Server Error"),
            (b"HTTP/1.1 206 Partial\r\nContent-Length: 1\r\n\r\na", "206 Partial Content"),
            (ok(DATA, "Content-Encoding: gzip"), "compresses"),
        ):
            web.answers["/data.csv"] = answer
            assert why in await refusal(alice, named(web))
        world.web.private[HOST, 2] = ip_address("127.0.0.1")
        nobody = {"path": "x", "url": f"https://{HOST}:2/x"}
        assert "does not answer" in await refusal(alice, nobody)


@on_asyncio
async def test_a_server_has_to_be_who_its_name_says(tmp_path: Path) -> None:
    server, trusting = certificate(HOST)
    outbound = Outbound(
        lambda: Surroundings(pinned={(host, web.port): ip_address("127.0.0.1") for host in hosts}),
        tls=trusting,
    )
    fetcher = UrlFetcher(outbound)
    hosts = (HOST, "other.example.org")
    async with serving(server) as web:
        web.answers["/data.csv"] = ok(DATA)
        for host in hosts:
            url = InputUrl.read(f"https://{host}:{web.port}/data.csv")
            if host == HOST:
                async with fetcher.open(url) as arriving:
                    assert b"".join([piece async for piece in arriving.pieces]) == DATA
                continue
            with pytest.raises(FetchFailed, match="certificate"):
                async with fetcher.open(url):
                    pass


@on_asyncio
async def test_a_coordinator_may_fetch_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        artifacts = Artifacts(
            database=world.database, blobs=world.blobs, tokens=world.tokens, limits=Limits(9, 9)
        )
        nobody = Fetching(database=world.database, artifacts=artifacts, fetcher=None, timeout_s=1)
        asked = InputWanted("x", url=f"https://{HOST}/x")
        wanted = Submission("image", 1, 60, Requirements(1000, 1, 1), inputs=(asked,))
        with pytest.raises(InvalidRequest, match="fetches nothing; download it yourself"):
            await nobody.task(alice.account, wanted)


@on_asyncio
async def test_a_file_is_bounded_in_size_and_time(tmp_path: Path) -> None:
    limits = Limits(file_bytes=1000, account_bytes=1500)
    async with files_world(tmp_path, limits=limits, fetch_s=1) as (_, alice, web):
        web.answers["/data.csv"] = ok(b"x" * 1001)
        assert "larger than the 1000 bytes" in await refusal(alice, named(web))

        async def without_end(writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            while True:
                writer.write(b"x" * 100)
                await writer.drain()

        web.answers["/data.csv"] = without_end
        assert "larger than the 1000 bytes" in await refusal(alice, named(web))

        async def drip(writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)

        web.answers["/data.csv"] = drip
        assert "did not come within 1 s" in await refusal(alice, named(web))
        assert not list((tmp_path / "artifacts" / "partial").iterdir())


@on_asyncio
async def test_one_account_fetches_for_few_requests_at_a_time(tmp_path: Path) -> None:
    async with files_world(tmp_path) as (_, alice, web):
        go_on = asyncio.Event()

        async def later(writer: asyncio.StreamWriter) -> None:
            await go_on.wait()
            writer.write(ok(DATA))

        web.answers["/data.csv"] = later
        waiting = [asyncio.create_task(submitted(alice, named(web))) for _ in range(2)]
        for _ in waiting:
            await web.arrivals.acquire()
        refused = await submitted(alice, named(web))
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        go_on.set()
        assert [(await each).status_code for each in waiting] == [201, 201]
        assert (await submitted(alice, named(web))).status_code == 201


@on_asyncio
async def test_who_leaves_while_files_are_fetched_has_submitted_nothing(tmp_path: Path) -> None:
    async with files_world(tmp_path) as (world, alice, web), served(world) as address:
        left = asyncio.Event()

        async def until_left(writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            try:
                while True:
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.05)
            finally:
                left.set()

        web.answers["/data.csv"] = until_left
        async with httpx.AsyncClient(
            base_url=f"http://{address}", headers=alice.http.headers
        ) as http:
            asking = asyncio.create_task(
                http.post("/api/v1/tasks", json={**TASK, "inputs": [named(web)]})
            )
            await web.arrivals.acquire()
            asking.cancel()
            async with asyncio.timeout(60):
                await left.wait()
        assert (await alice.http.get("/api/v1/tasks")).json()["data"]["total"] == 0


@on_asyncio
async def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    async with files_world(tmp_path) as (_, alice, web):
        task = {"from_task": "task_" + "0" * 32}
        mixed: tuple[dict[str, Any], ...] = (task, {"output": "x"}, {"sealed": True})
        for more in mixed:
            body = {**TASK, "inputs": [{**named(web), **more}]}
            answer = await alice.http.post("/api/v1/tasks", json=body)
            assert answer.status_code == 422, more
        many = [{**named(web, f"/{n}"), "path": str(n)} for n in range(URLS_MAX + 1)]
        assert "at most 32 URLs" in (await submitted(alice, *many)).text
        assert web.asked == []
