"""The native calls and document 004's, answered by replicas: their fields keep their meaning, and what they say that it cost is billed."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.api_world import Customer
from coordinator.on_asyncio import on_asyncio
from coordinator.replica_world import CATALOGUE, MODEL
from coordinator.test_paid_use import READ, USAGE, WORDS, piece, uses
from coordinator.test_replica_kinds import (
    AUDIO,
    IMAGE,
    PNG,
    SAID,
    SOUND,
    STREAM,
    images,
    of_account,
    serving,
)
from neurogrid_coordinator.services.submission import MODEL_KIND
from neurogrid_coordinator.store import task_lists
from neurogrid_coordinator.store.task_lists import TaskFilter
from neurogrid_marketplace.units import Units

_API = "/api/v1/models"
_STREAM = b"".join(
    [*(piece("w ") for _ in range(WORDS)), piece("", "length"), USAGE, b"data: [DONE]\n\n"]
)
_FEATURES = ("stream", "usage_in_stream", "seed")
_PARAMETERS: dict[str, Any] = {"max_tokens": WORDS, "stop_sequences": ["\n\n"]}


async def write(customer: Customer, **changes: Any) -> httpx.Response:
    body = {"model": MODEL, "prompt": "To be", "parameters": _PARAMETERS, **changes}
    return await customer.http.post(f"{_API}/generate/text", json=body, timeout=60)


@on_asyncio
async def test_a_text_is_written_by_a_replica_with_the_defaults_and_fields_of_the_document(
    tmp_path: Path,
) -> None:
    asked, open_world = serving(tmp_path, CATALOGUE, _STREAM, *_FEATURES)
    async with open_world as (here, alice):
        answer = await write(alice, node_preferences={"min_performance_score": 0})
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        (row,) = await uses(here, alice)
        assert data["generated_text"] == "w " * WORDS
        assert data["usage"] == {
            "prompt_tokens": READ,
            "completion_tokens": WORDS,
            "total_tokens": READ + WORDS,
        }
        assert (data["finish_reason"], data["model"], data["id"]) == ("length", MODEL, row.id)
        assert data["request_id"].startswith("req_")
        # 25 tokens at 0.10 a million.
        assert (data["cost"], data["cost_usdc"]) == (0.000003, "0.000003")
        assert 0 < data["execution_time"] < 60
        target, body = asked[-1]
        sent = json.loads(body)
        assert target == "/v1/completions"
        assert (sent["prompt"], sent["temperature"], sent["top_p"]) == ("To be", 0.7, 1.0)
        assert (sent["max_tokens"], sent["stop"]) == (WORDS, ["\n\n"])
        assert sent["seed"] == data["seed"]
        # The documents' later calls with that id: it is a task of the account, with what it has cost.
        task = (await alice.http.get(f"/api/v1/tasks/{data['id']}")).json()["data"]
        assert task["node_id"] == data["node_id"]

        streamed = await write(alice, stream=True, parameters={"seed": 7})
        assert streamed.headers["content-type"].startswith("text/event-stream")
        *pieces, last = streamed.text.split("\n\n")[:-1]
        assert pieces == ['event: text\ndata: {"text":"w "}'] * WORDS
        name, _, said = last.partition("\ndata: ")
        whole = json.loads(said)
        assert name == "event: answer"
        assert (whole["generated_text"], whole["seed"]) == ("w " * WORDS, 7)
        assert await of_account(here, alice) == Units(2 * READ, 0, 2 * WORDS, 0, 0, 2)


@on_asyncio
async def test_document_004_is_answered_by_replicas_within_its_own_time(tmp_path: Path) -> None:
    asked, open_world = serving(
        tmp_path,
        CATALOGUE.replace('["/v1/completions"]', '["/v1/chat/completions"]'),
        _STREAM.replace(b'"text": "w "', b'"delta": {"content": "w "}'),
        *_FEATURES,
    )
    async with open_world as (here, alice):
        body = {"workflow_type": "code_generation", "prompt": "Sort", "timeout": 30}
        answer = await alice.http.post("/ai/tasks", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        (row,) = await uses(here, alice)
        said = answer.json()
        assert (said["task_id"], said["status"]) == (row.id, "completed")
        assert (said["result"], said["tokens_used"]) == ("w " * WORDS, READ + WORDS)
        roles = [each["role"] for each in json.loads(asked[-1][1])["messages"]]
        assert roles == ["system", "user"]
        # It counts as a task of a model does; of whom it was asked says nothing.
        figures = await alice.http.get("/metrics", headers={"Accept": "application/json"})
        assert figures.json()["ai_tasks_processed"] == 1


@on_asyncio
async def test_an_image_of_a_replica_is_a_file_of_the_account(tmp_path: Path) -> None:
    asked, open_world = serving(tmp_path, IMAGE, images(1), "seed")
    async with open_world as (here, alice):
        bob = await here.world.customer("bob")
        wanted = {"width": 64, "height": 32, "seed": 42}
        body = {"model": MODEL, "prompt": "A city", "parameters": wanted}
        answer = await alice.http.post(f"{_API}/generate/image", json=body, timeout=60)
        data = answer.json()["data"]
        assert data["parameters_used"] == {**wanted, "steps": 0}
        assert data["cost_usdc"] == "0.0005"
        path = httpx.URL(data["image_url"]).path
        assert (await alice.http.get(path)).content == PNG
        assert (await bob.http.get(path)).status_code == 404
        assert json.loads(asked[-1][1])["size"] == "64x32"


@on_asyncio
async def test_a_recording_is_written_down_by_a_replica_and_not_kept(tmp_path: Path) -> None:
    asked, open_world = serving(tmp_path, AUDIO, SAID)
    async with open_world as (_, alice):
        answer = await alice.http.post(
            f"{_API}/transcribe",
            data={"model": MODEL, "language": "en"},
            files={"file": ("speech.wav", SOUND)},
            timeout=60,
        )
        data = answer.json()["data"]
        assert (data["transcription"], data["language"]) == (SAID["text"], "en")
        assert data["segments"][1] == {"start": 1.5, "end": 7.3, "text": " or not."}
        assert data["confidence"] == 0.905
        assert data["cost_usdc"] == "0.0004"
        assert SOUND in asked[-1][1]
        kept = f"/api/v1/artifacts/{hashlib.sha256(SOUND).hexdigest()}"
        assert (await alice.http.get(kept)).status_code == 404


@pytest.mark.parametrize("features", [("stream",), ()], ids=["streams", "whole"])
@on_asyncio
async def test_a_transcript_is_told_as_it_is_heard_and_in_the_end_whole(
    tmp_path: Path, features: tuple[str, ...]
) -> None:
    asked, open_world = serving(tmp_path, AUDIO, STREAM if features else SAID, *features)
    async with open_world as (here, alice):

        async def listen(stream: str) -> httpx.Response:
            return await alice.http.post(
                f"{_API}/transcribe",
                data={"model": MODEL, "stream": stream},
                files={"file": ("speech.wav", SOUND)},
                timeout=60,
            )

        answer = await listen("true")
        assert answer.headers["content-type"].startswith("text/event-stream")
        *pieces, last = answer.text.split("\n\n")[:-1]
        texts = ["To be,", " or not."] if features else [SAID["text"]]
        assert pieces == [f'event: text\ndata: {{"text":"{text}"}}' for text in texts]
        name, _, said = last.partition("\ndata: ")
        whole = json.loads(said)
        assert (name, whole["transcription"]) == ("event: answer", SAID["text"])
        assert (whole["language"], whole["confidence"]) == ("en", 0.905)
        assert whole["segments"][1] == {"start": 1.5, "end": 7.3, "text": " or not."}
        assert (whole["cost_usdc"], whole["request_id"][:4]) == ("0.0004", "req_")
        assert SOUND in asked[-1][1]
        assert (await of_account(here, alice)).audio_ms == 8000
        refused = await listen("perhaps")
        assert refused.json()["error"]["details"]["field"] == "stream"
        assert len(asked) == 1


@on_asyncio
async def test_what_wants_a_good_node_is_a_task(tmp_path: Path) -> None:
    asked, open_world = serving(tmp_path, CATALOGUE, _STREAM, *_FEATURES)
    async with open_world as (here, alice):
        which = TaskFilter(alice.account.id, kinds=frozenset({MODEL_KIND}))
        writing = asyncio.create_task(write(alice, node_preferences={"min_performance_score": 0.1}))
        async with asyncio.timeout(60):
            while not await here.world.database.read(task_lists.count, which):  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert asked == []
