"""OpenAI's own packages, of PyPI and npm, against a devnet: real models in real containers, paid for."""

import base64
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import OpenAI
from openai.types import Batch

from acceptance.network import PATIENCE_S, Devnet, until
from conformance.recording import SPOKEN
from neurogrid_marketplace.money import parse_usdc

pytestmark = [pytest.mark.processes, pytest.mark.engine]

_JS = Path(__file__).parent.parent / "interop/js"
_PNG = b"\x89PNG\r\n\x1a\n"
_TURN = "To be, or not to be?"


@pytest.fixture
def client(devnet: Devnet) -> Iterator[OpenAI]:
    network = devnet.network
    with OpenAI(
        base_url=f"{network.api_url}/v1", api_key=network.api_key, max_retries=0, timeout=PATIENCE_S
    ) as made:
        yield made


def test_every_kind_of_model_answers_the_python_package_and_its_cost_is_what_is_settled(
    devnet: Devnet, client: OpenAI
) -> None:
    whole = client.chat.completions.create(
        model="bard-1m",
        messages=[{"role": "user", "content": _TURN}],
        max_completion_tokens=12,
        temperature=0,
    )
    text = whole.choices[0].message.content
    assert text
    assert whole.usage is not None
    assert 0 < whole.usage.completion_tokens <= 12
    stream = client.chat.completions.create(
        model="bard-1m",
        messages=[{"role": "user", "content": _TURN}],
        max_completion_tokens=12,
        temperature=0,
        stream=True,
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == text
    written = client.completions.create(model="bard-1m", prompt="To be", max_tokens=4, seed=1)
    assert written.choices[0].finish_reason in ("stop", "length")
    vectors = client.embeddings.create(model="all-minilm-l6-v2", input=["A cat.", "A kitten."])
    assert [len(each.embedding) for each in vectors.data] == [384, 384]
    image = client.images.generate(
        model="terrain-11m", prompt="A landscape", size="128x128", extra_body={"seed": 7}
    )
    assert image.data is not None
    assert base64.b64decode(image.data[0].b64_json or "").startswith(_PNG)
    heard = client.audio.transcriptions.create(
        model="whisper-tiny-en", file=SPOKEN, response_format="verbose_json"
    )
    assert "dashwood" in heard.text.lower()
    for answer in (whole, written, vectors, image, heard):
        told = answer.model_dump()["neurogrid"]
        task = devnet.until_settled(told["request_id"])
        assert parse_usdc(f"{task.cost:f}") == told["cost_micro_usdc"] > 0


def test_a_batch_is_answered_in_a_file_for_half_the_price(devnet: Devnet, client: OpenAI) -> None:
    asked = [
        {
            "custom_id": text,
            "method": "POST",
            "url": "/v1/completions",
            "body": {"model": "bard-1m", "prompt": text, "max_tokens": 4, "seed": 1},
        }
        for text in ("To be", "Or not")
    ]
    lines = "\n".join(map(json.dumps, asked)).encode()
    file = client.files.create(file=("lines.jsonl", lines), purpose="batch")
    made = client.batches.create(
        input_file_id=file.id, endpoint="/v1/completions", completion_window="24h"
    )

    def done() -> Batch | None:
        batch = client.batches.retrieve(made.id)
        return batch if batch.status not in ("in_progress", "finalizing") else None

    batch = until(done, "the batch has ended")
    assert (batch.status, batch.error_file_id) == ("completed", None)
    answers = [
        json.loads(line)
        for line in client.files.content(batch.output_file_id).text.split("\n")[:-1]
    ]
    assert [each["custom_id"] for each in answers] == ["To be", "Or not"]
    most = devnet.client.models.get("bard-1m").pricing.max_per_hour
    for each in answers:
        assert each["response"]["body"]["choices"][0]["text"]
        task = devnet.until_settled(each["response"]["request_id"])
        assert task.max_price_per_hour == most / 2


def test_the_npm_package_works_unchanged_and_who_leaves_stops_the_work(
    devnet: Devnet, client: OpenAI
) -> None:
    network = devnet.network
    done = subprocess.run(
        ["node", "openai/client.mjs"],
        cwd=_JS,
        env={
            **os.environ,
            "OPENAI_BASE_URL": f"{network.api_url}/v1",
            "OPENAI_API_KEY": network.api_key,
            "RECORDING": str(SPOKEN),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, object] = {}
    for line in done.stdout.splitlines():
        said |= json.loads(line)
    assert said["done"] is True
    assert said["models"] == [model.id for model in client.models.list()]
    assert said["finish"] in ("stop", "length")
    assert said["dimensions"] == 384
    assert "dashwood" in str(said["heard"]).lower()
    assert (said["unknown"], said["param"]) == ("model_not_found", "model")
    assert "did you mean bard-1m" in str(said["message"])
    # What was cancelled by its client is no more.
    until(
        lambda: devnet.client.tasks.list(limit=1).tasks[0].ended,
        "the task of the request that was aborted has ended",
    )
    assert devnet.client.tasks.list(limit=1).tasks[0].status == "cancelled"


def test_a_coordinator_that_is_killed_while_a_client_waits_leaves_it_an_error_and_no_double_bill(
    devnet: Devnet, client: OpenAI
) -> None:
    before = {task.id for task in devnet.client.tasks.list(limit=20).tasks}
    failed: list[Exception] = []

    def ask() -> None:
        try:
            client.audio.transcriptions.create(model="whisper-tiny-en", file=SPOKEN)
        except openai.OpenAIError as error:
            failed.append(error)

    waiting = threading.Thread(target=ask)
    waiting.start()

    def running() -> str | None:
        new = [task for task in devnet.client.tasks.list(limit=5).tasks if task.id not in before]
        return new[0].id if new and new[0].phase in ("starting", "running") else None

    task_id = until(running, "the recording is being written down")
    killed = devnet.kill("api")
    waiting.join(PATIENCE_S)
    assert isinstance(failed[0], openai.APIConnectionError)
    devnet.until_restarted("api", killed)
    # It was accepted, so it is finished: once, and paid once.
    assert devnet.until_settled(str(task_id)).status == "completed"
    new = {task.id for task in devnet.client.tasks.list(limit=20).tasks} - before
    assert new == {task_id}
