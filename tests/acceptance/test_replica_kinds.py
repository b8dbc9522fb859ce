"""Every kind of model by replicas: real weights in real containers, asked by OpenAI's package, natively and from a terminal, and paid by units."""

import base64
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from acceptance.network import PATIENCE_S, Devnet, until
from conformance.recording import SPOKEN, chapter
from neurogrid.models.catalogue import TextAnswer
from neurogrid_marketplace.money import parse_usdc
from neurogrid_marketplace.receipt import verify_receipt

pytestmark = [pytest.mark.processes, pytest.mark.engine]

_PNG = b"\x89PNG\r\n\x1a\n"
# The recording has so many seconds, of which each that has begun counts.
_SPOKEN_S = 8
_CHAPTER_S = 40


def test_images_recordings_vectors_and_texts_come_of_replicas_and_cost_their_units(
    devnet: Devnet, tmp_path: Path
) -> None:
    # Replicas of other models leave these no place.
    devnet.until_idle()
    network = devnet.network
    with OpenAI(
        base_url=f"{network.api_url}/v1",
        api_key=network.api_key,
        max_retries=0,
        timeout=PATIENCE_S,
    ) as client:
        costs: dict[str, int] = {}

        def took(told: dict[str, Any], micro_usdc: int | None = None) -> None:
            cost = told["cost_micro_usdc"]
            assert told["request_id"].startswith("req_"), "a replica answered"
            assert micro_usdc in (None, cost)
            costs[told["task_id"]] = costs.get(told["task_id"], 0) + cost

        made = client.images.generate(
            model="terrain-11m", prompt="A landscape", size="128x128", n=2, extra_body={"seed": 7}
        )
        assert made.data is not None
        first, second = (base64.b64decode(each.b64_json or "") for each in made.data)
        assert first.startswith(_PNG)
        assert first != second
        # Two at 0.0005 USDC.
        took(made.model_dump()["neurogrid"], 1000)
        named = client.images.generate(
            model="terrain-11m",
            prompt="A landscape",
            size="128x128",
            response_format="url",
            extra_body={"seed": 7},
        )
        assert named.data is not None
        # Anybody may follow it.
        assert httpx.get(named.data[0].url or "").content == first
        took(named.model_dump()["neurogrid"], 500)
        drawn = devnet.client.models.generate_image(
            "terrain-11m", "A landscape", parameters={"width": 128, "height": 128, "seed": 7}
        )
        file = devnet.client.models.save_image(drawn, tmp_path / "land.png")
        assert file.read_bytes() == first

        hear: dict[str, Any] = {"model": "whisper-tiny-en", "file": SPOKEN}
        long = client.audio.transcriptions.create(
            **hear, response_format="verbose_json", timestamp_granularities=["word", "segment"]
        )
        assert "dashwood" in long.text.lower()
        assert long.words
        assert long.segments
        # Each second at 0.00005 USDC.
        took(long.model_dump()["neurogrid"], 50 * _SPOKEN_S)
        subtitles = client.audio.transcriptions.create(**hear, response_format="srt")
        assert subtitles.startswith("1\n00:00:00,000 --> ")
        listen: dict[str, Any] = {**hear, "file": ("chapter.wav", chapter()), "stream": True}
        *pieces, done = client.audio.transcriptions.create(**listen)
        assert {each.type for each in pieces} == {"transcript.text.delta"}
        assert len(pieces) > 1, "piece by piece"
        assert done.type == "transcript.text.done"
        assert "".join(each.delta for each in pieces) == done.text
        assert "dashwood" in done.text.lower()
        took(done.model_dump()["neurogrid"], 50 * _CHAPTER_S)
        with client.audio.transcriptions.create(**listen) as stream:
            assert next(stream).type == "transcript.text.delta"
        until(lambda: _at_rest(devnet, "whisper-tiny-en"), "its server has stopped")
        heard = devnet.client.models.transcribe("whisper-tiny-en", SPOKEN)
        assert heard.transcription == long.text
        assert heard.confidence is not None

        texts = ["A cat.", "A kitten.", "The stock market fell."]
        vectors = client.embeddings.create(model="all-minilm-l6-v2", input=texts)
        plain = client.embeddings.create(
            model="all-minilm-l6-v2", input=texts, encoding_format="float"
        )
        for one, other in zip(vectors.data, plain.data, strict=True):
            assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
        cat, kitten, market = (each.embedding for each in vectors.data)
        assert _alike(cat, kitten) > 2 * _alike(cat, market)
        assert vectors.usage.prompt_tokens == plain.usage.prompt_tokens > len(texts)
        with pytest.raises(openai.BadRequestError) as refused:
            client.embeddings.create(model="all-minilm-l6-v2", input="A cat.", dimensions=8)
        assert refused.value.param == "dimensions"
        for answer in (vectors, plain):
            took(answer.model_dump()["neurogrid"])

        devnet.until_warm("bard-1m")
        pieces = list(
            devnet.client.models.stream_text(
                "bard-1m", "To be, or not", parameters={"max_tokens": 20, "seed": 1}
            )
        )
        *written, said = pieces
        assert isinstance(said, TextAnswer)
        assert len(written) > 1, "piece by piece"
        assert "".join(map(str, written)) == said.generated_text
        assert said.usage.completion_tokens == 20
        assert devnet.client.tasks.get(said.id).node_id == said.node_id
        costs[said.id] = costs.get(said.id, 0) + parse_usdc(f"{said.cost_usdc:f}")

        for natively, micro_usdc in ((drawn, 500), (heard, 50 * _SPOKEN_S)):
            assert parse_usdc(f"{natively.cost_usdc:f}") == micro_usdc
            costs[natively.id] = costs.get(natively.id, 0) + micro_usdc

        _left_from_a_terminal(devnet)

        heard_ms = 0
        for task_id, told in costs.items():
            task = devnet.until_settled(task_id)
            found = verify_receipt(devnet.client.tasks.receipt(task_id))
            assert found.billed is not None
            assert found.use is not None
            paid = parse_usdc(f"{task.cost:f}")
            # The transcript as subtitles does not say what it cost, nor does what was broken off.
            assert told <= paid == found.use.prices.cost_micro_usdc(found.billed)
            heard_ms += found.billed.audio_ms
        # Of the transcript that was left, what came was paid, and no more.
        left_ms = heard_ms - 1000 * (3 * _SPOKEN_S + _CHAPTER_S)
        assert 0 < left_ms < 1000 * _CHAPTER_S


def _left_from_a_terminal(devnet: Devnet) -> None:
    """Ctrl-C at a text that is being written reaches the container: nothing is at work any more."""
    command = [sys.executable, "-m", "neurogrid", "generate", "bard-1m", "To be", "--max-tokens"]
    environment = {**os.environ, "NEUROGRID_NETWORK": str(devnet.data / "network.json")}
    with subprocess.Popen(
        [*command, "8000"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as shown:
        assert shown.stdout is not None
        assert shown.stdout.read(1), "it is shown as it is written"
        shown.send_signal(signal.SIGINT)
        _, words = shown.communicate(timeout=PATIENCE_S)
    assert b"nothing more is computed" in words
    until(lambda: _at_rest(devnet, "bard-1m"), "nobody is at work")


def _at_rest(devnet: Devnet, model: str) -> bool:
    found = devnet.client.models.get(model).replicas
    return found is not None and found.at_work == 0


def _alike(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
