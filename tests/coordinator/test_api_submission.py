"""Which submissions are taken, once each, and which are refused with what to do."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coordinator.api_world import TASK, USDC, World, node_view, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.records import node_id
from neurogrid_coordinator import services
from neurogrid_coordinator.money.client_funds import ClientFunds
from neurogrid_coordinator.store import task_lists
from neurogrid_marketplace.offer import PriceList


async def stored(world: World) -> int:
    return await world.database.read(lambda conn: task_lists.count(conn, task_lists.TaskFilter()))


BAD_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"docker_image": "Not An Image"}, "docker_image", "name of an image"),
    ({"docker_image": None}, "docker_image", "expected `str`, got `null`"),
    ({"max_price_per_hour": "-1"}, "max_price_per_hour", "not an amount"),
    ({"max_price_per_hour": "1e999999999"}, "max_price_per_hour", "not an amount"),
    ({"max_price_per_hour": "NaN"}, "max_price_per_hour", "not an amount"),
    ({"max_price_per_hour": "0.0000001"}, "max_price_per_hour", "six decimals"),
    ({"max_price_per_hour": "999999999999"}, "max_price_per_hour", "beyond all means"),
    ({"max_total_cost": "ten"}, "max_total_cost", "invalid decimal"),
    ({"timeout_seconds": 0}, "timeout_seconds", ">= 1"),
    ({"timeout_seconds": 8 * 24 * 3600}, "timeout_seconds", "at most"),
    ({"timeout_seconds": "60"}, "timeout_seconds", "expected `int`"),
    (
        {"priority": "urgent"},
        "priority",
        "invalid enum value 'urgent'; there are high, low, normal",
    ),
    ({"priority": 11}, "priority", "<= 10"),
    ({"type": "tpu"}, "type", "invalid enum value"),
    ({"name": "x" * 201}, "name", "length"),
    ({"command": ["x" * 40_000]}, "command[0]", "length"),
    ({"command": ["x" * 30_000] * 6}, "", "Put large data into an input file"),
    ({"command": ["a\0b"]}, "", "NUL"),
    ({"env": {"1BAD": "x"}}, "env", "letters, digits"),
    ({"resource_requirements": {"cpu_cores": 0}}, "resource_requirements.cpu_cores", ">= 0.01"),
    ({"resource_requirements": {"cpus": 1}}, "resource_requirements.cpus", "is not a field"),
    ({"resource_requirements": {"gpu_count": 1}}, "type", "leave one of them out"),
    ({"timeout": 60}, "timeout", "is not a field"),
    ({"inputs": [{"path": "../x", "sha256": "0" * 64}]}, "inputs[0].path", "plain relative path"),
    ({"inputs": [{"path": "x", "sha256": "XYZ"}]}, "inputs[0].sha256", "64 lower-case hex"),
    ({"inputs": [{"path": "x", "sha256": "0" * 64}]}, "inputs[0].sha256", "upload it first"),
    ({"regions": ["nowhere at all"]}, "regions[0]", "a region"),
    ({"deadline": "2001-01-01T00:00:00Z"}, "deadline", "s too late even if it began now"),
    ({"deadline": "1960-01-01T00:00:00Z"}, "deadline", "before 1970"),
    ({"deadline": "2099-01-01T00:00:00"}, "deadline", "timezone"),
    ({"deadline": "soon"}, "deadline", "RFC3339"),
    ({"deadline_policy": "panic"}, "deadline_policy", "invalid enum value"),
    ({"spread": {"group": "a b"}}, "spread.group", "a word"),
    ({"spread": {"group": "a", "by": "rack"}}, "spread.by", "invalid enum value"),
    ({"avoid": {"nodes": ["node"]}}, "avoid.nodes[0]", "a node's peer id"),
    ({"avoid": {"wallets": ["0"]}}, "avoid.wallets[0]", "an address"),
    ({"priority_reason": "x" * 501}, "priority_reason", "length"),
]


@pytest.mark.parametrize(("changes", "field", "words"), BAD_FIELDS)
def test_a_wrong_value_is_refused_with_its_field(
    tmp_path: Path, changes: dict[str, Any], field: str, words: str
) -> None:
    async def check() -> None:
        async with open_world(tmp_path) as world:
            alice = await world.customer("alice")
            answer = await alice.http.post("/api/v1/tasks", json=TASK | changes)
            error = answer.json()["error"]
            assert answer.status_code == 422, error
            assert error["code"] == "INVALID_REQUEST"
            assert error["type"] == "ValidationError"
            assert words in error["message"]
            assert error["details"].get("field", "") == field
            assert await stored(world) == 0

    asyncio.run(check())


@on_asyncio
async def test_a_missing_field_is_named(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        wanted = {name: value for name, value in TASK.items() if name != "docker_image"}
        error = (await alice.http.post("/api/v1/tasks", json=wanted)).json()["error"]
        assert error["message"] == "docker_image: is missing"


@on_asyncio
async def test_more_than_the_balance_is_refused_with_both_amounts(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=15 * USDC)
        assert (await alice.http.post("/api/v1/tasks", json=TASK)).status_code == 201
        # The first task holds 10 of the 15.
        answer = await alice.http.post("/api/v1/tasks", json=TASK)
        assert answer.status_code == 402
        error = answer.json()["error"]
        assert error["code"] == "INSUFFICIENT_CREDITS"
        assert error["details"] == {"needed": "10.00", "available": "5.00", "currency": "USDC"}
        # A limit on the total lowers the price until it fits.
        capped = TASK | {"max_total_cost": "4.00"}
        task = (await alice.http.post("/api/v1/tasks", json=capped)).json()["data"]
        assert (task["max_price_per_hour"], task["max_cost"]) == ("4.00", "4.00")
        assert await stored(world) == 2


@on_asyncio
async def test_submissions_at_once_cannot_spend_the_same_money(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=30 * USDC)
        answers = await asyncio.gather(
            *(alice.http.post("/api/v1/tasks", json=TASK) for _ in range(8))
        )
        assert sorted(answer.status_code for answer in answers) == [201] * 3 + [402] * 5


@on_asyncio
async def test_the_operators_limit_bounds_what_can_be_spent(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        world.chain.funds_of[alice.account.wallet] = ClientFunds(100 * USDC, 0, 3 * USDC, 0)
        error = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["error"]
        assert error["details"]["available"] == "3.00"


@on_asyncio
async def test_without_the_chain_nothing_is_submitted(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        world.chain.away = True
        answer = await alice.http.post("/api/v1/tasks", json=TASK)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
        assert answer.headers["retry-after"] == "1"
        assert await stored(world) == 0


@on_asyncio
async def test_hardware_that_nobody_has_is_refused_with_the_explanation(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        huge = TASK | {"resource_requirements": {"cpu_cores": 64}}
        answer = await alice.http.post("/api/v1/tasks", json=huge)
        assert answer.status_code == 409
        error = answer.json()["error"]
        assert error["code"] == "NODE_UNAVAILABLE"
        explanation = error["details"]["explanation"]
        assert (explanation["nodes"], explanation["matching"]) == (2, 0)
        assert {"constraint": "cpu_cores", "left": 0} in explanation["survivors"]
        assert len(explanation["nearest"]) == 2
        assert "asked for 64" in explanation["nearest"][0]["reasons"][0]
        assert await stored(world) == 0
        waiting = await alice.http.post("/api/v1/tasks", json=huge | {"wait_for_node": True})
        assert waiting.status_code == 201


@on_asyncio
async def test_a_price_below_every_ask_is_refused_with_the_clearing_price(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        cheap = TASK | {"max_price_per_hour": "0.01"}
        error = (await alice.http.post("/api/v1/tasks", json=cheap)).json()["error"]
        assert error["code"] == "NODE_UNAVAILABLE"
        explanation = error["details"]["explanation"]
        assert explanation["clearing_price_per_hour"] == "0.20"
        assert explanation["relaxation"] == {
            "constraint": "max_price",
            "nodes": 2,
            "steps": [{"constraint": "0.20 USDC per hour", "nodes": 2}],
        }


@on_asyncio
async def test_a_market_that_is_only_busy_is_waited_for(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        view = node_view("one")
        nothing_left = view.offer.total.__class__(0, 0, 0)
        world.market.views = [
            node_view("one", free=nothing_left),
            node_view("two", prices=PriceList(base_micro_usdc_per_hour=99 * USDC)),
        ]
        assert (await alice.http.post("/api/v1/tasks", json=TASK)).status_code == 201


@on_asyncio
async def test_a_market_process_that_is_away_refuses_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        world.market.away = True
        assert (await alice.http.post("/api/v1/tasks", json=TASK)).status_code == 201
        explained = await alice.http.post("/api/v1/match/explain", json=TASK)
        assert explained.json()["error"]["code"] == "UNAVAILABLE"


@on_asyncio
async def test_nodes_that_left_a_moment_ago_may_come_back(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        small = node_view("small", total=node_view("small").offer.total.__class__(1, 1, 1))
        world.market.views = [small]
        await world.nodes.on_node(small.offer.node_id, "joined", small)
        assert (await alice.http.post("/api/v1/tasks", json=TASK)).status_code == 409
        gone = node_view("one")
        await world.nodes.on_node(gone.offer.node_id, "joined", gone)
        await world.nodes.on_node(gone.offer.node_id, "left", gone)
        assert (await alice.http.post("/api/v1/tasks", json=TASK)).status_code == 201


@on_asyncio
async def test_the_same_idempotency_key_is_the_same_task(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=10 * USDC)
        headers = {"Idempotency-Key": "order-1"}
        first = await alice.http.post("/api/v1/tasks", json=TASK, headers=headers)
        # The money is held by now, and the market is away: a repetition needs neither.
        world.market.away = world.chain.away = True
        again = await alice.http.post(
            "/api/v1/tasks", json=TASK | {"max_price_per_hour": 10}, headers=headers
        )
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["data"]["id"] == again.json()["data"]["id"]
        world.chain.away = False
        other = await alice.http.post(
            "/api/v1/tasks", json=TASK | {"command": ["ls"]}, headers=headers
        )
        assert other.status_code == 409
        assert other.json()["error"]["code"] == "IDEMPOTENCY_MISMATCH"
        assert await stored(world) == 1
        bob = await world.customer("bob")
        mine = await bob.http.post("/api/v1/tasks", json=TASK, headers=headers)
        assert mine.status_code == 201


@on_asyncio
async def test_the_same_key_at_once_makes_one_task(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        headers = {"Idempotency-Key": "order-1"}
        answers = await asyncio.gather(
            *(alice.http.post("/api/v1/tasks", json=TASK, headers=headers) for _ in range(6))
        )
        assert len({answer.json()["data"]["id"] for answer in answers}) == 1
        assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
        assert await stored(world) == 1


@on_asyncio
async def test_explain_stores_nothing_and_needs_no_money(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=0)
        inputs = [{"path": "a", "sha256": "0" * 64}]
        answer = await alice.http.post("/api/v1/match/explain", json=TASK | {"inputs": inputs})
        data = answer.json()["data"]
        assert (data["nodes"], data["matching"]) == (2, 2)
        assert data["clearing_price_per_hour"] == "0.20"
        assert data["max_cost"] == "10.00"
        assert data["summary"] == "2 of 2 nodes match."
        assert await stored(world) == 0


@on_asyncio
async def test_a_repeated_request_finds_its_task_also_when_its_deadline_has_come_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        ends = datetime.fromtimestamp(world.now_ms / 1000 + 3_700, UTC)
        wanted = TASK | {"deadline": ends.isoformat()}
        flow = {"tasks": {"only": wanted}}
        key = {"Idempotency-Key": "one"}
        first = [
            await alice.http.post(path, json=body, headers=key)
            for path, body in (("/api/v1/tasks", wanted), ("/api/v1/workflows", flow))
        ]
        assert [answer.status_code for answer in first] == [201, 201]
        for service in (services.tasks, services.workflows, services.drafts):
            monkeypatch.setattr(service, "_now_ms", lambda: world.now_ms + 200_000)
        again = [
            await alice.http.post(path, json=body, headers=key)
            for path, body in (("/api/v1/tasks", wanted), ("/api/v1/workflows", flow))
        ]
        assert [answer.status_code for answer in again] == [200, 200]
        refused = await alice.http.post("/api/v1/workflows", json=flow)
        assert refused.json()["error"]["details"]["field"] == "tasks.only.deadline"


@on_asyncio
async def test_groups_and_conditions_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        monkeypatch.setattr(services.intake, "SPREAD_MAX", 2)
        apart = TASK | {"spread": {"group": "replicas"}}
        for _ in range(2):
            assert (await alice.http.post("/api/v1/tasks", json=apart)).status_code == 201
        full = await alice.http.post("/api/v1/tasks", json=apart)
        assert full.json()["error"]["details"]["field"] == "spread.group"
        other = TASK | {"spread": {"group": "others"}}
        assert (await alice.http.post("/api/v1/tasks", json=other)).status_code == 201

        clauses = " and ".join(f"node.id != {node_id(str(number))}" for number in range(32))
        both = TASK | {"constraints": clauses, "avoid": {"nodes": [node_id("gone")]}}
        refused = await alice.http.post("/api/v1/tasks", json=both)
        assert refused.status_code == 422
        assert "comes to 33 clauses" in refused.json()["error"]["message"]
