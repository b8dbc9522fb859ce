"""Verification over the api: what is held, what is shown, what is refused."""

import hashlib
from pathlib import Path

from coordinator.api_world import TASK, USDC, World, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.records import wallet
from neurogrid_coordinator.store import tasks
from neurogrid_coordinator.trust import groups
from neurogrid_marketplace.comparator import Comparator, ComparatorKind, FileRule
from neurogrid_marketplace.task import Task
from neurogrid_marketplace.task_events import Started
from neurogrid_marketplace.verification import same_files


async def look(world: World, task_id: str, *, checked: bool = True) -> groups.Looked:
    """What the orchestrator does about a group."""
    return await world.database.write(
        groups.look,
        task_id,
        same=same_files,
        is_checked=lambda *_: checked,
        spendable_micro_usdc=lambda _: 100 * USDC,
        now_ms=world.now_ms,
    )


@on_asyncio
async def test_a_quorum_holds_its_runs_shows_them_and_lists_only_the_task(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        wanted = {**TASK, "verification": {"mode": "quorum", "runs": 3}}
        task = (await alice.http.post("/api/v1/tasks", json=wanted)).json()["data"]
        assert task["max_cost"] == "30.00"
        assert (task["verification"]["mode"], task["verification"]["runs"]) == ("quorum", 3)
        balance = (await alice.http.get("/api/v1/account")).json()["data"]["balance"]
        assert (balance["held"], balance["available"]) == ("30.00", "70.00")
        await look(world, task["id"])
        balance = (await alice.http.get("/api/v1/account")).json()["data"]["balance"]
        assert balance["held"] == "30.00"
        shown = (await alice.http.get(f"/api/v1/tasks/{task['id']}")).json()["data"]
        runs = shown["verification"]["further_runs"]
        assert [run["phase"] for run in runs] == ["queued", "queued"]
        listed = (await alice.http.get("/api/v1/tasks")).json()["data"]
        assert ([item["id"] for item in listed["tasks"]], listed["total"]) == ([task["id"]], 1)
        further = (await alice.http.get(f"/api/v1/tasks/{runs[0]['id']}")).json()["data"]
        assert further["verification"]["belongs_to"] == task["id"]
        refused = await alice.http.delete(f"/api/v1/tasks/{runs[0]['id']}")
        assert refused.json()["error"]["code"] == "CONFLICT"
        bob = await world.customer("bob")
        hidden = await bob.http.get(f"/api/v1/tasks/{runs[0]['id']}")
        assert hidden.json()["error"]["code"] == "NOT_FOUND"


@on_asyncio
async def test_further_runs_go_with_their_tasks_workflow(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        wanted = {**TASK, "verification": {"mode": "quorum", "runs": 2}}
        body = {"name": "Checked", "tasks": {"only": wanted}}
        workflow = (await alice.http.post("/api/v1/workflows", json=body)).json()["data"]
        [task] = workflow["tasks"]
        [run] = (await look(world, task["id"])).begun
        path = f"/api/v1/workflows/{workflow['id']}"
        assert (await alice.http.delete(path)).json()["data"]["result"] == "cancelled"
        # Its own task has ended, and what was begun for it has not.
        assert (await alice.http.delete(path)).status_code == 409
        await look(world, task["id"])
        assert (await alice.http.delete(path)).json()["data"]["result"] == "deleted"
        gone = await alice.http.get(f"/api/v1/tasks/{run.task.task_id}")
        assert gone.json()["error"]["code"] == "NOT_FOUND"


@on_asyncio
async def test_what_the_account_cannot_hold_is_refused_before_anything_is_stored(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=15 * USDC)
        for verification in ({"mode": "quorum"}, {"mode": "spot_check"}):
            answer = await alice.http.post(
                "/api/v1/tasks", json={**TASK, "verification": verification}
            )
            assert answer.json()["error"]["code"] == "INSUFFICIENT_CREDITS"
        capped = {**TASK, "verification": {"mode": "quorum"}, "max_total_cost": "12.00"}
        task = (await alice.http.post("/api/v1/tasks", json=capped)).json()["data"]
        assert (task["max_cost"], task["max_price_per_hour"]) == ("12.00", "6.00")


@on_asyncio
async def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        for verification in (
            {"mode": "spot_check", "runs": 2},
            {"runs": 2},
            {"mode": "quorum", "runs": 1},
            {"mode": "quorum", "runs": 6},
            {"mode": "often"},
        ):
            answer = await alice.http.post(
                "/api/v1/tasks", json={**TASK, "verification": verification}
            )
            assert answer.json()["error"]["code"] == "INVALID_REQUEST", verification


@on_asyncio
async def test_a_numeric_comparator_is_shown_stored_and_told_to_every_node(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        wanted = {"kind": "numeric", "relative": "1e-6", "files": [{"pattern": "*.csv"}]}
        body = {**TASK, "verification": {"mode": "quorum", "comparator": wanted}}
        task = (await alice.http.post("/api/v1/tasks", json=body)).json()["data"]
        assert task["verification"]["comparator"] == {
            "kind": "numeric",
            "relative": "1e-6",
            "absolute": "0",
            "files": [{"pattern": "*.csv", "format": None}],
            "image": None,
            "command": [],
            "timeout_seconds": None,
        }
        await look(world, task["id"])
        rows = await world.database.read(tasks.group_of, task["id"])
        told = {row.state.demand.comparator for row in rows}
        assert len(rows) == 2
        assert told == {Comparator(ComparatorKind.NUMERIC, "1e-6", files=(FileRule("*.csv"),))}
        usual = {"mode": "spot_check", "comparator": {"kind": "numeric", "absolute": "0.5"}}
        body = {**TASK, "verification": usual}
        task = (await alice.http.post("/api/v1/tasks", json=body)).json()["data"]
        patterns = [rule["pattern"] for rule in task["verification"]["comparator"]["files"]]
        assert patterns == ["*.json", "*.csv", "*.tsv", "*.txt", "*.npy", "*.npz"]
        plain = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]
        assert plain["verification"]["comparator"]["kind"] == "exact"


@on_asyncio
async def test_a_comparison_by_the_clients_own_image_is_held_and_shown(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        image = {"kind": "image", "image": "mine/compare:1", "command": ["cmp"]}
        body = {
            **TASK,
            "verification": {"mode": "quorum", "comparator": {**image, "timeout_seconds": 1800}},
        }
        task = (await alice.http.post("/api/v1/tasks", json=body)).json()["data"]
        # Two runs of an hour and half an hour to compare them, at 10 USDC an hour.
        assert task["max_cost"] == "25.00"
        assert task["verification"]["comparator"]["image"] == "mine/compare:1"
        assert task["verification"]["comparator"]["command"] == ["cmp"]
        balance = (await alice.http.get("/api/v1/account")).json()["data"]["balance"]
        assert balance["held"] == "25.00"
        capped = {**body, "max_total_cost": "5.00"}
        task = (await alice.http.post("/api/v1/tasks", json=capped)).json()["data"]
        assert (task["max_cost"], task["max_price_per_hour"]) == ("5.00", "2.00")
        usual = {**TASK, "verification": {"mode": "spot_check", "comparator": image}}
        task = (await alice.http.post("/api/v1/tasks", json=usual)).json()["data"]
        assert task["verification"]["comparator"]["timeout_seconds"] == 600


@on_asyncio
async def test_comparators_that_cannot_be_are_refused_with_what_to_change(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        for comparator, field, words in (
            ({"kind": "numeric"}, "verification.comparator", "above 0"),
            ({"kind": "numeric", "relative": "1"}, "verification.comparator", "below 1"),
            ({"relative": "1e-6"}, "verification.comparator", "numeric comparator only"),
            ({"kind": "image"}, "verification.comparator", "names an image"),
            ({"image": "a"}, "verification.comparator", "an image's comparator only"),
            (
                {"kind": "image", "image": "No Image"},
                "verification.comparator.image",
                "the name of an image",
            ),
            (
                {"kind": "numeric", "relative": "a lot"},
                "verification.comparator.relative",
                'a number such as "1e-6"',
            ),
            (
                {"kind": "numeric", "relative": "1e-6", "files": [{"pattern": "a b"}]},
                "verification.comparator.files[0].pattern",
                'a pattern such as "*.csv"',
            ),
            (
                {"kind": "numeric", "relative": "1e-6", "files": []},
                "verification.comparator",
                "names files",
            ),
            (
                {"kind": "numeric", "relative": "1e-6", "files": [{"pattern": "*"}] * 17},
                "verification.comparator.files",
                "16",
            ),
        ):
            body = {**TASK, "verification": {"mode": "quorum", "comparator": comparator}}
            error = (await alice.http.post("/api/v1/tasks", json=body)).json()["error"]
            assert error["code"] == "INVALID_REQUEST"
            assert error["details"]["field"] == field, error
            assert words in error["message"]
        unverified = {"comparator": {"kind": "numeric", "relative": "1e-6"}}
        body = {**TASK, "verification": unverified}
        error = (await alice.http.post("/api/v1/tasks", json=body)).json()["error"]
        assert "goes with a quorum or a spot check" in error["message"]


@on_asyncio
async def test_sealed_inputs_are_not_verified_by_nodes_that_cannot_read_them(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        digest = hashlib.sha256(b"sealed").hexdigest()
        await alice.http.put(f"/api/v1/artifacts/{digest}", content=b"sealed")
        secret = {**TASK, "inputs": [{"path": "in", "sha256": digest, "sealed": True}]}
        for mode in ("quorum", "spot_check"):
            wanted = {**secret, "verification": {"mode": mode}, "wait_for_node": True}
            error = (await alice.http.post("/api/v1/tasks", json=wanted)).json()["error"]
            assert (error["code"], error["details"]["field"]) == (
                "INVALID_REQUEST",
                "inputs[0].sealed",
            )
            assert "can't be verified" in error["message"]


@on_asyncio
async def test_a_checked_task_shows_verdict_and_cost_in_all(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        wanted = {**TASK, "verification": {"mode": "spot_check"}}
        task_id = (await alice.http.post("/api/v1/tasks", json=wanted)).json()["data"]["id"]
        await world.start(task_id)
        await world.finish(task_id)
        (step,) = (await look(world, task_id)).steps
        assert isinstance(step.after, Task)
        group = await world.database.read(tasks.group_of, task_id)
        check = group[1]
        await world.award(check.id, "two")
        state = await world.state(check.id)
        assert state.lease is not None
        assert state.lease.wallet == wallet("two")
        await world.step(check.id, Started(state.lease.lease_id, world.now_ms))
        await world.finish(check.id)
        await look(world, task_id)
        shown = (await alice.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]["verification"]
        assert (shown["verdict"], shown["total_cost_usdc"]) == ("agreed", "0.002")
        assert [run["verdict"] for run in shown["further_runs"]] == ["agreed"]


@on_asyncio
async def test_commitments_are_public(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        answer = await world.client().get("/api/v1/verification/commitments")
        days = answer.json()["data"]["days"]
        assert len(days) == 38
        assert [day["day"] for day in days] == sorted(day["day"] for day in days)
        assert days[0]["secret"]
        assert days[-1]["secret"] is None
