"""Models over the native API: which there are, and tasks of kind "model"."""

import json
from pathlib import Path
from typing import Any

from coordinator.answering import RESULT
from coordinator.api_world import TASK, open_world
from coordinator.error_answers import check_error, error_of
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.services.models import ModelSettings
from neurogrid_marketplace.model_catalogue import parse_catalogue

_PRODUCTION = Path(__file__).parents[2] / "configs/models-production.toml"
_ASKED: dict[str, Any] = {"kind": "model", "model": "small", "prompt": "To be,"}


@on_asyncio
async def test_the_catalogue_is_listed_as_document_002_has_it(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        listed = (await alice.http.get("/api/v1/models")).json()["data"]
        assert [each["id"] for each in listed["models"]] == [
            "small",
            "makers/large",
            "ear",
            "vectors",
            "talker",
            "huge",
        ]
        assert listed["models"][0] == {
            "id": "small",
            "name": "Small",
            "type": "text",
            "category": "generation",
            "description": "For tests.",
            "parameters": {"size": "1M", "context_length": 256, "languages": ["en"]},
            # 0.36 USDC an hour is 0.0001 a second, and ten tokens come in one.
            "pricing": {
                "per_token": 0.00001,
                "unit": "token",
                "per_unit": 0.00001,
                "max_per_hour": "0.36",
                "currency": "USDC",
                "units": {},
            },
            "aliases": ["gpt-small", "llama2-7b"],
            "licence": "none",
            "docker_image": "neurogrid/small:1",
            "resource_requirements": {
                "cpu_cores": 2.0,
                "ram_gb": 0.25,
                "storage_gb": 0.1,
                "gpu_memory_gb": 0.0,
            },
            "timeout_seconds": 60,
            "concurrency": 2,
            "tasks": True,
            "server": None,
            "replicas": None,
        }
        for query, found in (
            ("type=audio", ["ear"]),
            ("category=generation", ["small", "makers/large"]),
            ("type=audio&category=generation", []),
        ):
            some = (await alice.http.get(f"/api/v1/models?{query}")).json()["data"]
            assert [each["id"] for each in some["models"]] == found
        check_error(await alice.http.get("/api/v1/models?type=smell"), 422, "INVALID_REQUEST")
        for name, of in (("small", "small"), ("gpt-small", "small"), ("makers/large",) * 2):
            assert (await alice.http.get(f"/api/v1/models/{name}")).json()["data"]["id"] == of
        answer = await alice.http.get("/api/v1/models/gpt-9")
        assert (
            "did you mean gpt-4? There are: small, makers/large, ear, vectors, talker, huge"
            in check_error(answer, 404, "MODEL_UNAVAILABLE")
        )


@on_asyncio
async def test_a_model_with_a_server_alone_says_so_and_is_no_task(tmp_path: Path) -> None:
    settings = ModelSettings(parse_catalogue(_PRODUCTION.read_text(), "production"))
    async with open_world(tmp_path, models=settings) as world:
        alice = await world.customer("alice")
        path = "/api/v1/models/llama-3.1-8b-instruct"
        shown = (await alice.http.get(path)).json()["data"]
        assert shown["pricing"]["units"] == {
            "input_per_million": "0.10",
            "output_per_million": "0.30",
        }
        assert shown["tasks"] is False
        assert shown["server"]["routes"] == ["/v1/chat/completions", "/v1/completions"]
        assert (shown["server"]["concurrency"], shown["server"]["replicas_max"]) == (32, 1)
        wanted = _ASKED | {"model": "llama-3.1-8b-instruct"}
        refused = await alice.http.post("/api/v1/tasks", json=wanted)
        assert "ask it at /api/v1/models/generate/text or /v1" in check_error(
            refused, 422, "INVALID_REQUEST"
        )


@on_asyncio
async def test_a_request_to_a_model_is_a_container_job_of_the_catalogues(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        asked = {**_ASKED, "model": "gpt-small", "parameters": {"max_tokens": 5, "seed": 1}}
        answer = await alice.http.post("/api/v1/tasks", json=asked)
        assert answer.status_code == 201, answer.text
        task = answer.json()["data"]
        parameters = {
            "max_tokens": 5,
            "temperature": 0.7,
            "top_p": 1.0,
            "stop_sequences": [],
            "seed": 1,
        }
        assert (task["kind"], task["type"], task["model"]) == ("model", "text-generation", "small")
        assert task["model_request"] == {
            "id": "small",
            "name": "gpt-small",
            "type": "text",
            "category": "generation",
            "parameters": parameters,
            "result_path": None,
        }
        assert (task["docker_image"], task["command"]) == ("neurogrid/small:1", ["answer"])
        assert task["env"]["OMP_NUM_THREADS"] == "2"
        assert (task["timeout_seconds"], task["max_price_per_hour"]) == (60, "0.36")
        # What is asked is a file: it may be longer than a command, and no list of processes shows it.
        (file,) = task["inputs"]
        assert file["path"] == "request.json"
        request = (await alice.http.get(f"/api/v1/artifacts/{file['sha256']}")).json()
        assert request == {
            "model": "small",
            "type": "text",
            "prompt": "To be,",
            "parameters": parameters,
        }
        task_id = task["id"]
        await world.start(task_id)
        left = await world.upload(task_id, "result.json", json.dumps(RESULT).encode())
        await world.finish(task_id, left)
        done = (await alice.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]
        path = done["model_request"]["result_path"]
        assert json.loads((await alice.http.get(path)).content)["text"] == RESULT["text"]
        await alice.http.post("/api/v1/tasks", json=TASK)
        for query, count in (("model=small", 1), ("model=ear", 0), ("", 2)):
            listed = (await alice.http.get(f"/api/v1/tasks?{query}")).json()["data"]
            assert (listed["total"], len(listed["tasks"])) == (count, count)
        # Answers that are compared leave nothing to chance, and have no times.
        checked = await alice.http.post(
            "/api/v1/tasks", json={**_ASKED, "verification": {"mode": "quorum"}}
        )
        (file,) = checked.json()["data"]["inputs"]
        request = (await alice.http.get(f"/api/v1/artifacts/{file['sha256']}")).json()
        assert (request["reproducible"], request["parameters"]["seed"]) == (True, 0)


@on_asyncio
async def test_what_is_wrong_with_a_request_is_said(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        talk = [{"role": "user", "content": "Who's there?"}]
        wrong: list[tuple[dict[str, Any], str, str]] = [
            ({"prompt": ""}, "prompt", "is missing"),
            ({"messages": talk}, "messages", "a prompt or messages, not both"),
            ({"texts": ["a"]}, "texts", "models of type text take prompt or messages"),
            ({"model": "ear"}, "prompt", "models of type audio take file"),
            ({"model": "no model"}, "model", "must be the id of a model"),
            ({"parameters": {"max_tokens": 0}}, "parameters", "max_tokens: expected `int` >= 1"),
            ({"parameters": {"steps": 3}}, "parameters", "there are max_tokens, temperature"),
            ({"parameters": {"top_p": 0}}, "parameters", "top_p: expected"),
            ({"messages": [{"role": "king", "content": ""}]}, "messages[0].role", "invalid enum"),
            ({"docker_image": "mine"}, "docker_image", "is not a field of this request"),
            ({"prompt": "x" * (256 * 1024 + 1)}, "prompt", "expected `str` of length <= 262144"),
            ({"constraints": "nonsense"}, "constraints", "nonsense"),
        ]
        for change, field, words in wrong:
            answer = await alice.http.post("/api/v1/tasks", json={**_ASKED, **change})
            assert words in check_error(answer, 422, "INVALID_REQUEST"), change
            assert error_of(answer).details["field"] == field, change
        answer = await alice.http.post("/api/v1/tasks", json={**_ASKED, "model": "gpt-9"})
        check_error(answer, 404, "MODEL_UNAVAILABLE")
        assert error_of(answer).details == {
            "model": "gpt-9",
            "models": ["small", "makers/large", "ear", "vectors", "talker", "huge"],
        }
        # Nothing of all that is a task; and a conversation is asked as well as a prompt.
        assert (await alice.http.get("/api/v1/tasks")).json()["data"]["total"] == 0
        asked = {"kind": "model", "model": "small", "messages": talk}
        for path in ("tasks", "match/explain", "match/estimate"):
            answer = await alice.http.post(f"/api/v1/{path}", json=asked)
            assert answer.is_success, answer.text
        # A recording is a file of the account's own.
        file = {"sha256": "0" * 64, "path": "speech.mp3"}
        heard = {"kind": "model", "model": "ear", "file": file}
        check_error(await alice.http.post("/api/v1/tasks", json=heard), 422, "INVALID_REQUEST")


@on_asyncio
async def test_asking_again_with_the_same_key_is_the_same_task_and_places_are_counted(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        headers = {"Idempotency-Key": "once"}
        first = await alice.http.post("/api/v1/tasks", json=_ASKED, headers=headers)
        again = await alice.http.post("/api/v1/tasks", json=_ASKED, headers=headers)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["data"]["id"] == again.json()["data"]["id"]
        other = {**_ASKED, "prompt": "Or not"}
        answer = await alice.http.post("/api/v1/tasks", json=other, headers=headers)
        check_error(answer, 409, "IDEMPOTENCY_MISMATCH")
        # The entry lets an account have two at once.
        assert (await alice.http.post("/api/v1/tasks", json=_ASKED)).status_code == 201
        answer = await alice.http.post("/api/v1/tasks", json=_ASKED)
        assert "at most 2" in check_error(answer, 429, "RATE_LIMITED")
        assert (await bob.http.post("/api/v1/tasks", json=_ASKED)).status_code == 201
        await alice.http.delete(f"/api/v1/tasks/{first.json()['data']['id']}")
        assert (await alice.http.post("/api/v1/tasks", json=_ASKED)).status_code == 201
