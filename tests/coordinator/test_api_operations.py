"""Tasks of kind "operation", over the native API."""

import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.api_world import OPERATION, TASK, open_world
from coordinator.error_answers import check_error, error_of
from coordinator.on_asyncio import on_asyncio
from coordinator.records import node_id
from neurogrid_coordinator.services.operations import OperationSettings
from neurogrid_marketplace.operations import OPERATIONS

_NATIVE = {"kind": "operation", **OPERATION}


@on_asyncio
async def test_an_operation_is_a_container_job_of_ours(tmp_path: Path) -> None:
    settings = OperationSettings(image="neurogrid/operations:7", timeout_s=33)
    async with open_world(tmp_path, operations=settings) as world:
        alice = await world.customer("alice")
        answer = await alice.http.post("/api/v1/tasks", json=_NATIVE)
        assert answer.status_code == 201, answer.text
        task = answer.json()["data"]
        assert (task["kind"], task["type"], task["name"]) == (
            "operation",
            "cpu",
            "matrix_multiply",
        )
        parameters = {"size": 1000, "iterations": 10, "seed": 0, "dtype": "float32"}
        assert task["operation"] == {
            "name": "matrix_multiply",
            "parameters": parameters,
            "device_preference": "auto",
        }
        assert task["docker_image"] == "neurogrid/operations:7"
        assert task["command"][2] == "matrix_multiply"
        assert json.loads(task["command"][3]) == parameters
        assert task["env"]["OPENBLAS_NUM_THREADS"] == "1"
        assert (task["timeout_seconds"], task["max_price_per_hour"]) == (33, "0.50")
        assert task["resource_requirements"]["ram_gb"] == 0.15 + 24 * 10**6 / 10**9
        listed = (await alice.http.get("/api/v1/tasks")).json()["data"]["tasks"]
        assert [each["kind"] for each in listed] == ["operation"]


@on_asyncio
async def test_what_is_said_beside_it_counts_as_for_any_task(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        more = {
            "name": "mine",
            "priority": "high",
            "cpu_cores": 2,
            "max_price_per_hour": "1.25",
            "timeout_seconds": 60,
            "queue_timeout_seconds": 30,
            "regions": ["eu-west"],
            "constraints": "score >= 0.1",
            "wait_for_node": True,
            "verification": {"mode": "quorum"},
        }
        answer = await alice.http.post("/api/v1/tasks", json={**_NATIVE, **more})
        assert answer.status_code == 201, answer.text
        task = answer.json()["data"]
        assert task["priority"] == "high"
        assert task["resource_requirements"]["cpu_cores"] == 2
        assert task["env"]["OMP_NUM_THREADS"] == "2"
        assert task["constraints"] == "score >= 0.1"
        # What differs from machine to machine is not among what is compared.
        assert task["command"][-1] == "--reproducible"


@on_asyncio
async def test_asking_again_with_the_same_key_is_the_same_task(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        headers = {"Idempotency-Key": "once"}
        first = await alice.http.post("/api/v1/tasks", json=_NATIVE, headers=headers)
        again = await alice.http.post("/api/v1/tasks", json=_NATIVE, headers=headers)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["data"]["id"] == again.json()["data"]["id"]
        other = {**_NATIVE, "parameters": {"size": 2}}
        answer = await alice.http.post("/api/v1/tasks", json=other, headers=headers)
        check_error(answer, 409, "IDEMPOTENCY_MISMATCH")


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"kind": "models"}, "kind", "is container, operation or model, not 'models'"),
        ({"kind": 3}, "kind", "expected `str`"),
        ({"kind": "container"}, "operation", "is not a field of this request"),
        ({"operation": "factorise"}, "operation", "invalid enum value 'factorise'"),
        ({"parameters": {"size": 5000}}, "parameters", "size: is a whole number from 1 to 4096"),
        ({"parameters": {"rows": 5}}, "parameters", "There are size: a whole number"),
        ({"parameters": []}, "parameters", "expected `object`"),
        ({"docker_image": "mine"}, "docker_image", "is not a field of this request"),
        ({"device_preference": "tpu"}, "device_preference", "is auto, gpu, cpu, a node's id"),
        ({"device_preference": f"{node_id('one')}:gpu0"}, "device_preference", "not on GPUs yet"),
        ({"constraints": "nonsense"}, "constraints", "nonsense"),
        ({"max_price_per_hour": "-1"}, "max_price_per_hour", "not an amount"),
    ],
)
@on_asyncio
async def test_bad_values(tmp_path: Path, change: dict[str, Any], field: str, words: str) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        answer = await alice.http.post("/api/v1/tasks", json={**_NATIVE, **change})
        assert words in check_error(answer, 422, "INVALID_REQUEST")
        assert error_of(answer).details["field"] == field


@on_asyncio
async def test_a_node_or_its_cpu_may_be_named(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        for device in (node_id("two"), f"{node_id('two')}:cpu"):
            asked = {**_NATIVE, "device_preference": device}
            task = (await alice.http.post("/api/v1/tasks", json=asked)).json()["data"]
            assert task["constraints"] == f"node.id = {node_id('two')}"
            assert task["operation"]["device_preference"] == device
        away = {**_NATIVE, "device_preference": node_id("nobody")}
        check_error(await alice.http.post("/api/v1/tasks", json=away), 409, "NODE_UNAVAILABLE")


@on_asyncio
async def test_mlx_needs_a_node_that_has_it_and_is_never_faked(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        asked = {"kind": "operation", "operation": "mlx_operation"}
        answer = await alice.http.post("/api/v1/tasks", json=asked)
        check_error(answer, 409, "NODE_UNAVAILABLE")
        survivors = error_of(answer).details["explanation"]["survivors"]
        assert any("mlx" in each["constraint"] for each in survivors)


@on_asyncio
async def test_it_can_be_explained_and_estimated(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        for path in ("explain", "estimate"):
            answer = await alice.http.post(f"/api/v1/match/{path}", json=_NATIVE)
            assert answer.json()["data"]["matching"] == 2, answer.text


@on_asyncio
async def test_the_list_of_operations_is_what_is_taken(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        listed = (await alice.http.get("/api/v1/operations")).json()["data"]
        assert [each["name"] for each in listed["operations"]] == [
            each.value for each in OPERATIONS
        ]
        for each in listed["operations"]:
            largest = {
                one["name"]: one["maximum"] or one["choices"][-1] for one in each["parameters"]
            }
            asked = {
                "kind": "operation",
                "operation": each["name"],
                "parameters": largest,
                "wait_for_node": True,
            }
            answer = await alice.http.post("/api/v1/tasks", json=asked)
            assert answer.status_code == 201, answer.text
            assert answer.json()["data"]["operation"]["parameters"] == largest


@on_asyncio
async def test_a_container_job_says_that_it_is_one(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        for body in (TASK, {**TASK, "kind": "container"}):
            task = (await alice.http.post("/api/v1/tasks", json=body)).json()["data"]
            assert (task["kind"], task["operation"]) == ("container", None)
