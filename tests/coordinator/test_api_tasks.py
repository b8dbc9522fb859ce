"""Tasks over REST: as they are shown, listed and deleted."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from coordinator.api_world import TASK, Customer, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.records import node_id, wallet
from neurogrid_coordinator.store import events, tasks
from neurogrid_marketplace.awarding import demand_of
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.task_events import AuctionClosed, Due


@on_asyncio
async def test_the_documents_arguments_make_a_task(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        answer = await alice.http.post("/api/v1/tasks", json=TASK)
        assert answer.status_code == 201
        body = answer.json()
        assert body["success"] is True
        assert body["timestamp"].endswith("Z")
        task = body["data"]
        assert answer.headers["location"] == f"/api/v1/tasks/{task['id']}"
        assert task["status"] == "pending"
        assert task["phase"] == "queued"
        assert task["resource_requirements"] == {
            "cpu_cores": 2.0,
            "ram_gb": 1.0,
            "storage_gb": 5.0,
            "gpu_count": 0,
            "gpu_memory_gb": 0.0,
            "gpu_model": "",
            "gpu_compute_capability": "",
        }
        assert task["command"] == ["python", "resize.py"]
        assert task["priority"] == "high"
        assert (task["max_price_per_hour"], task["max_cost"]) == ("10.00", "10.00")
        assert (task["cost"], task["cost_usdc"], task["currency"]) == (0.0, "0.00", "USDC")
        assert world.woken == [task["id"]]
        shown = (await alice.http.get(f"/api/v1/tasks/{task['id']}")).json()["data"]
        assert [entry["event"] for entry in shown.pop("timeline")] == ["task.created"]
        assert task.pop("timeline") == []
        assert shown == task


@on_asyncio
async def test_a_gpu_task_asks_for_one_gpu(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        wanted = TASK | {
            "type": "gpu",
            "resource_requirements": {
                "cpu_cores": 4,
                "gpu_memory_gb": 8,
                "ram_gb": 4,
                "storage_gb": 50,
            },
        }
        task = (await alice.http.post("/api/v1/tasks", json=wanted)).json()["data"]
        assert task["type"] == "gpu"
        assert task["resource_requirements"]["gpu_count"] == 1
        assert task["resource_requirements"]["gpu_memory_gb"] == 8.0


@on_asyncio
async def test_a_running_task_shows_its_node_price_and_cost(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        state = await world.start(task_id)
        assert state.lease is not None
        shown = (await alice.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]
        assert (shown["status"], shown["phase"]) == ("running", "running")
        assert shown["node_id"] == state.lease.node_id
        assert shown["price_per_hour"] == "0.36"
        assert shown["started_at"] is not None
        assert shown["leases"][0]["settlement"] == "open"
        await world.finish(task_id)
        shown = (await alice.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]
        assert (shown["status"], shown["progress"], shown["exit_code"]) == ("completed", 100.0, 0)
        # Ten seconds at 0.36 per hour.
        assert (shown["cost"], shown["cost_usdc"]) == (0.001, "0.001")
        assert shown["error"] is None
        assert shown["settled"] is False
        await world.pay(task_id)
        shown = (await alice.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]
        assert shown["settled"] is True
        assert shown["leases"][0]["paid"] == "0.001"
        assert shown["leases"][0]["transaction"] == "4" * 88
        names = [entry["event"] for entry in shown["timeline"]]
        assert names[0] == "task.created"
        assert names.index("task.started") < names.index("task.completed")
        assert shown["timeline"][-1]["data"]["cost_usdc"] == "0.001"


@on_asyncio
async def test_a_task_that_is_looked_at_again_is_shown_as_it_is_stored(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]

        async def shown() -> Any:
            first = (await alice.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]
            again = (await alice.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]
            assert first == again
            return first

        assert (await shown())["phase"] == "queued"
        await world.start(task_id)
        assert (await shown())["phase"] == "running"
        lease = (await world.state(task_id)).lease
        assert lease is not None
        lease_id = lease.lease_id

        def change(conn: Connection) -> None:
            conn.exec_driver_sql("update leases set metered_ms = 36000")
            tasks.save_progress(conn, task_id, 500, "half")
            events.append(conn, task_id, alice.account.id, 1, "task.verdict", {"verdict": ""})

        # Whoever writes it, and however little: its lease, its row and its events.
        await world.database.write(change)
        task = await shown()
        assert (task["progress"], task["progress_note"], task["cost_usdc"]) == (
            50.0,
            "half",
            "0.0036",
        )
        assert task["timeline"][-1]["event"] == "task.verdict"
        # What is remembered is its owner's.
        assert (await bob.http.get(f"/api/v1/tasks/{task_id}")).status_code == 404
        await world.finish(task_id)
        assert (await shown())["status"] == "completed"
        await world.pay(task_id)
        assert (await shown())["settled"] is True
        assert task["leases"][0]["id"] == lease_id
        assert (await alice.http.delete(f"/api/v1/tasks/{task_id}")).status_code == 200
        assert (await alice.http.get(f"/api/v1/tasks/{task_id}")).status_code == 404


@on_asyncio
async def test_a_failed_task_says_what_to_change(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        await world.start(task_id)
        await world.finish(task_id, outcome=Outcome.MEMORY_EXCEEDED)
        shown = (await alice.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]
        assert shown["status"] == "failed"
        assert shown["error"]["code"] == "MEMORY_EXCEEDED"
        assert shown["error"]["advice"] == "Ask for more memory (resource_requirements.ram_gb)."
        assert shown["cost_usdc"] == "0.00"


@on_asyncio
async def test_a_task_that_found_no_node_expires_as_failed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        state = await world.step(task_id, Due(world.now_ms))
        assert state.phase.value == "matching"
        closed = AuctionClosed(demand_of(state).demand_id, (), "None of 2 nodes matches.")
        await world.step(task_id, closed)
        shown = (await alice.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]
        assert shown["explanation"] == "None of 2 nodes matches."
        world.now_ms += 86_400_000
        await world.step(task_id, Due(world.now_ms))
        shown = (await alice.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]
        assert (shown["status"], shown["phase"]) == ("failed", "expired")
        assert shown["error"]["code"] == "NODE_UNAVAILABLE"
        assert "max_price_per_hour" in shown["error"]["advice"]


@on_asyncio
async def test_a_list_is_filtered_paged_and_counted(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        ids = [
            (await alice.http.post("/api/v1/tasks", json=TASK | {"name": name})).json()["data"][
                "id"
            ]
            for name in "abcd"
        ]
        await world.start(ids[0])
        page = (await alice.http.get("/api/v1/tasks?limit=2&offset=1")).json()["data"]
        assert ([task["id"] for task in page["tasks"]], page["total"]) == ([ids[2], ids[1]], 4)
        assert (page["limit"], page["offset"]) == (2, 1)
        oldest = (await alice.http.get("/api/v1/tasks?order=asc&limit=1")).json()["data"]
        assert oldest["tasks"][0]["id"] == ids[0]
        running = (await alice.http.get("/api/v1/tasks?status=running")).json()["data"]
        assert [task["id"] for task in running["tasks"]] == [ids[0]]
        pending = (await alice.http.get("/api/v1/tasks?status=pending")).json()["data"]
        assert pending["total"] == 3


@on_asyncio
async def test_a_list_by_a_filter_that_there_is_not_is_refused_and_not_everything(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        answer = await alice.http.get("/api/v1/tasks", params={"limit": 5, "stauts": "failed"})
        error = answer.json()["error"]
        assert (answer.status_code, error["details"]["field"]) == (422, "stauts")
        assert "status" in error["message"]


@on_asyncio
async def test_a_list_is_of_a_kind_of_a_name_and_of_a_time(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        asked: list[dict[str, Any]] = [
            {**TASK, "name": "Resize 10% of images"},
            {**TASK, "name": "Count"},
            {"kind": "model", "model": "small", "prompt": "To be"},
        ]
        made = [
            (await alice.http.post("/api/v1/tasks", json=body)).json()["data"] for body in asked
        ]
        ids = [task["id"] for task in made]

        async def listed(**query: str) -> list[str]:
            answer = await alice.http.get("/api/v1/tasks", params={"order": "asc", **query})
            assert answer.status_code == 200, answer.text
            data = answer.json()["data"]
            assert data["total"] == len(data["tasks"])
            return [task["id"] for task in data["tasks"]]

        assert await listed(kind="model") == ids[2:]
        assert await listed(kind="container") == ids[:2]
        assert await listed(name="10% OF") == ids[:1]
        created = made[1]["created_at"]
        assert set(await listed(created_after=created)) >= {ids[1], ids[2]}
        assert ids[1] not in await listed(created_before=created)
        assert await listed(created_before="2020-01-01T00:00:00+02:00") == []
        assert await listed(created_after="2020-01-01", kind="model", name="x") == []


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=101", "offset=-1", "status=done", "order=up", "limit=x"),
        *("kind=job", "created_after=yesterday", "created_before=1.1.2026"),
    ],
)
def test_a_wrong_query_is_refused(tmp_path: Path, query: str) -> None:
    async def check() -> None:
        async with open_world(tmp_path) as world:
            alice = await world.customer("alice")
            answer = await alice.http.get(f"/api/v1/tasks?{query}")
            assert answer.status_code == 422
            error = answer.json()["error"]
            assert error["code"] == "INVALID_REQUEST"
            assert error["details"] == {"field": query.partition("=")[0]}

    asyncio.run(check())


@on_asyncio
async def test_delete_cancels_what_waits_and_what_runs(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        waiting = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        answer = (await alice.http.delete(f"/api/v1/tasks/{waiting}")).json()
        assert answer["data"] == {"id": waiting, "result": "cancelled", "status": "cancelled"}
        assert answer["message"] == "The task is cancelled."
        running = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        await world.start(running)
        answer = (await alice.http.delete(f"/api/v1/tasks/{running}")).json()
        assert answer["data"]["result"] == "cancelling"
        assert (await world.state(running)).cancel_requested


@on_asyncio
async def test_delete_removes_what_has_ended_once_it_is_paid(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        await world.start(task_id)
        await world.finish(task_id)
        early = await alice.http.delete(f"/api/v1/tasks/{task_id}")
        assert (early.status_code, early.json()["error"]["code"]) == (409, "CONFLICT")
        await world.pay(task_id)
        gone = await alice.http.delete(f"/api/v1/tasks/{task_id}")
        assert gone.json()["data"]["result"] == "deleted"
        assert (await alice.http.get(f"/api/v1/tasks/{task_id}")).status_code == 404
        assert (await alice.http.get("/api/v1/tasks")).json()["data"]["total"] == 0


@on_asyncio
async def test_a_deadline_is_shown_kept_and_missed_before_it_costs_anything(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        ends_ms = world.now_ms + 3_600_000 + 30_000
        ends = datetime.fromtimestamp(ends_ms / 1000, UTC)
        wanted = TASK | {
            "deadline": ends.isoformat(),
            "priority": 9,
            "priority_reason": "The board meets at noon.",
        }
        task = (await alice.http.post("/api/v1/tasks", json=wanted)).json()["data"]
        assert datetime.fromisoformat(task["deadline"]) == ends.replace(
            microsecond=ends.microsecond // 1000 * 1000
        )
        assert (task["deadline_policy"], task["deadline_met"]) == ("end", None)
        assert (task["priority"], task["priority_reason"]) == (9, "The board meets at noon.")
        state = await world.state(task["id"])
        assert state.demand.finish_by_ms == ends_ms

        kept = (await alice.http.post("/api/v1/tasks", json=wanted)).json()["data"]["id"]
        await world.start(kept)
        await world.finish(kept)
        assert (await _shown(alice, kept))["deadline_met"] is True

        late = wanted | {"deadline_policy": "run"}
        runs = (await alice.http.post("/api/v1/tasks", json=late)).json()["data"]["id"]
        world.now_ms += 60_000
        await world.step(task["id"], Due(world.now_ms))
        missed = await _shown(alice, task["id"])
        assert (missed["phase"], missed["status"]) == ("expired", "failed")
        assert missed["error"]["code"] == "DEADLINE_MISSED"
        assert "a lower timeout_seconds" in missed["error"]["advice"]
        assert (missed["deadline_met"], missed["cost_usdc"]) == (False, "0.00")
        await world.start(runs)
        shown = await _shown(alice, runs)
        assert (shown["status"], shown["deadline_policy"]) == ("running", "run")
        assert (shown["deadline"], shown["deadline_met"]) == (missed["deadline"], False)


async def _shown(customer: Customer, task_id: str) -> dict[str, Any]:
    data = (await customer.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]
    assert isinstance(data, dict)
    return data


@on_asyncio
async def test_where_a_task_keeps_away_is_shown_and_explained(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        apart = TASK | {"spread": {"group": "replicas"}}
        first = (await alice.http.post("/api/v1/tasks", json=apart)).json()["data"]
        assert first["spread"] == {"group": "replicas", "by": "node"}
        assert first["avoid"] == {"nodes": [], "wallets": []}
        await world.start(first["id"])
        explained = await alice.http.post("/api/v1/match/explain", json=apart)
        data = explained.json()["data"]
        assert data["survivors"][-1] == {"constraint": "spread(replicas)", "left": 1}
        assert data["nearest"][0]["reasons"] == ["spread(replicas): runs another task of replicas"]
        # Another account's group of the same name is another group.
        mallory = await world.customer("mallory")
        other = (await mallory.http.post("/api/v1/match/explain", json=apart)).json()["data"]
        assert other["matching"] == 2

        avoid = {"nodes": [node_id("one")], "wallets": [wallet("two")]}
        nowhere = TASK | {"avoid": avoid}
        refused = await alice.http.post("/api/v1/tasks", json=nowhere)
        assert refused.json()["error"]["code"] == "NODE_UNAVAILABLE"
        waits = nowhere | {"wait_for_node": True}
        task = (await alice.http.post("/api/v1/tasks", json=waits)).json()["data"]
        assert task["avoid"] == avoid
        assert len((await world.state(task["id"])).demand.where) == 2
