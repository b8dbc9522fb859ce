"""``/api/v1/events``: an account's events as a list and as a stream."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.api_world import TASK, Customer, World, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from coordinator.served import served
from neurogrid_coordinator.api.native import events as event_routes
from neurogrid_coordinator.store import events

URL = "/api/v1/events"
# Streams last for longer than any of these tests.
LONG_S = 600


async def completed(world: World, customer: Customer) -> str:
    task_id = str((await customer.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"])
    await world.start(task_id)
    await world.finish(task_id)
    return task_id


def read(answer: httpx.Response) -> list[tuple[str, str, Any]]:
    """(id, name, data) of each event of a stream that has ended."""
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")
        )
        if "data" in fields and "id" in fields:
            found.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return found


async def read_on(answer: httpx.Response) -> AsyncIterator[tuple[str, str, Any]]:
    """The same of one that goes on, as they come."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if "data" in fields and "id" in fields:
            yield fields["id"], fields["event"], json.loads(fields["data"])
        fields = {}


@asynccontextmanager
async def follow(
    address: str, customer: Customer, last_id: str = ""
) -> AsyncGenerator[AsyncIterator[tuple[str, str, Any]]]:
    """A customer's stream, which has begun."""
    headers = {"Authorization": f"Bearer {customer.key}"}
    if last_id:
        headers["Last-Event-ID"] = last_id
    url = f"http://{address}{URL}"
    async with (
        httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as http,
        http.stream("GET", url, params={"follow": True}) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield read_on(answer)


@on_asyncio
async def test_a_list_is_paged_by_sequence_and_is_the_accounts_alone(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        task_id = await completed(world, alice)
        seen: list[Any] = []
        after = 0
        while True:
            page = (await alice.http.get(URL, params={"after": after, "limit": 2})).json()["data"]
            if page["next_after"] == after:
                break
            assert len(page["events"]) <= 2
            seen += page["events"]
            after = page["next_after"]
        assert [event["sequence"] for event in seen] == sorted({e["sequence"] for e in seen})
        assert {event["task_id"] for event in seen} == {task_id}
        assert (seen[0]["type"], seen[-1]["type"]) == ("task.created", "task.completed")
        assert (await mallory.http.get(URL)).json()["data"]["events"] == []
        only = await alice.http.get(URL, params={"types": "task.complete, task.failed"})
        assert [event["type"] for event in only.json()["data"]["events"]] == ["task.completed"]
        # A page is full of what was asked for, whatever else lies between; an empty one is the end.
        for name in ("task.started", "task.completed"):
            page = await alice.http.get(URL, params={"types": name, "limit": 1})
            (event,) = page.json()["data"]["events"]
            assert event["type"] == name
            rest = {"types": name, "after": event["sequence"]}
            assert (await alice.http.get(URL, params=rest)).json()["data"]["events"] == []


@on_asyncio
async def test_a_stream_tells_what_is_to_come_and_resumes_after_the_last(tmp_path: Path) -> None:
    async with open_world(tmp_path, event_stream_s=LONG_S) as world, served(world) as address:
        alice = await world.customer("alice")
        await completed(world, alice)
        async with follow(address, alice) as coming:
            opened = await anext(coming)
            task_id = await completed(world, alice)
            await world.database.write(
                events.append,
                "batch_1",
                alice.account.id,
                world.now_ms,
                "batch.created",
                {"batch_id": "1"},
            )
            world.feed.notify()
            told = [await anext(coming)]
            while told[-1][1] != "batch.created":
                told.append(await anext(coming))
        assert (opened[0], opened[1]) == (str(told[0][2]["sequence"] - 1), "open")
        assert told[0][1] == "task.created"
        assert {data["task_id"] for _, _, data in told[:-1]} == {task_id}
        assert told[-1][2]["batch_id"] == "1"
        async with follow(address, alice, told[-2][0]) as coming:
            assert [(await anext(coming))[1] for _ in range(2)] == ["open", "batch.created"]


@on_asyncio
async def test_who_resumes_after_an_event_that_there_is_not_is_told_so(tmp_path: Path) -> None:
    async with open_world(tmp_path, event_stream_s=LONG_S) as world, served(world) as address:
        alice = await world.customer("alice")
        task_id = await completed(world, alice)
        newest = (await alice.http.get(URL)).json()["data"]["events"][-1]["sequence"]
        gone = {"Last-Event-ID": str(newest + 100)}
        async with follow(address, alice, gone["Last-Event-ID"]) as coming:
            opened, reset = await anext(coming), await anext(coming)
            await completed(world, alice)
            first = await anext(coming)
        assert opened == (str(newest), "open", {"sequence": newest})
        assert reset[:2] == (str(newest), "reset")
        assert (reset[2]["sequence"], reset[2]["asked_after"]) == (newest, newest + 100)
        assert (first[0], first[1]) == (str(newest + 1), "task.created")
        # A list says it, too, and where to go on.
        newest = (await alice.http.get(URL)).json()["data"]["events"][-1]["sequence"]
        for after, is_reset, next_after in ((newest, False, newest), (newest + 9, True, newest)):
            page = (await alice.http.get(URL, params={"after": after})).json()["data"]
            assert page == {"events": [], "next_after": next_after, "reset": is_reset}
        # A task's stream has an end, so all of it comes again; a log's goes on where the log ends.
        told = read(await alice.http.get(f"/api/v1/tasks/{task_id}/events", headers=gone))
        assert [name for _, name, _ in told][:2] == ["reset", "task.created"]
        log = f"/api/v1/tasks/{task_id}/logs"
        lease_id = (await alice.http.get(log)).json()["data"]["lease_id"]
        answer = await alice.http.get(
            log, params={"follow": True}, headers={"Last-Event-ID": f"{lease_id}:999999"}
        )
        ((_, name, data),) = read(answer)
        assert (name, data["offset"], data["next_offset"]) == ("log", 0, 0)


@on_asyncio
async def test_bad_requests_and_too_many_streams_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(tmp_path, event_stream_s=LONG_S) as world:
        alice = await world.customer("alice")
        for query, headers in [
            ({"types": "task.eaten"}, {}),
            ({"limit": 0}, {}),
            ({"after": 10**16}, {}),
            ({}, {"Last-Event-ID": "x"}),
            ({}, {"Last-Event-ID": "9" * 30}),
        ]:
            answer = await alice.http.get(URL, params=query, headers=headers)  # type: ignore[arg-type]  # mixed on purpose
            check_error(answer, 422, "INVALID_REQUEST")
        monkeypatch.setattr(event_routes, "STREAMS_MAX", 1)
        async with served(world) as address, follow(address, alice) as coming:
            await anext(coming)
            check_error(await alice.http.get(URL, params={"follow": True}), 429, "RATE_LIMITED")
        assert (await alice.http.get(URL, params={"follow": True})).status_code == 200
