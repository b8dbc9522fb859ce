import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from coordinator.api_world import TASK, Customer, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.served import served
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.task_events import Due


async def submit(customer: Customer) -> str:
    answer = await customer.http.post("/api/v1/tasks", json=TASK)
    task_id = answer.json()["data"]["id"]
    assert isinstance(task_id, str)
    return task_id


async def collect(http: httpx.AsyncClient, path: str, **headers: str) -> list[tuple[str, str, str]]:
    """(event, id, data) of a stream that ends."""
    answer = await http.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")
        )
        if fields:
            found.append((fields["event"], fields.get("id", ""), fields["data"]))
    return found


# --- logs -----------------------------------------------------------------------------------------


@on_asyncio
async def test_the_end_of_a_log_and_the_whole_of_it(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = await submit(alice)
        path = f"/api/v1/tasks/{task_id}/logs"
        empty = (await alice.http.get(path)).json()["data"]
        assert (empty["text"], empty["complete"], empty["lease_id"]) == ("", False, None)
        await world.start(task_id)
        await world.print(task_id, "one\ntwo\nthree\n")
        end = (await alice.http.get(f"{path}?lines=2")).json()["data"]
        assert (end["text"], end["offset"], end["next_offset"]) == ("two\nthree\n", 4, 14)
        assert (end["total_bytes"], end["complete"]) == (14, False)
        piece = (await alice.http.get(f"{path}?offset=4&limit=3")).json()["data"]
        assert (piece["text"], piece["next_offset"]) == ("two", 7)
        await world.finish(task_id)
        end = (await alice.http.get(f"{path}?lines=0")).json()["data"]
        assert (end["text"], end["complete"]) == ("", True)


@on_asyncio
async def test_a_log_is_never_cut_inside_a_character(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = await submit(alice)
        await world.start(task_id)
        await world.print(task_id, "é".encode()[:1])
        path = f"/api/v1/tasks/{task_id}/logs"
        half = (await alice.http.get(f"{path}?offset=0")).json()["data"]
        assert (half["text"], half["next_offset"]) == ("", 0)
        await world.print(task_id, "é".encode()[1:] + b"\xff")
        whole = (await alice.http.get(f"{path}?offset=0")).json()["data"]
        # What is no UTF-8 at all is shown as such, and counted as what it was.
        assert (whole["text"], whole["next_offset"]) == ("é\N{REPLACEMENT CHARACTER}", 3)


@on_asyncio
async def test_a_followed_log_ends_with_its_task_and_can_be_resumed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = await submit(alice)
        path = f"/api/v1/tasks/{task_id}/logs?follow=true"
        following = asyncio.create_task(collect(alice.http, path))
        state = await world.start(task_id)
        assert state.lease is not None
        await world.print(task_id, "one\n")
        await asyncio.sleep(0.3)
        await world.print(task_id, "two\n")
        await world.finish(task_id)
        events = await following
        text = "".join(json.loads(data)["text"] for name, _, data in events if name == "log")
        assert text == "one\ntwo\n"
        assert events[-1][0] == "end"
        resumed = await collect(alice.http, path, **{"Last-Event-ID": f"{state.lease.lease_id}:4"})
        assert [json.loads(data)["text"] for name, _, data in resumed if name == "log"] == ["two\n"]
        wrong = await alice.http.get(path, headers={"Last-Event-ID": "x"})
        assert wrong.status_code == 422


@on_asyncio
async def test_the_log_of_the_next_attempt_follows_that_of_the_first(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = await submit(alice)
        first = await world.start(task_id)
        assert first.lease is not None
        await world.print(task_id, "first\n")
        world.now_ms += 60_000
        lost = await world.step(task_id, Due(heard_ms=world.now_ms - 60_000))
        assert lost.phase is Phase.QUEUED
        await world.award(task_id, "two")
        await world.print(task_id, "second\n")
        lease = (await world.state(task_id)).lease
        assert lease is not None
        await world.finish(task_id, outcome=Outcome.EXIT_NONZERO)
        path = f"/api/v1/tasks/{task_id}/logs"
        events = await collect(
            alice.http, f"{path}?follow=true", **{"Last-Event-ID": f"{first.lease.lease_id}:0"}
        )
        pieces = [json.loads(data) for name, _, data in events if name == "log"]
        assert [piece["text"] for piece in pieces] == ["first\n", "second\n"]
        assert [piece["lease_id"] for piece in pieces] == [first.lease.lease_id, lease.lease_id]
        for query in ("offset=0&", ""):
            old = await alice.http.get(f"{path}?{query}lease_id={first.lease.lease_id}")
            assert old.json()["data"]["lease_id"] == first.lease.lease_id
        assert old.json()["data"]["text"] == "first\n"
        other = await alice.http.get(f"{path}?offset=0&lease_id=lease_x")
        assert other.status_code == 404


# --- events ---------------------------------------------------------------------------------------


@on_asyncio
async def test_a_tasks_events_end_with_it_and_can_be_resumed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = await submit(alice)
        path = f"/api/v1/tasks/{task_id}/events"
        following = asyncio.create_task(collect(alice.http, path))
        await world.start(task_id)
        await world.finish(task_id)
        events = await following
        names = [name for name, _, _ in events]
        assert names == [
            "task.created",
            "task.matching",
            "task.awarded",
            "task.starting",
            "task.started",
            "task.verifying",
            "task.completed",
            "end",
        ]
        updates = [json.loads(data) for _, _, data in events[:-1]]
        assert [update["status"] for update in updates] == [
            "pending",
            "pending",
            "pending",
            "pending",
            "running",
            "running",
            "completed",
        ]
        assert (updates[0]["node_id"], updates[0]["cost_usdc"]) == (None, "0.00")
        assert updates[3]["price_per_hour"] == "0.36"
        assert updates[-1]["cost_usdc"] == "0.001"
        resumed = await collect(alice.http, path, **{"Last-Event-ID": events[4][1]})
        assert [name for name, _, _ in resumed] == names[5:]
        done = await collect(alice.http, path, **{"Last-Event-ID": events[6][1]})
        assert [name for name, _, _ in done] == ["end"]


@on_asyncio
async def test_streams_end_when_the_coordinator_stops(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, served(world) as address:
        alice = await world.customer("alice")
        task_id = await submit(alice)

        async def first_line(response: httpx.Response) -> AsyncIterator[str]:
            lines = response.aiter_lines()
            assert (await anext(lines)).startswith("event: ")
            return lines

        url = f"http://{address}/api/v1/tasks/{task_id}"
        headers = {"Authorization": f"Bearer {alice.key}"}
        async with (
            httpx.AsyncClient(headers=headers) as http,
            http.stream("GET", f"{url}/events") as events,
            http.stream("GET", f"{url}/logs?follow=true") as log,
        ):
            streams = [await first_line(events), await first_line(log)]
            world.stopping.set()
            for lines in streams:
                rest = [line async for line in lines]
                assert "event: end" not in rest


# --- outputs and receipt --------------------------------------------------------------------------


@on_asyncio
async def test_outputs_are_listed_when_checked_and_fetched_by_range(tmp_path: Path) -> None:
    async with open_world(tmp_path, public_url="https://api.example.org") as world:
        alice = await world.customer("alice")
        task_id = await submit(alice)
        path = f"/api/v1/tasks/{task_id}/outputs"
        await world.start(task_id)
        data = b"0123456789"
        page = await world.upload(task_id, "report/page ü.html", data)
        empty = await world.upload(task_id, "empty", b"")
        assert (await alice.http.get(path)).json()["data"]["outputs"] == []
        await world.finish(task_id, page, empty)
        listed = (await alice.http.get(path)).json()["data"]
        assert listed["total"] == 2
        assert [item["path"] for item in listed["outputs"]] == ["empty", "report/page ü.html"]
        entry = listed["outputs"][1]
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        assert entry["url"] == f"https://api.example.org{path}/report/page%20%C3%BC.html"
        url = entry["url"].removeprefix("https://api.example.org")
        whole = await alice.http.get(url)
        assert whole.content == data
        assert whole.headers["etag"] == f'"{entry["sha256"]}"'
        assert whole.headers["content-type"].startswith("text/html")
        assert "sandbox" in whole.headers["content-security-policy"]
        assert (await alice.http.get(f"{path}/empty")).content == b""
        for wanted, status, part in [
            ("bytes=2-4", 206, b"234"),
            ("bytes=7-", 206, b"789"),
            ("bytes=-3", 206, b"789"),
            ("bytes=5-99", 206, b"56789"),
            ("bytes=0-1,3-4", 200, data),
            ("lines=1-2", 200, data),
            ("bytes=-", 200, data),
        ]:
            answer = await alice.http.get(url, headers={"Range": wanted})
            assert (answer.status_code, answer.content) == (status, part), wanted
        answer = await alice.http.get(url, headers={"Range": "bytes=2-4"})
        assert answer.headers["content-range"] == "bytes 2-4/10"
        for beyond in ("bytes=10-", "bytes=-0", "bytes=5-2"):
            answer = await alice.http.get(url, headers={"Range": beyond})
            assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */10")
            assert answer.json()["error"]["code"] == "RANGE_NOT_SATISFIABLE"
        same = await alice.http.get(url, headers={"If-None-Match": whole.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")
        changed = await alice.http.get(url, headers={"Range": "bytes=2-4", "If-Range": '"x"'})
        assert changed.status_code == 200
        assert (await alice.http.get(f"{path}/nothing")).status_code == 404


@on_asyncio
async def test_the_receipt_is_told_when_it_is_complete(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = await submit(alice)
        path = f"/api/v1/tasks/{task_id}/receipt"
        for step, words in [
            (None, "the task is queued"),
            (world.start, "the task is running"),
            (world.finish, "its escrow is final"),
        ]:
            if step is not None:
                await step(task_id)
            answer = await alice.http.get(path)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (409, "NOT_SETTLED")
            assert words in error["details"]["missing"][0]
        receipt = b'{\n  "exactly": "these bytes"\n}\n'
        await world.pay(task_id, receipt)
        answer = await alice.http.get(path)
        assert (answer.status_code, answer.content) == (200, receipt)
        lease = (await world.state(task_id)).lease
        assert lease is not None
        same = await alice.http.get(path, params={"lease_id": lease.lease_id})
        assert (same.status_code, same.content) == (200, receipt)
        other = await alice.http.get(path, params={"lease_id": "lease_" + "0" * 32})
        assert other.status_code == 404
        assert answer.headers["content-type"] == "application/json"


@on_asyncio
async def test_a_task_that_ran_nowhere_has_no_receipt(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = await submit(alice)
        await alice.http.delete(f"/api/v1/tasks/{task_id}")
        answer = await alice.http.get(f"/api/v1/tasks/{task_id}/receipt")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


@on_asyncio
async def test_a_place_in_a_log_that_no_database_could_hold_is_a_wrong_value(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        path = f"/api/v1/tasks/{await submit(alice)}/logs"
        for query, last in ((f"?offset={10**30}", ""), ("?follow=true", f"lease_a:{10**30}")):
            answer = await alice.http.get(path + query, headers={"Last-Event-ID": last})
            assert answer.status_code == 422, answer.text
