"""Tasks that are asked for otherwise while they wait, and executed once more when they have ended."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.api_world import OPERATION, TASK, USDC, Customer, World, open_world
from coordinator.crashing_database import CrashingDatabase
from coordinator.error_answers import ErrorAnswer, check_error, error_of
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.services.errors import Conflict
from neurogrid_coordinator.services.kept_requests import submission_of
from neurogrid_coordinator.services.submission import Submission
from neurogrid_coordinator.store import request_records, tasks
from neurogrid_marketplace.awarding import demand_of
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.task_events import AuctionClosed, Due

_TASKS = "/api/v1/tasks"


def data_of(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()["data"]


async def submitted(owner: Customer, **changes: Any) -> str:
    task_id = data_of(await owner.http.post(_TASKS, json=TASK | changes), 201)["id"]
    assert isinstance(task_id, str)
    return task_id


def refused(answer: httpx.Response, status: int, code: str) -> ErrorAnswer:
    check_error(answer, status, code)
    return error_of(answer)


async def row_of(world: World, task_id: str) -> tasks.TaskRow:
    row = await world.database.read(tasks.get, task_id)
    assert row is not None
    return row


async def held(world: World, owner: Customer) -> int:
    return await world.database.read(tasks.held_micro_usdc, owner.account.wallet)


@pytest.mark.both_databases
@on_asyncio
async def test_what_waits_is_asked_for_otherwise_in_its_place(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        key = {"Idempotency-Key": "mine"}
        before = data_of(await alice.http.post(_TASKS, json=TASK, headers=key), 201)
        task_id = before["id"]
        assert await held(world, alice) == 10 * USDC
        # As document 003 prints it.
        change = {"max_price_per_hour": "15.00", "priority": "high"}
        after = data_of(await alice.http.patch(f"{_TASKS}/{task_id}", json=change))
        assert (after["max_price_per_hour"], after["max_cost"]) == ("15.00", "15.00")
        assert await held(world, alice) == 15 * USDC
        assert world.woken == [task_id, task_id]
        told = [(entry["event"], entry["data"]) for entry in after.pop("timeline")]
        assert told[0][0] == "task.created"
        assert told[1:] == [
            (
                "task.updated",
                {
                    "phase": "queued",
                    "changed": ["max_price_per_hour"],
                    "message": "asked for otherwise: max_price_per_hour",
                },
            )
        ]
        before.pop("timeline")
        assert after == before | {"max_price_per_hour": "15.00", "max_cost": "15.00"}
        # Cheaper again; and all that may be changed at once.
        everything = {
            "name": "Smaller",
            "max_price_per_hour": "2.00",
            "max_total_cost": "0.50",
            "timeout_seconds": 1800,
            "priority": 3,
            "priority_reason": "nobody waits",
            "deadline": "2099-01-01T00:00:00Z",
            "deadline_policy": "run",
            "queue_timeout_seconds": 7200,
            "resource_requirements": {"cpu_cores": 1, "gpu_memory_gb": 8},
            "regions": ["eu-west"],
            "constraints": "gpu.memory >= 8GB",
            "wait_for_node": True,
        }
        after = data_of(await alice.http.patch(f"{_TASKS}/{task_id}", json=everything))
        assert after["name"] == "Smaller"
        assert after["type"] == "gpu"
        assert (after["max_price_per_hour"], after["max_cost"]) == ("1.00", "0.50")
        assert (after["timeout_seconds"], after["queue_timeout_seconds"]) == (1800, 7200)
        assert (after["priority"], after["priority_reason"]) == (3, "nobody waits")
        assert (after["deadline"], after["deadline_policy"]) == (
            "2099-01-01T00:00:00.000Z",
            "run",
        )
        needs = after["resource_requirements"]
        assert (needs["cpu_cores"], needs["ram_gb"], needs["storage_gb"]) == (1.0, 1.0, 5.0)
        assert (needs["gpu_count"], needs["gpu_memory_gb"]) == (1, 8.0)
        assert (after["regions"], after["constraints"]) == (["eu-west"], "gpu.memory >= 8GB")
        assert await held(world, alice) == USDC // 2
        # Back to how it was, with nothing of what was added.
        back: dict[str, Any] = {
            "max_total_cost": None,
            "deadline": None,
            "queue_timeout_seconds": None,
            "resource_requirements": {"gpu_count": 0},
            "constraints": "",
            "regions": [],
        }
        after = data_of(await alice.http.patch(f"{_TASKS}/{task_id}", json=back))
        assert (after["max_cost"], after["deadline"], after["deadline_policy"]) == (
            "1.00",
            None,
            None,
        )
        assert (after["resource_requirements"]["gpu_count"], after["type"]) == (0, "cpu")
        assert (after["constraints"], after["regions"]) == ("", [])
        # What changes nothing is no event; what was sent at first is still known again.
        assert data_of(await alice.http.patch(f"{_TASKS}/{task_id}", json={})) == after
        again = data_of(await alice.http.post(_TASKS, json=TASK, headers=key))
        assert again["timeline"] == after["timeline"]
        other = await alice.http.post(_TASKS, json=TASK | {"name": "another"}, headers=key)
        check_error(other, 409, "IDEMPOTENCY_MISMATCH")


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"docker_image": "neurogrid/job:2"}, "docker_image", "is not a field"),
    ({"max_price_per_hour": "-1"}, "max_price_per_hour", "not an amount"),
    ({"timeout_seconds": 8 * 24 * 3600}, "timeout_seconds", "at most"),
    ({"timeout_seconds": None}, "timeout_seconds", "expected"),
    ({"priority": 11}, "priority", "<= 10"),
    ({"deadline": "2001-01-01T00:00:00Z"}, "deadline", "s too late even if it began now"),
    ({"deadline_policy": "run"}, "deadline_policy", "has no deadline"),
    ({"queue_timeout_seconds": 0}, "queue_timeout_seconds", ">= 1"),
    ({"resource_requirements": {"cpus": 1}}, "resource_requirements.cpus", "is not a field"),
    ({"constraints": "gpu.memory >="}, "constraints", "expected"),
    ({"constraints": "score > 0.9 and score < 0.1"}, "constraints", "score"),
]


@on_asyncio
async def test_what_cannot_be_is_refused_as_in_a_submission(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=20 * USDC)
        task_id = await submitted(alice)
        there = await row_of(world, task_id)
        for body, field, words in BAD:
            answer = await alice.http.patch(f"{_TASKS}/{task_id}", json=body)
            error = error_of(answer)
            assert answer.status_code == 422, answer.text
            assert words in error.message, body
            assert error.details["field"] == field, body
        dear = await alice.http.patch(f"{_TASKS}/{task_id}", json={"max_price_per_hour": "20.01"})
        error = refused(dear, 402, "INSUFFICIENT_CREDITS")
        assert (error.details["needed"], error.details["available"]) == ("20.01", "20.00")
        nobody = await alice.http.patch(f"{_TASKS}/{task_id}", json={"regions": ["mars-1"]})
        assert refused(nobody, 409, "NODE_UNAVAILABLE").details["explanation"]
        await alice.http.put("/api/v1/account/limits", json={"task_budget": "12.00"})
        body = {"max_price_per_hour": "12.01"}
        answer = await alice.http.patch(f"{_TASKS}/{task_id}", json=body)
        assert refused(answer, 402, "QUOTA_EXCEEDED").details["limit"] == "task_budget"
        limits = {"monthly_budget": "11.00", "monthly_tasks": 1}
        await alice.http.put("/api/v1/account/limits", json=limits)
        body = {"max_price_per_hour": "11.01"}
        answer = await alice.http.patch(f"{_TASKS}/{task_id}", json=body)
        details = refused(answer, 402, "QUOTA_EXCEEDED").details
        assert (details["limit"], details["used"], details["needed"]) == (
            "monthly_budget",
            "0.00",
            "11.01",
        )
        assert await row_of(world, task_id) == there
        assert await held(world, alice) == 10 * USDC
        # What it holds itself is free for it; less is always taken, whatever the limits are now.
        data_of(await alice.http.patch(f"{_TASKS}/{task_id}", json={"max_price_per_hour": "11.00"}))
        await alice.http.put("/api/v1/account/limits", json={"task_budget": "0.01"})
        data_of(await alice.http.patch(f"{_TASKS}/{task_id}", json={"max_price_per_hour": "10.50"}))


@on_asyncio
async def test_only_what_waits_is_changed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = await submitted(alice)
        change = {"priority": "low"}
        await world.start(task_id)
        running = await alice.http.patch(f"{_TASKS}/{task_id}", json=change)
        assert "cancel it and submit another" in check_error(running, 409, "CONFLICT")
        await world.finish(task_id)
        ended = await alice.http.patch(f"{_TASKS}/{task_id}", json=change)
        assert "execute it with the change" in check_error(ended, 409, "CONFLICT")
        # A batch has counted on what its tasks cost.
        body = {"name": "two", "tasks": [TASK, TASK], "max_concurrency": 1}
        batch_id = data_of(await alice.http.post("/api/v1/batches", json=body), 201)["id"]
        await world.batch_runner().look()
        mine = data_of(await alice.http.get(_TASKS))["tasks"][0]["id"]
        assert mine != task_id
        answer = await alice.http.patch(f"{_TASKS}/{mine}", json=change)
        assert batch_id in check_error(answer, 409, "CONFLICT")
        mallory = await world.customer("mallory")
        answer = await mallory.http.patch(f"{_TASKS}/{task_id}", json=change)
        check_error(answer, 404, "NOT_FOUND")


@on_asyncio
async def test_an_auction_that_is_open_is_waited_for(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = await submitted(alice)
        asked = (await world.step(task_id, Due(world.now_ms))).demand
        assert (await world.state(task_id)).phase is Phase.MATCHING
        changes = world.task_changes()
        with pytest.raises(Conflict, match="send the change again"):
            await changes.change(alice.account, task_id, lambda wanted: replace(wanted, priority=1))
        assert (await world.state(task_id)).demand == asked
        waits = asyncio.create_task(
            alice.http.patch(f"{_TASKS}/{task_id}", json={"max_price_per_hour": "12.00"})
        )
        await asyncio.sleep(0.05)
        assert not waits.done()
        task = await world.state(task_id)
        # Nobody would: back to the queue, where it is changed before the next auction.
        await world.step(task_id, AuctionClosed(demand_of(task).demand_id, (), "nobody"))
        assert data_of(await waits)["max_price_per_hour"] == "12.00"
        state = await world.state(task_id)
        assert state.retry_at_ms <= world.now_ms
        # The outcome may also be that it begins.
        await world.step(task_id, Due(world.now_ms))
        waits = asyncio.create_task(
            alice.http.patch(f"{_TASKS}/{task_id}", json={"max_price_per_hour": "13.00"})
        )
        await asyncio.sleep(0.05)
        await world.start(task_id)
        assert "has begun" in check_error(await waits, 409, "CONFLICT")


@on_asyncio
async def test_runs_that_verify_a_task_are_asked_for_as_it_is(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = await submitted(alice, verification={"mode": "quorum", "runs": 2})
        assert await held(world, alice) == 20 * USDC
        change = {"max_price_per_hour": "4.00"}
        data_of(await alice.http.patch(f"{_TASKS}/{task_id}", json=change))
        assert await held(world, alice) == 8 * USDC
        gang = await submitted(alice, gang={"size": 2})
        data_of(await alice.http.patch(f"{_TASKS}/{gang}", json=change))
        assert await held(world, alice) == 16 * USDC


@on_asyncio
async def test_a_change_survives_a_crash_wholly_or_not_at_all(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        for before in (True, False):
            task_id = await submitted(alice)
            old = await row_of(world, task_id)
            database = CrashingDatabase(world.database, 1, before=before)

            def dearer(wanted: Submission) -> Submission:
                return replace(wanted, max_price_micro_usdc_per_hour=12 * USDC, priority=1)

            changing = asyncio.create_task(
                world.task_changes(database).change(alice.account, task_id, dearer)
            )
            await database.dead.wait()
            changing.cancel()
            await asyncio.gather(changing, return_exceptions=True)
            row = await row_of(world, task_id)
            if before:
                assert row == old
                continue
            assert (row.priority, row.hold_micro_usdc) == (1, 12 * USDC)
            assert row.state.demand.max_price_micro_usdc_per_hour == 12 * USDC
            assert (submission_of(row).max_price_micro_usdc_per_hour, row.spec["priority"]) == (
                12 * USDC,
                1,
            )


KINDS: list[dict[str, Any]] = [
    TASK,
    TASK
    | {
        "env": {"A": "b"},
        "gang": {"size": 2, "apart": "wallet", "tries": 2},
        "deadline": "2099-01-01T00:00:00Z",
        "deadline_policy": "run",
        "priority_reason": "soon",
        "constraints": "score >= 0",
        "reveal_wallet": True,
        "max_total_cost": "3.00",
    },
    TASK
    | {
        "verification": {
            "mode": "quorum",
            "comparator": {"kind": "numeric", "relative": "1e-6"},
        },
        "spread": {"group": "g", "by": "wallet"},
        "sealed_bids": True,
        "queue_timeout_seconds": 77,
    },
    TASK
    | {
        "checkpoint": {"path": "/work"},
        "preemptible": True,
        "reclaim_window_seconds": 30,
        "interactive": True,
        "service": {"port": 8080, "health": "/"},
        "network": {"allow": ["example.org"]},
        "avoid": {"wallets": ["5ZWj7a1f8tWkjBESHKgrLmXshuXxqeY9SYcfbshpAqPG"]},
        "wait_for_node": True,
    },
    {"kind": "operation", **OPERATION, "priority": 5},
    {"kind": "model", "model": "small", "prompt": "To be", "parameters": {"temperature": 0.7}},
]


@on_asyncio
async def test_what_was_asked_for_is_read_back_from_its_task(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=1000 * USDC)
        world.market.views = [
            replace(view, offer=replace(view.offer, access=("exec", "ports")))
            for view in world.market.views
        ]
        for body in KINDS:
            wanted = body if body.get("kind") else body | {"wait_for_node": True}
            key = {"Idempotency-Key": str(KINDS.index(body))}
            task_id = data_of(await alice.http.post(_TASKS, json=wanted, headers=key), 201)["id"]
            repeated = await alice.http.post(_TASKS, json=wanted, headers=key)
            assert data_of(repeated)["id"] == task_id, body
            row = await row_of(world, task_id)
            asked = submission_of(row)
            assert request_records.is_same(row.spec, asked.record(str(row.spec["job_hash"]))), body
            sizes = {item.sha256: item.size_bytes for item in row.job.inputs}
            assert asked.job(sizes) == row.job
            demand = row.state.demand
            assert asked.demand(
                demand.demand_id, row.job, demand.job_hash, world.settings.terms
            ) == (demand)


@pytest.mark.both_databases
@on_asyncio
async def test_what_has_ended_is_executed_once_more(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        first = await submitted(alice)
        # Under way already.
        assert data_of(await alice.http.post(f"{_TASKS}/{first}/execute"))["id"] == first
        dearer = {"max_price_per_hour": "12.00"}
        early = await alice.http.post(f"{_TASKS}/{first}/execute", json=dearer)
        assert "PATCH it" in check_error(early, 409, "CONFLICT")
        await world.start(first)
        await world.finish(first)
        key = {"Idempotency-Key": "again"}
        answer = await alice.http.post(f"{_TASKS}/{first}/execute", headers=key)
        second = data_of(answer, 201)
        assert answer.headers["location"] == f"{_TASKS}/{second['id']}"
        assert second["id"] != first
        assert (second["execution_of"], second["phase"]) == (first, "queued")
        shown = data_of(await alice.http.get(f"{_TASKS}/{first}"))
        assert shown["execution_of"] is None
        same = ("name", "docker_image", "command", "max_price_per_hour", "resource_requirements")
        assert {name: second[name] for name in same} == {name: shown[name] for name in same}
        # Sent again it is the same, also when it was changed since.
        repeated = await alice.http.post(f"{_TASKS}/{first}/execute", headers=key)
        assert data_of(repeated)["id"] == second["id"]
        await alice.http.patch(f"{_TASKS}/{second['id']}", json=dearer)
        repeated = await alice.http.post(f"{_TASKS}/{first}/execute", headers=key)
        assert data_of(repeated)["max_price_per_hour"] == "12.00"
        other = await alice.http.post(f"{_TASKS}/{first}/execute", json=dearer, headers=key)
        check_error(other, 409, "IDEMPOTENCY_MISMATCH")
        # Asked for otherwise, of whatever execution.
        await world.start(second["id"])
        await world.finish(second["id"])
        change = {"name": "Third", "timeout_seconds": 60}
        third = data_of(await alice.http.post(f"{_TASKS}/{second['id']}/execute", json=change), 201)
        assert (third["execution_of"], third["name"]) == (second["id"], "Third")
        assert (third["timeout_seconds"], third["max_price_per_hour"]) == (60, "12.00")
        mallory = await world.customer("mallory")
        check_error(await mallory.http.post(f"{_TASKS}/{first}/execute"), 404, "NOT_FOUND")


@on_asyncio
async def test_an_execution_has_the_files_and_the_budget_of_any_task(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=15 * USDC)
        flow = {
            "tasks": {
                "make": TASK | {"max_price_per_hour": "3.00"},
                "use": TASK
                | {
                    "max_price_per_hour": "3.00",
                    "inputs": [{"path": "in", "from_task": "make", "output": "out"}],
                },
            }
        }
        made = data_of(await alice.http.post("/api/v1/workflows", json=flow), 201)
        ids = {task["key"]: task["id"] for task in made["tasks"]}
        make, use = ids["make"], ids["use"]
        await world.start(make)
        output = await world.upload(make, "out", b"data")
        await world.finish(make, output)
        await world.start(use)
        await world.finish(use)
        again = data_of(await alice.http.post(f"{_TASKS}/{use}/execute"), 201)
        assert again["phase"] == "queued"
        assert again["inputs"][0]["sha256"] == output.sha256
        assert (again["depends_on"], again["workflow_id"]) == ([make], None)
        change = {"priority": "low"}
        data_of(await alice.http.patch(f"{_TASKS}/{again['id']}", json=change))
        assert (await row_of(world, again["id"])).job.inputs[0].sha256 == output.sha256
        dear = {"max_price_per_hour": "13.00"}
        answer = await alice.http.post(f"{_TASKS}/{use}/execute", json=dear)
        check_error(answer, 402, "INSUFFICIENT_CREDITS")
