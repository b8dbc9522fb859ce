"""Document 004's API, as a client sees it that knows nothing else."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.answering import answering
from coordinator.api_world import OPERATION, TASK, USDC, World, keys_of, node_view, open_world
from coordinator.catalogue import CATALOGUE
from coordinator.computing import RESULT, computing
from coordinator.error_answers import check_error, error_of
from coordinator.on_asyncio import on_asyncio
from coordinator.records import node_id
from neurogrid_coordinator.files.artifacts import content
from neurogrid_coordinator.server.request_rules import RequestRules
from neurogrid_coordinator.services.models import ModelSettings
from neurogrid_coordinator.services.operations import OperationSettings
from neurogrid_coordinator.store import tasks
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.resources import Capacity
from neurogrid_marketplace.task import Phase

_PATIENT = OperationSettings(wait_s=60)


async def _new_task(world: World, known: int = 0) -> str:
    """The id of the next task that the api hands to the orchestrator."""
    async with world.feed.subscribe() as changed, asyncio.timeout(60):
        while len(world.woken) <= known:
            await changed.wait()
            # The orchestrator is woken in the same step.
    return world.woken[-1]


async def _computed(
    world: World, asking: httpx.AsyncClient, left: bytes | None = None
) -> httpx.Response:
    """What document 004's request answers, where a node leaves this as its result."""
    async with computing(world, left):
        return await asking.post("/tasks", json=OPERATION)


@on_asyncio
async def test_who_it_is_and_how_it_is(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        stranger = world.client()
        assert (await stranger.get("/")).json() == {
            "name": "OpenRuntime",
            "version": "2.0.0",
            "status": "running",
        }
        health = (await stranger.get("/health")).json()
        timestamp = health.pop("timestamp")
        assert timestamp.endswith("Z")
        assert health == {
            "status": "healthy",
            "service": "OpenRuntime",
            "version": "2.0.0",
            # Of each of two nodes its CPU and its GPU.
            "devices": 4,
            "metrics": {
                "gpu_utilization": 0.0,
                "memory_usage": 0.0,
                "active_tasks": 0,
                "ai_tasks_processed": 0,
            },
        }
        world.market.away = True
        assert (await stranger.get("/health")).json()["status"] == "degraded"


@on_asyncio
async def test_figures_are_what_nodes_say(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        view = node_view("one")
        total = view.offer.total
        free = Capacity(1000, total.memory_bytes // 2, total.disk_bytes, ())
        busy = node_view("one", free=free, cpu_model="AMD EPYC 9554")
        await world.nodes.on_node(node_id("one"), "heartbeat", busy)
        alice = await world.customer("alice")
        task = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]
        await world.start(task["id"])
        figures = (await world.client().get("/metrics")).json()
        assert figures["gpu_utilization"] == 50.0
        assert figures["memory_usage"] == 25.0
        assert figures["active_tasks"] == 1
        assert figures["uptime"] == "0h 0m"
        devices = (await alice.http.get("/devices")).json()["devices"]
        mine = {each["id"]: each for each in devices if each["id"].startswith(node_id("one"))}
        assert mine[f"{node_id('one')}:cpu"]["memory_available"] == total.memory_bytes // 2
        names = [each["name"] for each in devices if each["type"] == "cpu"]
        assert sorted(names) == ["AMD EPYC 9554", "CPU"], "of who does not say"
        assert mine[f"{node_id('one')}:gpu0"] == {
            "id": f"{node_id('one')}:gpu0",
            "name": "NVIDIA L4",
            "type": "gpu",
            "status": "busy",
            "capabilities": ["container", "cuda"],
            "memory_total": total.gpus[0].memory_bytes,
            "memory_available": 0,
        }


@pytest.mark.parametrize(
    ("accept", "is_text"),
    [
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("application/json", False),
        ("application/json, text/plain, */*", False),
        ("text/plain", True),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,*/*;q=0.1", True),
    ],
)
@on_asyncio
async def test_metrics_are_json_unless_prometheus_asks(
    tmp_path: Path, accept: str, is_text: bool
) -> None:
    async with open_world(tmp_path) as world:
        answer = await world.client().get("/metrics", headers={"accept": accept})
        if not is_text:
            assert answer.json()["ai_tasks_processed"] == 0
            return
        assert "neurogrid_market_active_tasks 0.0" in answer.text
        assert "process_" not in answer.text


@on_asyncio
async def test_a_task_is_answered_when_it_has_completed(tmp_path: Path) -> None:
    async with open_world(tmp_path, operations=_PATIENT) as world:
        alice = await world.customer("alice")
        answer = await _computed(world, alice.http)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body.pop("timestamp").endswith("Z")
        assert body == {
            "task_id": world.woken[-1],
            "status": "completed",
            "result": {
                "execution_time": 0.523,
                "device_used": f"{node_id('one')}:cpu",
                "output": {
                    "checksum": "sha256:ab",
                    "verified": True,
                    "throughput": 3.8e10,
                    "throughput_unit": "flop/s",
                },
            },
            "execution_time": 0.523,
        }
        native = (await alice.http.get(f"/api/v1/tasks/{world.woken[-1]}")).json()["data"]
        assert (native["status"], native["priority"]) == ("completed", 1)


@on_asyncio
async def test_enhanced_tasks_are_the_accounts_operations(tmp_path: Path) -> None:
    async with open_world(tmp_path, operations=_PATIENT) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        await _computed(world, alice.http)
        await alice.http.post("/api/v1/tasks", json=TASK)
        asked = {"kind": "operation", "operation": "compute"}
        waiting = (await alice.http.post("/api/v1/tasks", json=asked)).json()["data"]["id"]
        body = (await alice.http.get("/tasks/enhanced")).json()
        assert body["total_count"] == 2
        first, second = body["tasks"]
        assert (first["task_id"], first["status"]) == (waiting, "pending")
        assert first["performance_metrics"]["execution_time_ms"] == 0
        assert second["operation"] == "matrix_multiply"
        assert second["performance_metrics"] == {
            "execution_time_ms": 523,
            "memory_used_mb": 256.5,
            "gpu_utilization": 0.0,
        }
        page = (await alice.http.get("/tasks/enhanced?limit=1&offset=1")).json()
        assert [each["task_id"] for each in page["tasks"]] == [second["task_id"]]
        assert page["total_count"] == 2
        assert (await bob.http.get("/tasks/enhanced")).json()["tasks"] == []
        check_error(await alice.http.get("/tasks/enhanced?limit=0"), 422, "INVALID_REQUEST")


@on_asyncio
async def test_a_task_that_fails_is_a_500_that_says_why(tmp_path: Path) -> None:
    async with open_world(tmp_path, operations=_PATIENT) as world:
        alice = await world.customer("alice")
        answer = asyncio.ensure_future(alice.http.post("/tasks", json=OPERATION))
        task_id = await _new_task(world)
        await world.start(task_id)
        await world.finish(task_id, outcome=Outcome.EXIT_NONZERO)
        message = check_error(await answer, 500, "TASK_FAILED")
        assert task_id in message
        assert error_of(await answer).details["failure"] == "EXIT_NONZERO"


@pytest.mark.parametrize(
    "left",
    [
        b"",
        b"{",
        b"[" * 60_000,
        b"\xff",
        b'{"device_used": "tpu"}',
        json.dumps({**RESULT, "measured": {**RESULT["measured"], "execution_time_s": -1}}).encode(),
        json.dumps(RESULT).encode() + b" " * 65_536,
    ],
)
@on_asyncio
async def test_a_result_that_a_node_made_up_is_no_answer(tmp_path: Path, left: bytes) -> None:
    async with open_world(tmp_path, operations=_PATIENT) as world:
        alice = await world.customer("alice")
        answer = await _computed(world, alice.http, left)
        assert "no result that can be read" in check_error(answer, 500, "TASK_FAILED")
        assert (await alice.http.get("/tasks/enhanced")).status_code == 200


@on_asyncio
async def test_who_gets_no_result_in_time_has_no_task(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        answer = await alice.http.post("/tasks", json=OPERATION)
        assert "cancelled" in check_error(answer, 503, "UNAVAILABLE")
        assert (await world.state(world.woken[-1])).phase is Phase.CANCELLED


@on_asyncio
async def test_a_coordinator_that_stops_keeps_nobody_waiting(tmp_path: Path) -> None:
    async with open_world(tmp_path, operations=_PATIENT) as world:
        alice = await world.customer("alice")
        answer = asyncio.ensure_future(alice.http.post("/tasks", json=OPERATION))
        task_id = await _new_task(world)
        world.stopping.set()
        check_error(await answer, 503, "UNAVAILABLE")
        assert (await world.state(task_id)).phase is Phase.CANCELLED


@on_asyncio
async def test_what_no_node_or_no_money_allows_is_a_503(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, poor = await world.customer("alice"), await world.customer("poor", deposit=1)
        asked = {"operation": "mlx_operation", "parameters": {}}
        answer = await alice.http.post("/tasks", json=asked)
        check_error(answer, 503, "NODE_UNAVAILABLE")
        assert error_of(answer).details["explanation"]["survivors"]
        answer = await poor.http.post("/tasks", json=OPERATION)
        check_error(answer, 503, "INSUFFICIENT_CREDITS")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "not valid JSON"),
        (b"", 400, "no body"),
        (b"{}", 422, "operation: is missing"),
        (b'{"operation": "compute"}', 422, "parameters: is missing"),
        (b'{"operation": "x", "parameters": {}}', 422, "there are compute, matrix_multiply"),
        (b'{"operation": "compute", "parameters": {"sise": 1}}', 422, "There are size"),
        (b'{"operation": "compute", "parameters": {}, "priority": 11}', 422, "priority"),
        (b'{"operation": "compute", "parameters": {}, "when": 1}', 422, "when: is not a field"),
    ],
)
@on_asyncio
async def test_bad_requests(tmp_path: Path, body: bytes, status: int, words: str) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        assert words in check_error(
            await alice.http.post("/tasks", content=body), status, "INVALID_REQUEST"
        )


@on_asyncio
async def test_the_router_and_our_own_bugs_speak_its_form_too(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        check_error(await alice.http.delete("/tasks"), 405, "METHOD_NOT_ALLOWED")
        world.market.bug = ZeroDivisionError("the secret is swordfish")
        answer = await alice.http.post("/tasks", json=OPERATION)
        check_error(answer, 500, "INTERNAL")
        assert "swordfish" not in answer.text
        check_error(await alice.http.get("/tasks/nothing"), 404, "NOT_FOUND")


@on_asyncio
async def test_without_a_key_nobody_is_served_unless_the_operator_says_so(tmp_path: Path) -> None:
    async with open_world(tmp_path / "closed") as world:
        for answer in (
            await world.client().get("/devices"),
            await world.client().post("/tasks", json=OPERATION),
        ):
            assert "[dialects] anonymous_account" in check_error(answer, 401, "UNAUTHORIZED")


@on_asyncio
async def test_strangers_act_for_the_account_that_the_operator_names(tmp_path: Path) -> None:
    async with open_world(
        tmp_path, operations=_PATIENT, anonymous_account=keys_of("alice").address
    ) as world:
        stranger = world.client()
        answer = await stranger.get("/devices")
        assert "anonymous_account" in check_error(answer, 503, "UNAVAILABLE")
        alice = await world.customer("alice")
        assert (await _computed(world, stranger)).status_code == 200
        assert (await alice.http.get("/tasks/enhanced")).json()["total_count"] == 1
        assert (await stranger.get("/tasks/enhanced")).json()["total_count"] == 1
        # A key that is sent has to be good, and acts for its own account.
        check_error(await world.client("ng_wrong").get("/devices"), 401, "UNAUTHORIZED")
        bob = await world.customer("bob")
        assert (await bob.http.get("/tasks/enhanced")).json()["total_count"] == 0
        # Nothing beyond the dialect opens.
        check_error(await stranger.get("/api/v1/tasks"), 401, "UNAUTHORIZED")


@on_asyncio
async def test_no_page_in_a_browser_spends_a_strangers_money(tmp_path: Path) -> None:
    async with open_world(tmp_path, anonymous_account=keys_of("alice").address) as world:
        await world.customer("alice")
        body = json.dumps(OPERATION)
        for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
            headers = {"content-type": kind} if kind else {}
            answer = await world.client().post("/tasks", content=body, headers=headers)
            check_error(answer, 422, "INVALID_REQUEST")
        assert not world.woken


@on_asyncio
async def test_strangers_are_counted_as_the_account_that_they_act_for(tmp_path: Path) -> None:
    rules = RequestRules(tiers={"free": 2}, default_tier="free")
    async with open_world(
        tmp_path, anonymous_account=keys_of("alice").address, requests=rules
    ) as world:
        alice = await world.customer("alice", deposit=USDC)
        answers = [await world.client().get("/devices") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        check_error(answers[2], 429, "RATE_LIMITED")
        assert int(answers[2].headers["retry-after"]) >= 1
        check_error(await alice.http.get("/api/v1/tasks"), 429, "RATE_LIMITED")


@on_asyncio
async def test_an_address_that_sends_too_much_hears_so_in_its_form(tmp_path: Path) -> None:
    async with open_world(tmp_path, requests=RequestRules(per_address=1)) as world:
        await world.client().get("/health")
        check_error(await world.client().get("/health"), 429, "RATE_LIMITED")


@on_asyncio
async def test_an_account_that_is_no_client_computes_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path, anonymous_account=keys_of("alice").address) as world:
        await world.customer("alice", roles=("provider",))
        check_error(await world.client().post("/tasks", json=OPERATION), 403, "FORBIDDEN")


@on_asyncio
async def test_agents_are_models_that_are_told_what_they_are_good_for(tmp_path: Path) -> None:
    async with open_world(tmp_path, models=ModelSettings(CATALOGUE, wait_s=60)) as world:
        alice = await world.customer("alice")
        agents = (await alice.http.get("/ai/agents")).json()["agents"]
        assert [agent["role"] for agent in agents] == ["DEVELOPER", "ANALYST"]
        body = {
            "workflow_type": "code_generation",
            "prompt": "Create a Python function",
            "parameters": {"language": "python", "max_tokens": 20, "model": "gpt-4"},
            "timeout": 30,
        }
        async with answering(world):
            answer = await alice.http.post("/ai/tasks", json=body)
            assert answer.status_code == 200, answer.text
            assert answer.json() == {
                "task_id": world.woken[0],
                "status": "completed",
                "result": " or not to be",
                "model_used": "talker",
                "tokens_used": 8,
                "execution_time": 0.25,
            }
            asked = await _asked_of_model(world, world.woken[0])
            assert [each["role"] for each in asked["messages"]] == ["system", "user"]
            assert asked["messages"][1]["content"] == "Create a Python function\nlanguage: python"
            assert asked["parameters"]["max_tokens"] == 20
            plain = {"workflow_type": "model_inference", "prompt": "To be"}
            assert (await alice.http.post("/ai/tasks", json=plain)).json()["model_used"] == "small"
            assert (await _asked_of_model(world, world.woken[1]))["prompt"] == "To be"

            wanted = {"metric_type": "performance", "timeframe": "1h"}
            found = (await alice.http.post("/ai/insights", json=wanted)).json()
            facts, _, words = found["insights"].partition("\n\n")
            assert facts.startswith("1. 2 tasks ended in the last hour: 2 completed, 0 failed")
            assert words == "small: or not to be"
            assert found["metrics"]["ai_tasks_processed"] == 2
        for wrong, status, code in (
            ({**body, "workflow_type": "magic"}, 422, "INVALID_REQUEST"),
            ({**body, "prompt": ""}, 422, "INVALID_REQUEST"),
            ({**body, "parameters": {"style": ["a"]}}, 422, "INVALID_REQUEST"),
            ({**body, "parameters": {"temperature": 9}}, 422, "INVALID_REQUEST"),
            ({**body, "parameters": {"model": "none"}}, 503, "MODEL_UNAVAILABLE"),
            # Nobody answers any more.
            ({**body, "timeout": 1}, 503, "UNAVAILABLE"),
        ):
            check_error(await alice.http.post("/ai/tasks", json=wrong), status, code)
        assert (await world.state(world.woken[-1])).phase is Phase.CANCELLED
        for wrong_ in ({"metric_type": "luck", "timeframe": "1h"}, {"metric_type": "errors"}):
            check_error(await alice.http.post("/ai/insights", json=wrong_), 422, "INVALID_REQUEST")


async def _asked_of_model(world: World, task_id: str) -> dict[str, Any]:
    """The file that its program reads."""
    row = await world.database.read(tasks.get, task_id)
    assert row is not None
    data = await content(world.blobs, row.job.inputs[0].sha256, 10_000)
    assert data is not None
    asked: dict[str, Any] = json.loads(data)
    return asked
