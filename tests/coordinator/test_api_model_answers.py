"""Asking a model and waiting for its answer, as document 002 has it."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from coordinator.answering import RESULT, answering
from coordinator.api_world import open_world
from coordinator.catalogue import CATALOGUE
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.api.native.model_answers import RECORDING_BYTES_MAX
from neurogrid_coordinator.services.artifacts import Limits
from neurogrid_coordinator.services.models import ModelSettings
from neurogrid_coordinator.store.accounts import SCOPES

_TEXT = "/api/v1/models/generate/text"
_IMAGE = "/api/v1/models/generate/image"
_HEAR = "/api/v1/models/transcribe"
_PATIENT = ModelSettings(CATALOGUE, wait_s=60)
_ASKED: dict[str, Any] = {
    "model": "gpt-small",
    "prompt": "Explain quantum computing in simple terms",
    "parameters": {
        "max_tokens": 150,
        "temperature": 0.7,
        "top_p": 0.9,
        "stop_sequences": ["\n\n"],
    },
    "node_preferences": {"region": "eu-west", "min_performance_score": 10},
}


_HEARD = {
    "text": "Hello, this is a test audio file",
    "language": "en",
    "confidence": 0.95,
    "segments": [{"start": 0.0, "end": 3.2, "text": "Hello, this is a test"}],
    "execution_time_s": 1.8,
}


@on_asyncio
async def test_a_text_is_answered_with_what_it_took(tmp_path: Path) -> None:
    async with open_world(tmp_path, models=_PATIENT) as world:
        alice = await world.customer("alice")
        async with answering(world):
            first = await alice.http.post(_TEXT, json=_ASKED, headers={"Idempotency-Key": "one"})
            assert first.status_code == 200, first.text
            data = first.json()["data"]
            again = await alice.http.post(_TEXT, json=_ASKED, headers={"Idempotency-Key": "one"})
            assert again.json()["data"] == data
        task = (await alice.http.get(f"/api/v1/tasks/{data['id']}")).json()["data"]
        assert (task["regions"], task["constraints"]) == (["eu-west"], "score >= 0.1")
        assert data == {
            "id": task["id"],
            "request_id": task["id"],
            "model": "small",
            "generated_text": RESULT["text"],
            "finish_reason": "length",
            "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
            "seed": 1,
            "node_id": task["node_id"],
            "execution_time": 0.25,
            "cost": task["cost"],
            "cost_usdc": task["cost_usdc"],
        }


@on_asyncio
async def test_an_image_is_where_its_url_says(tmp_path: Path) -> None:
    async with open_world(tmp_path, models=_PATIENT, public_url="http://world") as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        asked = {
            "model": "makers/large",
            "prompt": "A futuristic cityscape at sunset",
            "parameters": {"width": 64, "height": 32, "steps": 3, "seed": 42},
            "negative_prompt": "blurry, low quality",
        }
        left = {"image": "image.png", "width": 64, "height": 32, "steps": 3, "seed": 42}
        made = json.dumps({**left, "execution_time_s": 8.5}).encode()
        async with answering(world, made, {"image.png": b"an image"}):
            data = (await alice.http.post(_IMAGE, json=asked)).json()["data"]
        used = {"width": 64, "height": 32, "steps": 3, "seed": 42}
        assert data["parameters_used"] == used
        path = data["image_url"].removeprefix("http://world")
        assert (await alice.http.get(path)).content == b"an image"
        check_error(await bob.http.get(path), 404, "NOT_FOUND")
        # A program that says that it made an image, and left none.
        async with answering(world, made):
            answer = await alice.http.post(_IMAGE, json=asked)
        assert "left no result" in check_error(answer, 500, "TASK_FAILED")


@on_asyncio
async def test_a_recording_is_written_down(tmp_path: Path) -> None:
    said = _HEARD
    async with open_world(tmp_path, models=_PATIENT) as world:
        alice = await world.customer("alice", scopes=SCOPES)
        sent = {"model": "ear", "language": "en"}
        sound = b"not really a recording" * 100
        async with answering(world, json.dumps(said).encode()):
            answer = await alice.http.post(
                _HEAR, data=sent, files={"file": ("../../a b.MP3", sound, "audio/mpeg")}
            )
        data = answer.json()["data"]
        assert (data["transcription"], data["language"]) == (said["text"], "en")
        assert (data["confidence"], data["segments"]) == (0.95, said["segments"])
        task = (await alice.http.get(f"/api/v1/tasks/{data['id']}")).json()["data"]
        # Its sender's name for it is nobody's path.
        inputs = {each["path"]: each for each in task["inputs"]}
        assert set(inputs) == {"recording.mp3", "request.json"}
        assert inputs["recording.mp3"]["size"] == len(sound)
        assert task["model_request"]["parameters"] == {"language": "en"}
        file = {"file": ("a", b"a")}
        wrong: list[tuple[dict[str, str], dict[str, Any], int, str]] = [
            ({"model": "small"}, file, 404, "MODEL_UNAVAILABLE"),
            ({}, file, 422, "INVALID_REQUEST"),
            ({**sent, "more": "1"}, file, 422, "INVALID_REQUEST"),
            ({**sent, "language": "English"}, file, 422, "INVALID_REQUEST"),
            ({**sent, "file": "a text"}, {"other": ("a", b"a")}, 422, "INVALID_REQUEST"),
            ({**sent, "model": "x" * 70_000}, file, 422, "INVALID_REQUEST"),
        ]
        for fields, files, status, code in wrong:
            check_error(await alice.http.post(_HEAR, data=fields, files=files), status, code)
        check_error(await alice.http.post(_HEAR, json=sent), 422, "INVALID_REQUEST")
        broken = {"Content-Type": "multipart/form-data; boundary=b"}
        for body in (b"", b"no part", b"--b\r\nno header"):
            answer = await alice.http.post(_HEAR, content=body, headers=broken)
            check_error(answer, 422, "INVALID_REQUEST")
        much = {"file": ("a", b"a" * (RECORDING_BYTES_MAX + 1))}
        check_error(await alice.http.post(_HEAR, data=sent, files=much), 413, "PAYLOAD_TOO_LARGE")


@on_asyncio
async def test_a_recording_larger_than_any_json_is_signed_and_nothing_is_kept_of_an_unsigned_one(
    tmp_path: Path,
) -> None:
    limits = Limits(file_bytes=RECORDING_BYTES_MAX, account_bytes=RECORDING_BYTES_MAX)
    async with open_world(tmp_path, models=_PATIENT, limits=limits) as world:
        alice = await world.customer("alice", scopes=SCOPES)
        on = b'{"signs_writes": true}'
        where = "/api/v1/account"
        await alice.http.patch(where, content=on, headers=alice.signed("PATCH", where, on))
        sent, sound = {"model": "ear", "language": "en"}, os.urandom(5 * 1024 * 1024)

        def form(**headers: str) -> httpx.Request:
            made = alice.http.build_request("POST", _HEAR, data=sent, files={"file": ("b", sound)})
            made.read()
            made.headers.update(headers)
            return made

        def kept() -> list[Path]:
            return [path for path in world.blobs_folder.rglob("*") if path.is_file()]

        refused = form()
        other = alice.signed("POST", _HEAR, refused.content[:-9] + b"changed--")
        refused.headers.update(other)
        check_error(await alice.http.send(refused), 401, "SIGNATURE_INVALID")
        assert (kept(), world.woken) == ([], [])
        good = form()
        good.headers.update(alice.signed("POST", _HEAR, good.content))
        async with answering(world, json.dumps(_HEARD).encode()):
            answer = await alice.http.send(good)
        assert answer.status_code == 200, answer.text
        (task_id,) = world.woken
        task = (await alice.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]
        assert {each["path"]: each["size"] for each in task["inputs"]}["recording"] == len(sound)
        check_error(await alice.http.send(good), 401, "SIGNATURE_REPLAYED")
        assert world.woken == [task_id]

        async def never() -> AsyncIterator[bytes]:
            raise AssertionError("a form without a signature is read")
            yield b""

        kind = {"Content-Type": good.headers["content-type"]}
        answer = await alice.http.post(_HEAR, content=never(), headers=kind)
        check_error(answer, 401, "SIGNATURE_REQUIRED")


@on_asyncio
async def test_what_can_go_wrong_is_said_and_nothing_is_left_running(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        wrong = {**_ASKED, "model": "ear"}
        words = check_error(await alice.http.post(_TEXT, json=wrong), 404, "MODEL_UNAVAILABLE")
        assert words.startswith("there is no text model 'ear'; there are: small")
        wrong = {**_ASKED, "node_preferences": {"region": "moon"}}
        check_error(await alice.http.post(_TEXT, json=wrong), 409, "NODE_UNAVAILABLE")
        wrong = {**_ASKED, "node_preferences": {"region": "?"}}
        assert "a region such as" in check_error(
            await alice.http.post(_TEXT, json=wrong), 422, "INVALID_REQUEST"
        )
        async with answering(world, b"no JSON"):
            answer = await alice.http.post(_TEXT, json=_ASKED)
        check_error(answer, 500, "TASK_FAILED")
        # Nobody answers: it is cancelled when its time is over. (That of clients who leave, too: test_openruntime.py.)
        check_error(await alice.http.post(_TEXT, json=_ASKED), 503, "UNAVAILABLE")
        listed = (await alice.http.get("/api/v1/tasks")).json()["data"]["tasks"]
        assert [each["status"] for each in listed] == ["cancelled", "completed"]
