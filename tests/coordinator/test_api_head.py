"""HEAD, on every route that answers GET."""

import asyncio
from pathlib import Path

from coordinator.api_world import USDC, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.route_access import Who, access, operations, parameters
from coordinator.served import served
from neurogrid_coordinator.store.accounts import ROLES, SCOPES

# The same on any two answers only by chance.
_OF_THE_MOMENT = ("x-request-id", "openai-processing-ms", "x-ratelimit-remaining", "date")


@on_asyncio
async def test_head_is_answered_as_get_is_without_the_body(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=10**6 * USDC, scopes=SCOPES, roles=ROLES)
        tried = 0
        for operation in operations(world.app.routes):
            spec = access(operation)
            if operation.method != "GET" or spec.who is Who.NODE:
                continue
            thing = await spec.thing(world, alice, f"for {operation}")
            path = operation.path
            for name in parameters(path):
                path = path.replace(f"{{{name}}}", thing.parameters[name])
            for query in spec.queries:
                got = await alice.http.get(path + query)
                asked = await alice.http.head(path + query)
                assert (asked.status_code, asked.content) == (got.status_code, b""), operation
                same = [name for name in got.headers if name not in _OF_THE_MOMENT]
                wanted = {name: got.headers[name] for name in same}
                # What tells of the moment may be longer or shorter by a digit.
                wanted.pop("content-length", None)
                assert wanted.items() <= dict(asked.headers).items(), operation
            tried += 1
        assert tried > 100
        document = (await world.client().get("/openapi.json")).json()
        heads = {path for path, methods in document["paths"].items() if "head" in methods}
        # What is read in parts says so; the others leave it unsaid.
        assert all(path.startswith(("/api/v1/artifacts/", "/api/v1/links/")) for path in heads)
        refused = await alice.http.head("/api/v1/match/explain")
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
        refused = await alice.http.delete("/health")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
        assert (await world.client().head("/api/v1/tasks")).status_code == 401


@on_asyncio
async def test_of_a_stream_head_has_the_beginning_and_the_connection_goes_on(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world, served(world) as address:
        alice = await world.customer("alice")
        host, _, port = address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for path in ("/api/v1/events?follow=true", "/health", "/api/v1/events?follow=true"):
            head = f"HEAD {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.key}\r\n\r\n"
            writer.write(head.encode())
            async with asyncio.timeout(60):
                answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 ")
            kind = b"text/event-stream" if "follow" in path else b"application/json"
            assert kind in answer
        writer.close()
        await writer.wait_closed()
