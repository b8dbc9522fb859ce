"""OpenAI's own packages, of PyPI and npm, unchanged, against a devnet: real models in real containers, paid for."""

import base64
import json
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import openai
import pytest
from openai import OpenAI
from openai.types import Batch
from openai.types.chat import ChatCompletionChunk

from acceptance.network import PATIENCE_S, Devnet, until
from conformance.recording import SPOKEN
from neurogrid_marketplace.money import parse_usdc
from neurogrid_marketplace.receipt import verify_receipt

pytestmark = [pytest.mark.processes, pytest.mark.engine]

_JS = Path(__file__).parent.parent / "interop/js"
_PNG = b"\x89PNG\r\n\x1a\n"
_TURN: Any = [{"role": "user", "content": "To be, or not to be?"}]
# What no server can promise, so a task computes it.
_CAPPED = '{"max_price": {"request": "1"}}'
_LOAD = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/load').read().decode())"


@pytest.fixture
def client(devnet: Devnet) -> Iterator[OpenAI]:
    network = devnet.network
    with OpenAI(
        base_url=f"{network.api_url}/v1", api_key=network.api_key, max_retries=0, timeout=PATIENCE_S
    ) as made:
        yield made


class Told:
    """What answers have said that they cost, by the task that pays for them."""

    def __init__(self) -> None:
        self.micro_usdc: Counter[str] = Counter()

    def add(self, answer: Any) -> None:
        origin = answer.model_dump()["neurogrid"]
        assert origin["node_id"]
        self.micro_usdc[origin["task_id"]] += origin["cost_micro_usdc"]


def streamed(chunks: Any, told: Told) -> tuple[list[str], ChatCompletionChunk]:
    """The texts of a stream's pieces, and the last of them; what it cost is noted."""
    pieces: list[str] = []
    last = None
    for last in chunks:
        if last.choices and last.choices[0].delta.content:
            pieces.append(last.choices[0].delta.content)
        if "neurogrid" in last.model_dump():
            told.add(last)
    assert last is not None
    return pieces, last


@contextmanager
def serving(devnet: Devnet) -> Iterator[Any]:
    """The container that serves the model of texts."""
    (replica,) = [
        devnet.models_client.tasks.get(task.id)
        for task in devnet.models_client.tasks.list(kind="replica", name="replica of bard-1m").tasks
        if task.phase == "running"
    ]
    engine = docker.from_env()
    try:
        yield engine.containers.get(f"neurogrid-{replica.leases[-1].id}")
    finally:
        engine.close()


def cpu_ns(container: Any) -> int:
    used: int = container.stats(stream=False, one_shot=True)["cpu_stats"]["cpu_usage"][
        "total_usage"
    ]
    return used


def leases_for_use(devnet: Devnet) -> dict[str, bool]:
    """All that the client has, or had, for asking the model of texts, and which have ended."""
    found = devnet.client.tasks.list(kind="use", name="use of bard-1m", limit=100).tasks
    return {task.id: task.ended for task in found}


# The first of this file: none of its client's other leases for use is open.
def test_who_leaves_in_the_middle_stops_the_container_and_pays_for_what_came(
    devnet: Devnet, client: OpenAI
) -> None:
    # So much that a look at the container, which is a program in it, is little beside it.
    asked: Any = {"model": "bard-1m", "prompt": "To be", "max_tokens": 250, "n": 8, "seed": 3}
    until(lambda: all(leases_for_use(devnet).values()), "what was asked before is over")
    earlier = leases_for_use(devnet)
    told = Told()
    warm = devnet.until_warm("bard-1m")
    told.micro_usdc[warm["task_id"]] += warm["cost_micro_usdc"]
    whole = client.completions.create(**asked)
    told.add(whole)
    assert whole.usage is not None
    with serving(devnet) as container:
        before = cpu_ns(container)
        told.add(client.completions.create(**asked))
        all_of_it = cpu_ns(container) - before

        before = cpu_ns(container)
        stream = client.completions.create(**asked, stream=True)
        came = sum(bool(next(stream).choices[0].text) for _ in range(3))
        stream.close()

        def at_rest() -> bool:
            done = container.exec_run(["python3", "-c", _LOAD])
            assert done.exit_code == 0, done.output
            return bool(json.loads(done.output)["server_load"] == 0)

        until(at_rest, "the server works at nothing")
        assert cpu_ns(container) - before < all_of_it / 2

    # Whichever of its leases for use paid for what: each costs what was billed under it, and no less than its answers said.
    paid, written = 0, 0
    for task_id in leases_for_use(devnet).keys() - earlier.keys():
        cost = parse_usdc(f"{devnet.until_settled(task_id).cost:f}")
        found = verify_receipt(devnet.client.tasks.receipt(task_id))
        assert found.use is not None
        assert found.billed is not None
        assert cost == found.use.prices.cost_micro_usdc(found.billed) >= told.micro_usdc[task_id]
        paid += cost
        written += found.billed.output_tokens
    # Of the one that nobody heard to its end, what came and what was on its way to somebody who had left.
    whole_ones = 1 + 2 * whole.usage.completion_tokens
    assert came <= written - whole_ones < whole.usage.completion_tokens / 2
    cost = whole.model_dump()["neurogrid"]["cost_micro_usdc"]
    assert 0 <= paid - told.micro_usdc.total() <= cost / 2


def test_texts_and_vectors_come_as_they_are_made_and_cost_what_is_settled(
    devnet: Devnet, client: OpenAI
) -> None:
    told = Told()
    warm = devnet.until_warm("bard-1m")
    told.micro_usdc[warm["task_id"]] += warm["cost_micro_usdc"]
    whole = client.chat.completions.create(
        model="bard-1m", messages=_TURN, max_completion_tokens=12, temperature=0
    )
    told.add(whole)
    assert whole.usage is not None
    assert 0 < whole.usage.completion_tokens <= 12
    options: Any = {"include_usage": True}
    pieces, last = streamed(
        client.chat.completions.create(
            model="bard-1m",
            messages=_TURN,
            max_completion_tokens=12,
            temperature=0,
            stream=True,
            stream_options=options,
        ),
        told,
    )
    assert len(pieces) > 1, "piece by piece"
    assert "".join(pieces) == whole.choices[0].message.content
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == whole.usage.completion_tokens

    seeded = [
        client.completions.create(model="bard-1m", prompt="To be", max_tokens=8, seed=seed)
        for seed in (7, 7, 8)
    ]
    texts = [each.choices[0].text for each in seeded]
    assert texts[0] == texts[1] != texts[2]
    assert seeded[0].choices[0].finish_reason in ("stop", "length")
    of_text = client.completions.create(
        model="bard-1m", prompt="To be", max_tokens=8, seed=7, stream=True
    )
    parts = []
    for piece in of_text:
        parts.append(piece.choices[0].text)
        if "neurogrid" in piece.model_dump():
            told.add(piece)
    assert "".join(parts) == texts[0]

    vectors = client.embeddings.create(model="all-minilm-l6-v2", input=["A cat.", "A kitten."])
    assert [len(each.embedding) for each in vectors.data] == [384, 384]
    for answer in (*seeded, vectors):
        told.add(answer)

    # Leases for use, each of one model and for many answers, are settled for the sum.
    assert 2 <= len(told.micro_usdc) < 7
    for task_id, micro_usdc in told.micro_usdc.items():
        assert parse_usdc(f"{devnet.until_settled(task_id).cost:f}") == micro_usdc > 0


def test_images_and_transcripts_cost_what_is_settled(devnet: Devnet, client: OpenAI) -> None:
    told = Told()
    image = client.images.generate(
        model="terrain-11m", prompt="A landscape", size="128x128", extra_body={"seed": 7}
    )
    assert image.data is not None
    assert base64.b64decode(image.data[0].b64_json or "").startswith(_PNG)
    heard = client.audio.transcriptions.create(
        model="whisper-tiny-en", file=SPOKEN, response_format="verbose_json"
    )
    assert "dashwood" in heard.text.lower()
    for answer in (image, heard):
        told.add(answer)
    for task_id, micro_usdc in told.micro_usdc.items():
        assert parse_usdc(f"{devnet.until_settled(task_id).cost:f}") == micro_usdc > 0


def test_errors_are_of_the_classes_that_clients_expect(devnet: Devnet, client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="did you mean bard-1m") as unknown:
        client.chat.completions.create(model="bard-1", messages=_TURN)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    tool: Any = {"type": "function", "function": {"name": "look"}}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="bard-1m", messages=_TURN, tools=[tool])
    assert refused.value.param == "tools"
    with pytest.raises(openai.BadRequestError) as long:
        client.completions.create(model="bard-1m", prompt="To be " * 1000, max_tokens=1)
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="ng_wrong").models.list()
    reader = devnet.client.api_keys.create("reader", scopes=["read"])
    with pytest.raises(openai.PermissionDeniedError):
        client.with_options(api_key=str(reader.secret)).completions.create(
            model="bard-1m", prompt="To be"
        )


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
    said: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        said |= json.loads(line)
    assert said["done"] is True
    assert said["models"] == [model.id for model in client.models.list()]
    assert said["finish"] in ("stop", "length")
    assert said["pieces"] > 1
    assert said["usage"]["completion_tokens"] >= said["pieces"]
    assert said["usage"]["cost_micro_usdc"] == said["cost"] > 0
    assert said["dimensions"] == 384
    assert said["left"] == 3
    assert "dashwood" in str(said["heard"]).lower()
    assert (said["told"], said["seconds"]) == (said["heard"], 8)
    assert (said["unknown"], said["param"]) == ("model_not_found", "model")
    assert "did you mean bard-1m" in str(said["message"])


def test_a_coordinator_that_is_killed_while_a_client_waits_leaves_it_an_error_and_no_double_bill(
    devnet: Devnet, client: OpenAI
) -> None:
    before = {task.id for task in devnet.client.tasks.list(limit=20, kind="model").tasks}
    failed: list[Exception] = []

    def ask() -> None:
        try:
            client.audio.transcriptions.create(
                model="whisper-tiny-en", file=SPOKEN, extra_body={"provider": _CAPPED}
            )
        except openai.OpenAIError as error:
            failed.append(error)

    waiting = threading.Thread(target=ask)
    waiting.start()

    def running() -> str | None:
        found = devnet.client.tasks.list(limit=5, kind="model").tasks
        new = [task for task in found if task.id not in before]
        return new[0].id if new and new[0].phase in ("starting", "running") else None

    task_id = until(running, "the recording is being written down")
    killed = devnet.kill("api")
    waiting.join(PATIENCE_S)
    assert isinstance(failed[0], openai.APIConnectionError)
    devnet.until_restarted("api", killed)
    # It was accepted, so it is finished: once, and paid once.
    assert devnet.until_settled(str(task_id)).status == "completed"
    new = {task.id for task in devnet.client.tasks.list(limit=20, kind="model").tasks} - before
    assert new == {task_id}
