"""A task that asks a model with words that other tasks leave."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator.api_world import TASK, Customer, World, open_world
from coordinator.error_answers import error_of
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator import request_writing
from neurogrid_coordinator.request_writing import RequestWriter
from neurogrid_coordinator.services.artifacts import Artifacts
from neurogrid_coordinator.store import needs, tasks
from neurogrid_coordinator.tasks.steps import Step
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.task_events import CancelRequested

WORKFLOWS = "/api/v1/workflows"
HEAR = {"kind": "model", "model": "ear", "file": {"from_task": "cut", "path": "speech.wav"}}
SUM_UP: dict[str, Any] = {
    "kind": "model",
    "model": "small",
    "prompt": "Sum up, in {{language}}: {{heard}} {{this stays}}",
    "prompt_from": {
        "heard": {"from_task": "hear", "max_chars": 11},
        "language": {"from_task": "cut", "output": "about.json", "field": "to.0"},
    },
}
PLAN: dict[str, Any] = {"tasks": {"sum": SUM_UP, "hear": HEAR, "cut": TASK}}


def writer(world: World, follow: Callable[[Step], None] = lambda step: None) -> RequestWriter:
    return RequestWriter(
        database=world.database,
        feed=world.feed,
        blobs=world.blobs,
        artifacts=Artifacts(
            database=world.database, blobs=world.blobs, tokens=world.tokens, limits=world.limits
        ),
        follow=follow,
        now_ms=lambda: world.now_ms,
    )


async def submitted(customer: Customer, plan: dict[str, Any], **headers: str) -> dict[str, str]:
    answer = await customer.http.post(WORKFLOWS, json=plan, headers=headers)
    assert answer.is_success, answer.text
    return {task["key"]: task["id"] for task in answer.json()["data"]["tasks"]}


async def run(world: World, task_id: str, files: dict[str, bytes]) -> None:
    await world.start(task_id)
    outputs = [await world.upload(task_id, path, data) for path, data in files.items()]
    await world.finish(task_id, *outputs)


def said(text: str) -> dict[str, bytes]:
    return {"result.json": json.dumps({"text": text}).encode()}


CUT = {"speech.wav": b"a recording", "about.json": b'{"to": ["French"]}'}


@pytest.mark.both_databases
@on_asyncio
async def test_a_models_request_is_written_with_what_others_have_left(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        of = await submitted(alice, PLAN, **{"Idempotency-Key": "one"})
        assert await submitted(alice, PLAN, **{"Idempotency-Key": "one"}) == of
        shown = (await alice.http.get(f"/api/v1/tasks/{of['sum']}")).json()["data"]
        assert set(shown["depends_on"]) == {of["hear"], of["cut"]}
        await run(world, of["cut"], CUT)
        await writer(world).write_all()
        assert (await world.state(of["sum"])).phase is Phase.WAITING
        await run(world, of["hear"], said("Hello, dear {{language}} world"))
        # It has all that it needs, and is written by whoever comes, also after a kill.
        assert (await world.state(of["sum"])).phase is Phase.WAITING
        assert await world.database.read(needs.unwritten) == [of["sum"]]
        await writer(world).write_all()
        assert await world.database.read(needs.unwritten) == []
        state = await world.state(of["sum"])
        assert state.phase is Phase.QUEUED
        (request,) = (await world.database.read(tasks.job_of, of["sum"])).inputs
        await world.start(of["sum"])
        lease = (await world.state(of["sum"])).lease
        assert lease is not None
        node = world.client(world.tokens.token(lease.lease_id))
        asked = (await node.get(f"/api/v1/artifacts/{request.sha256}")).json()
        assert asked["prompt"] == "Sum up, in French: Hello, dear {{this stays}}"
        await world.finish(of["sum"], await world.upload(of["sum"], "result.json", b"{}"))
        assert await submitted(alice, PLAN, **{"Idempotency-Key": "one"}) == of
        # Once more it is asked the same.
        again = await alice.http.post(f"/api/v1/tasks/{of['sum']}/execute")
        assert again.status_code == 201, again.text
        (same,) = again.json()["data"]["inputs"]
        assert same["sha256"] == request.sha256


@on_asyncio
async def test_a_single_task_asks_with_what_is_there_and_may_be_sent_again(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        cut = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        part = {"from_task": cut, "output": "about.json"}
        asked = {**SUM_UP, "prompt": "{{ all }}", "prompt_from": {"all": part}}
        assert (await mallory.http.post("/api/v1/tasks", json=asked)).status_code == 422
        await run(world, cut, CUT)
        once = {"Idempotency-Key": "one"}
        made = await alice.http.post("/api/v1/tasks", json=asked, headers=once)
        task_id = made.json()["data"]["id"]
        changed = await alice.http.patch(f"/api/v1/tasks/{task_id}", json={"priority": "high"})
        assert changed.is_success, changed.text
        await writer(world).write_all()
        assert (await world.state(task_id)).phase is Phase.QUEUED
        again = await alice.http.post("/api/v1/tasks", json=asked, headers=once)
        assert (again.status_code, again.json()["data"]["id"]) == (200, task_id)
        changed = await alice.http.patch(f"/api/v1/tasks/{task_id}", json={"priority": "low"})
        assert changed.is_success, changed.text
        (request,) = (await world.database.read(tasks.job_of, task_id)).inputs
        data = (await alice.http.get(f"/api/v1/artifacts/{request.sha256}")).json()
        assert data["prompt"] == '{"to": ["French"]}'


@on_asyncio
async def test_what_can_not_stand_in_a_prompt_ends_the_task_and_what_waits_for_it(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        plan = {"tasks": PLAN["tasks"] | {"after": TASK | {"depends_on": ["sum"]}}}
        for number, (left, code, words) in enumerate(
            [
                ({"about.json": b"{"}, "PROMPT_UNFIT", "no JSON, so it has no to.0"),
                ({"about.json": b'{"to": [[]]}'}, "PROMPT_UNFIT", "is a list, and no words"),
                ({}, "OUTPUT_MISSING", "left no 'about.json'"),
            ]
        ):
            of = await submitted(alice, plan)
            await run(world, of["cut"], {"speech.wav": b"%d" % number} | left)
            if code == "PROMPT_UNFIT":
                await run(world, of["hear"], said(f"Hello {number}"))
                await writer(world).write_all()
            state = await world.state(of["sum"])
            assert state.ending is not None
            assert (state.phase, state.ending.code) == (Phase.FAILED, code)
            assert words in state.ending.message
            after = await world.state(of["after"])
            assert after.ending is not None
            assert after.ending.code == "DEPENDENCY_FAILED"
        # One that was cancelled meanwhile stays so.
        of = await submitted(alice, plan)
        await run(world, of["cut"], CUT)
        await run(world, of["hear"], said("Good bye"))
        await world.step(of["sum"], CancelRequested())
        await writer(world).write_all()
        assert (await world.state(of["sum"])).phase is Phase.CANCELLED


@on_asyncio
async def test_what_is_wrong_is_said_before_anything_is_stored(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        heard = SUM_UP["prompt_from"]["heard"]
        wrong: list[tuple[dict[str, Any], str, str]] = [
            ({"prompt": "{{heard}}"}, "prompt_from.language", "stands in none of the prompt"),
            ({"prompt_from": {"a b": heard}}, "prompt_from", ""),
            ({"prompt_from": {"heard": heard | {"field": "a..b"}}}, "prompt_from[...].field", ""),
            ({"prompt_from": {"heard": heard | {"max_chars": 0}}}, "prompt_from[...]", ""),
            (
                {"prompt_from": {"heard": heard | {"field": "words"}}},
                "prompt_from.heard",
                "there are text, language, confidence",
            ),
            (
                {"prompt_from": {"heard": heard | {"output": "a.txt"}}},
                "prompt_from.heard",
                "leaves result.json alone",
            ),
            ({"prompt_from": {"heard": {"from_task": "nobody"}}}, "depends_on", "no task nobody"),
            ({"prompt_from": {"heard": {"from_task": "sum"}}}, "depends_on", "in a circle"),
            ({"model": "ear", "prompt": ""}, "", ""),
        ]
        for change, field, words in wrong:
            plan = {"tasks": PLAN["tasks"] | {"sum": SUM_UP | change}}
            answer = await alice.http.post(WORKFLOWS, json=plan)
            assert answer.status_code == 422, (change, answer.text)
            error = error_of(answer)
            assert field in str(error.details.get("field", "")), (change, answer.text)
            assert words in answer.json()["error"]["message"], (change, answer.text)
        assert (await alice.http.get("/api/v1/tasks")).json()["data"]["total"] == 0


@on_asyncio
async def test_it_is_written_as_soon_as_the_last_task_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody looks by the clock.
    monkeypatch.setattr(request_writing, "_LOOK_EVERY_S", 3600.0)
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        written = asyncio.Event()
        working = asyncio.create_task(writer(world, lambda step: written.set()).run())
        of = await submitted(alice, PLAN)
        await run(world, of["cut"], CUT)
        await run(world, of["hear"], said("Hello"))
        world.feed.notify()
        async with asyncio.timeout(60):
            await written.wait()
        assert (await world.state(of["sum"])).phase is Phase.QUEUED
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
