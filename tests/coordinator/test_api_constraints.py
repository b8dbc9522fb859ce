from pathlib import Path
from typing import Any

import pytest

from coordinator.api_world import TASK, open_world
from coordinator.on_asyncio import on_asyncio
from neurogrid_marketplace.attributes import NODE
from neurogrid_marketplace.awarding import demand_of

TEXT = "ram >= 4GB and (region = eu-west or price.hour <= 0.05USDC)"
CLAUSES = [
    {"alternatives": [{"attribute": "ram", "operator": ">=", "values": [4_000_000_000]}]},
    {
        "alternatives": [
            {"attribute": "region", "operator": "=", "values": ["eu-west"]},
            {"attribute": "price.hour", "operator": "<=", "values": [50_000]},
        ]
    },
]


@on_asyncio
@pytest.mark.parametrize("given", [TEXT, CLAUSES], ids=["text", "clauses"])
async def test_text_and_clauses_make_the_same_demand(tmp_path: Path, given: object) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        answer = await alice.http.post("/api/v1/tasks", json=TASK | {"constraints": given})
        assert answer.status_code == 201, answer.text
        task = answer.json()["data"]
        assert task["constraints"] == TEXT
        assert task["constraint_clauses"] == CLAUSES
        demand = demand_of(await world.state(task["id"]))
        assert [clause.alternatives[0].attribute for clause in demand.where] == ["ram", "region"]
        assert demand.client is None


@on_asyncio
async def test_a_wallet_is_revealed_only_where_its_owner_says_so(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        answer = await alice.http.post("/api/v1/tasks", json=TASK | {"reveal_wallet": True})
        task = answer.json()["data"]
        assert task["reveal_wallet"] is True
        assert demand_of(await world.state(task["id"])).client == alice.account.wallet


@on_asyncio
async def test_the_same_key_with_other_constraints_is_another_request(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        key = {"Idempotency-Key": "one"}
        first, again, other, shown = [
            await alice.http.post("/api/v1/tasks", json=TASK | changes, headers=key)
            for changes in (
                {"constraints": TEXT},
                {"constraints": CLAUSES},
                {"constraints": "ram >= 5GB"},
                {"constraints": TEXT, "reveal_wallet": True},
            )
        ]
        assert (first.status_code, again.status_code) == (201, 200)
        assert (other.status_code, shown.status_code) == (409, 409)


REFUSED: list[tuple[object, str, dict[str, Any]]] = [
    (
        "gpu.memry >= 24GB",
        "constraints: at character 1: there is no attribute 'gpu.memry'; did you mean gpu.memory",
        {"position": 0, "expected": "an attribute", "attributes": list(NODE.names)},
    ),
    ("ram >= 24", "a unit is missing", {"position": 7}),
    ("region = a and region = b", "never hold", {"clauses": ["region = a", "region = b"]}),
    (
        "ram <= 1MB",
        "never hold together: ram <= 1MB and ram >= 1GB (some of it is what the job needs",
        {"clauses": ["ram <= 1MB", "ram >= 1GB"]},
    ),
    ("price.hour > 10USDC", "price.hour > 10.00USDC and price.hour <= 10.00USDC", {}),
    (
        [{"alternatives": [{"attribute": "colour", "operator": "=", "values": ["a"]}]}],
        "there is no attribute 'colour'",
        {"attributes": list(NODE.names)},
    ),
    (
        [{"alternatives": [{"attribute": "ram", "operator": "=", "values": ["a"]}]}],
        "ram: 'a' is no integer in bytes",
        {},
    ),
    (
        [{"alternatives": [{"attribute": "ram", "operator": "has", "values": [1]}]}],
        "ram is an amount of bytes and does not take 'has'",
        {},
    ),
]


@on_asyncio
@pytest.mark.parametrize(("given", "said", "details"), REFUSED)
@pytest.mark.parametrize("path", ["/api/v1/tasks", "/api/v1/match/explain"])
async def test_what_cannot_be_is_refused_with_the_place(
    tmp_path: Path, path: str, given: object, said: str, details: dict[str, Any]
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        answer = await alice.http.post(path, json=TASK | {"constraints": given})
        assert answer.status_code == 422
        error = answer.json()["error"]
        assert error["code"] == "INVALID_REQUEST"
        assert said in error["message"]
        assert error["details"] | details == error["details"]
        assert error["details"]["field"] == "constraints"


@on_asyncio
@pytest.mark.parametrize(
    "given",
    ["x" * 5000, 5, [{"alternatives": []}], [{"alternatives": [{"attribute": "ram"}]}] * 2],
)
async def test_other_forms_are_refused_too(tmp_path: Path, given: object) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        answer = await alice.http.post("/api/v1/tasks", json=TASK | {"constraints": given})
        assert answer.status_code == 422
        assert answer.json()["error"]["details"]["field"].startswith("constraints")


@on_asyncio
async def test_explain_counts_per_condition_and_says_how_far_to_go(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        wanted = TASK | {"constraints": "gpu.memory >= 40GB and region != us-east"}
        data = (await alice.http.post("/api/v1/match/explain", json=wanted)).json()["data"]
        left = {item["constraint"]: item["left"] for item in data["survivors"]}
        assert (left["gpu.memory >= 40GB"], left["region != us-east"]) == (0, 0)
        assert data["relaxation"] == {
            "constraint": "gpu.memory >= 40GB",
            "nodes": 2,
            "steps": [{"constraint": "gpu.memory >= 25.7GB", "nodes": 2}],
        }
        assert "gpu.memory >= 40GB: gpu.memory is 25.8GB" in data["nearest"][0]["reasons"]
        refused = await alice.http.post("/api/v1/tasks", json=wanted)
        assert refused.json()["error"]["code"] == "NODE_UNAVAILABLE"
        met = TASK | {"constraints": "gpu.memory >= 20GB"}
        assert (await alice.http.post("/api/v1/tasks", json=met)).status_code == 201


@on_asyncio
async def test_a_workflows_error_names_its_task(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        body = {"tasks": {"train": TASK | {"constraints": "ram >= 1"}}}
        error = (await alice.http.post("/api/v1/workflows", json=body)).json()["error"]
        assert error["details"]["field"] == "tasks.train.constraints"
        assert error["message"].startswith("tasks.train.constraints: at character 8: ram")


@on_asyncio
async def test_what_may_be_named_is_listed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        listed = (await alice.http.get("/api/v1/constraints")).json()["data"]["attributes"]
        assert [each["name"] for each in listed] == list(NODE.names)
        memory = next(each for each in listed if each["name"] == "gpu.memory")
        assert memory["units"][-2:] == ["TB", "TiB"]
        assert (memory["base_unit"], memory["about"]) == ("bytes", "gpu")
        assert memory["operators"][2] == ">="
