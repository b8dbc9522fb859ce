import time
from pathlib import Path

from coordinator.api_world import TASK, World, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.records import node_id
from neurogrid_coordinator.store import findings
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.reputation import Finding, FindingKind
from neurogrid_marketplace.standing import Standing


async def found(world: World, node: str, kind: FindingKind, outcome: Outcome | None = None) -> None:
    now_ms = time.time_ns() // 1_000_000
    await world.database.write(findings.add, node, Finding(kind, now_ms, outcome))


@on_asyncio
async def test_a_score_is_explained_finding_by_finding(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        one = node_id("one")
        world.standings[one] = Standing(524, 5_000_000)
        for _ in range(2):
            task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
            await world.start(task_id)
            await world.finish(task_id)
        await found(world, one, FindingKind.VERIFIED)
        await found(world, one, FindingKind.FAILED, Outcome.PULL_STALLED)
        await found(world, one, FindingKind.CHALLENGE_FAILED)
        answer = await alice.http.get(f"/api/v1/nodes/{one}/reputation")
        data = answer.json()["data"]
        assert (data["score"], data["performance_score"], data["neutral_score"]) == (524, 52.4, 500)
        assert (data["stake"], data["suspended"], data["half_life_days"]) == ("5.00", False, 30)
        assert (data["tasks_completed"], data["verified_share"]) == (2, 0.5)
        assert data["counts"]["verified"] == 1
        shown = {
            item["kind"]: (item["effect"], item["scored"], item["outcome"])
            for item in data["findings"]
        }
        assert shown == {
            "verified": (24, True, None),
            "failed": (0, True, "pull_stalled"),
            "challenge_failed": (0, False, None),
        }
        few = await alice.http.get(f"/api/v1/nodes/{one}/reputation?limit=1")
        assert (len(few.json()["data"]["findings"]), few.json()["data"]["total"]) == (1, 3)


@on_asyncio
async def test_lists_show_the_score_and_a_node_that_left_keeps_its_reputation(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        world.standings[node_id("one")] = Standing(731, start_factor_permille=1_500)
        data = (await alice.http.get("/api/v1/nodes")).json()["data"]
        scores = {node["id"]: node["performance_score"] for node in data["nodes"]}
        assert scores == {node_id("one"): 73.1, node_id("two"): None}
        factors = {node["id"]: node["start_factor"] for node in data["nodes"]}
        assert factors == {node_id("one"): 1.5, node_id("two"): None}
        await found(world, "gone", FindingKind.REFUTED)
        gone = (await alice.http.get("/api/v1/nodes/gone/reputation")).json()["data"]
        assert (gone["score"], gone["stake"], gone["verified_share"]) == (417, None, None)
        nobody = await alice.http.get("/api/v1/nodes/nobody/reputation")
        assert nobody.json()["error"]["code"] == "NOT_FOUND"
        fresh = (await alice.http.get(f"/api/v1/nodes/{node_id('two')}/reputation")).json()["data"]
        assert (fresh["score"], fresh["findings"]) == (500, [])
