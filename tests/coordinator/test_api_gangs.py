"""Gangs over the api: what is held, what is shown, what is refused."""

from pathlib import Path

import pytest

from coordinator.api_world import TASK, USDC, World, node_view, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.records import wallet
from neurogrid_coordinator.store import tasks
from neurogrid_marketplace.auction import RankedBid
from neurogrid_marketplace.awarding import demand_of
from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.messages import Result
from neurogrid_marketplace.task_events import (
    Accepted,
    AuctionClosed,
    Due,
    EscrowOpened,
    Finished,
    OutputsChecked,
    Started,
)

# On both nodes of the world.
PAIR = {**TASK, "gang": {"size": 2}}


async def run(world: World, task_id: str) -> list[str]:
    """Queued to running; the ids of all members by rank."""
    task = await world.step(task_id, Due(world.now_ms))
    demand = demand_of(task)
    ranking = tuple(
        RankedBid(
            world.market.views[number].offer.node_id,
            Bid(demand.demand_id, demand.hash(), 360_000, 100, 2**50, wallet(f"owner {number}")),
            f"{number:064x}",
            360_000,
            360_000,
        )
        for number in range(2)
    )
    await world.step(task_id, AuctionClosed(demand.demand_id, ranking, "2 of 2 nodes match."))
    members = [row.id for row in await world.database.read(tasks.group_of, task_id)]
    for event in (Accepted, EscrowOpened):
        for member in members:
            await world.step(member, event(await lease_of(world, member)))
    for member in members:
        await world.step(member, Started(await lease_of(world, member), world.now_ms))
    return members


async def lease_of(world: World, task_id: str) -> str:
    lease = (await world.state(task_id)).lease
    assert lease is not None
    return lease.lease_id


@on_asyncio
async def test_a_gang_is_held_for_shows_its_members_and_lists_only_the_task(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        wanted = {**TASK, "gang": {"size": 2, "apart": "wallet", "tries": 3}}
        task = (await alice.http.post("/api/v1/tasks", json=wanted)).json()["data"]
        assert task["max_cost"] == "60.00"
        shown = task["gang"]
        assert (shown["size"], shown["apart"], shown["tries"], shown["attempt"]) == (
            2,
            "wallet",
            3,
            0,
        )
        assert shown["members"] == []
        balance = (await alice.http.get("/api/v1/account")).json()["data"]["balance"]
        assert balance["held"] == "60.00"
        members = await run(world, task["id"])
        shown = (await alice.http.get(f"/api/v1/tasks/{task['id']}")).json()["data"]["gang"]
        assert [member["id"] for member in shown["members"]] == members
        assert [member["rank"] for member in shown["members"]] == [0, 1]
        assert [member["phase"] for member in shown["members"]] == ["running", "running"]
        balance = (await alice.http.get("/api/v1/account")).json()["data"]["balance"]
        assert balance["held"] == "40.00"
        listed = (await alice.http.get("/api/v1/tasks")).json()["data"]
        assert ([item["id"] for item in listed["tasks"]], listed["total"]) == ([task["id"]], 1)
        second = (await alice.http.get(f"/api/v1/tasks/{members[1]}")).json()["data"]
        assert (second["gang"]["rank"], second["gang"]["belongs_to"]) == (1, task["id"])
        assert (await alice.http.get(f"/api/v1/tasks/{members[1]}/logs")).status_code == 200
        refused = await alice.http.delete(f"/api/v1/tasks/{members[1]}")
        assert refused.json()["error"]["code"] == "CONFLICT"
        bob = await world.customer("bob")
        hidden = await bob.http.get(f"/api/v1/tasks/{members[1]}")
        assert hidden.json()["error"]["code"] == "NOT_FOUND"


@on_asyncio
async def test_what_all_members_leave_is_listed_by_rank_once_all_have_ended(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = (await alice.http.post("/api/v1/tasks", json=PAIR)).json()["data"]["id"]
        members = await run(world, task_id)
        outputs = f"/api/v1/tasks/{task_id}/outputs"
        for rank, member in enumerate(members):
            assert (await alice.http.get(outputs)).json()["data"]["outputs"] == []
            left = OutputFile("model.bin", f"{rank}" * 64, 3)
            lease_id = await lease_of(world, member)
            result = Result(Outcome.COMPLETED, 0, "", metered_ms=10_000, outputs=(left,))
            world.now_ms += 10_000
            await world.step(member, Finished(lease_id, result))
            await world.step(member, OutputsChecked(lease_id))
        listed = (await alice.http.get(outputs)).json()["data"]["outputs"]
        assert [(item["path"], item["sha256"]) for item in listed] == [
            ("rank-0/model.bin", "0" * 64),
            ("rank-1/model.bin", "1" * 64),
        ]
        task = (await alice.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]
        assert task["status"] == "completed"
        assert (task["cost_usdc"], task["gang"]["total_cost_usdc"]) == ("0.001", "0.002")


@on_asyncio
async def test_a_gang_larger_than_the_market_is_refused_unless_it_wants_to_wait(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        trio = {**TASK, "gang": {"size": 3}}
        error = (await alice.http.post("/api/v1/tasks", json=trio)).json()["error"]
        assert error["code"] == "NODE_UNAVAILABLE"
        assert error["message"].startswith("2 of 3 nodes could serve it at once.")
        explained = (await alice.http.post("/api/v1/match/explain", json=trio)).json()["data"]
        assert (explained["wanted"], explained["matching"]) == (3, 2)
        assert explained["summary"].startswith("2 of 3 nodes could take part now.")
        estimated = (await alice.http.post("/api/v1/match/estimate", json=trio)).json()["data"]
        assert (estimated["wanted"], estimated["max_cost"]) == (3, "30.00")
        assert "2 of 3 nodes are free now" in estimated["summary"]
        waiting = await alice.http.post("/api/v1/tasks", json={**trio, "wait_for_node": True})
        assert waiting.status_code == 201


@on_asyncio
async def test_nodes_that_make_no_networks_are_not_counted(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.market.views = [node_view("one"), node_view("two", runtimes=())]
        alice = await world.customer("alice")
        error = (await alice.http.post("/api/v1/tasks", json=PAIR)).json()["error"]
        assert error["message"].startswith("1 of 2 nodes could serve it at once.")
        survivors = error["details"]["explanation"]["survivors"]
        assert {"constraint": "runtime has gang", "left": 1} in survivors


@on_asyncio
async def test_a_gang_that_cannot_be_paid_is_refused_before_anything_is_stored(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=15 * USDC)
        refused = await alice.http.post("/api/v1/tasks", json=PAIR)
        assert refused.json()["error"]["code"] == "INSUFFICIENT_CREDITS"
        capped = await alice.http.post("/api/v1/tasks", json={**PAIR, "max_total_cost": "12.00"})
        assert capped.json()["data"]["max_cost"] == "12.00"


@pytest.mark.parametrize(
    ("other", "word"),
    [
        ({"verification": {"mode": "quorum"}}, "verification"),
        ({"preemptible": True}, "preemptible"),
        ({"spread": {"group": "replicas"}}, "spread"),
        ({"inputs": [{"path": "a", "sha256": "a" * 64, "sealed": True}]}, "sealed inputs"),
    ],
)
def test_a_gang_does_not_go_with_what_is_about_one_node(
    tmp_path: Path, other: dict[str, object], word: str
) -> None:
    @on_asyncio
    async def refused() -> None:
        async with open_world(tmp_path) as world:
            alice = await world.customer("alice")
            error = (await alice.http.post("/api/v1/tasks", json={**PAIR, **other})).json()["error"]
            assert (error["code"], error["details"]["field"]) == ("INVALID_REQUEST", "gang")
            assert word in error["message"]

    refused()


@pytest.mark.parametrize("gang", [{"size": 1}, {"size": 33}, {"size": 2, "apart": "region"}, {}])
def test_a_gang_has_two_to_thirty_two_members(tmp_path: Path, gang: dict[str, object]) -> None:
    @on_asyncio
    async def refused() -> None:
        async with open_world(tmp_path) as world:
            alice = await world.customer("alice")
            answer = await alice.http.post("/api/v1/tasks", json={**TASK, "gang": gang})
            assert answer.json()["error"]["code"] == "INVALID_REQUEST"

    refused()
