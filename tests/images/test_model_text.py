"""The program of the text model: it counts, it stops, and the same seed writes the same text everywhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import docker
import numpy as np
import pytest

from build_images import MODEL_TEXT_IMAGE
from models.serving.sampling import Sampling, choose
from models.text.byte_pairs import BytePairs, learn
from models.text.generate import WEIGHTS, answer
from models.text.transformer import load
from neurogrid_coordinator.models_config import read_catalogue
from neurogrid_marketplace.model_catalogue import ModelType
from neurogrid_marketplace.model_requests import (
    Message,
    ModelInput,
    read_result,
    request_bytes,
    whole_parameters,
)

_MODEL, _MERGES = load(WEIGHTS)
_PAIRS = BytePairs(_MERGES)
# What other machines have to write as well.
_SHA256 = "2987da9389fd8591f8362f8ba0a72b3a314796c1c4492ead2a0511bc7233f114"


def _request(asked: ModelInput, **parameters: Any) -> dict[str, Any]:
    whole = whole_parameters(ModelType.TEXT, parameters)
    request: dict[str, Any] = json.loads(request_bytes("bard-1m", ModelType.TEXT, asked, whole))
    return request


def _answer(asked: ModelInput, **parameters: Any) -> dict[str, Any]:
    return answer(_MODEL, _PAIRS, _request(asked, **parameters))


def test_any_text_has_tokens_and_comes_back_from_them() -> None:
    pairs = BytePairs(learn(b"the cat and the hat and the bat", 270))
    for text in (b"", b"the cat", "Größe, 猫".encode(), bytes(range(1, 256)), b"  \n\n the"):
        assert pairs.decode(pairs.encode(text)) == text
    assert len(pairs.encode(b" the hat")) < len(b" the hat")


def test_the_same_seed_writes_the_same_text_on_every_machine() -> None:
    told = ModelInput(prompt="KING HENRY.\nO, my good lord")
    texts = [_answer(told, max_tokens=100, temperature=0, seed=7)["text"]]
    texts += [
        _answer(told, max_tokens=100, temperature=0.9, top_p=0.9, seed=n)["text"] for n in (7, 8)
    ]
    assert len(set(texts)) == 3
    assert hashlib.sha256("\0".join(texts).encode()).hexdigest() == _SHA256
    by_chance = [_answer(told, temperature=1) for _ in range(2)]
    assert by_chance[0]["text"] != by_chance[1]["text"]
    again = _answer(told, temperature=1, seed=by_chance[0]["seed"])
    assert again["text"] == by_chance[0]["text"]


def test_it_ends_where_it_is_told_to_and_counts_its_tokens() -> None:
    told = ModelInput(prompt="HAMLET.\n")
    long = _answer(told, max_tokens=40, temperature=0)
    assert (long["finish_reason"], long["usage"]["completion_tokens"]) == ("length", 40)
    assert long["usage"]["prompt_tokens"] == len(_PAIRS.encode(b"HAMLET.\n"))
    stop = long["text"][10:13]
    short = _answer(told, max_tokens=40, temperature=0, stop_sequences=[stop])
    assert short["finish_reason"] == "stop"
    assert short["text"] == long["text"][: long["text"].find(stop)]
    # More than it sees at once, before and after; nothing at all; and what no play has.
    assert _answer(ModelInput(prompt="word " * 2000), max_tokens=600)["usage"] == {
        "prompt_tokens": len(_PAIRS.encode(b"word " * 2000)),
        "completion_tokens": 600,
    }
    for prompt in (" ", "\0", "Größe 猫 \U0001f600"):
        assert _answer(ModelInput(prompt=prompt), max_tokens=3)["usage"]["completion_tokens"] >= 1
    talk = (Message("system", "A street."), Message("user", "Who's there?"))
    said = _answer(ModelInput(messages=talk), max_tokens=400, seed=1)
    assert "\n\n" not in said["text"]


def test_chance_follows_temperature_and_top_p() -> None:
    logits, random = np.log(np.array([0.5, 0.3, 0.15, 0.05])), np.random.default_rng(0)

    def share(temperature: float, top_p: float) -> list[float]:
        how = Sampling(temperature, top_p)
        found = np.bincount([choose(logits, how, random) for _ in range(2000)], minlength=4)
        return [float(each) / 2000 for each in found]

    assert share(1, 1) == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.05)
    assert share(1, 0.7) == pytest.approx([5 / 8, 3 / 8, 0, 0], abs=0.05)
    assert share(0.1, 1)[0] > 0.98
    assert share(0, 1) == [1, 0, 0, 0]


@pytest.mark.engine
def test_the_image_answers_in_the_form_of_every_model(tmp_path: Path) -> None:
    model = read_catalogue("", tmp_path).find("bard-1m")
    assert model is not None
    assert model.image == MODEL_TEXT_IMAGE
    inputs, outputs = tmp_path / "inputs", tmp_path / "outputs"
    for folder in (inputs, outputs):
        folder.mkdir()
        folder.chmod(0o777)
    asked = _request(ModelInput(prompt="To be, or not"), max_tokens=20, seed=1)
    asked["reproducible"] = True
    (inputs / "request.json").write_text(json.dumps(asked))
    engine = docker.from_env()
    try:
        engine.containers.run(
            MODEL_TEXT_IMAGE,
            list(model.command) or None,
            volumes=[f"{inputs}:/inputs:ro", f"{outputs}:/outputs"],
            network_mode="none",
            read_only=True,
            mem_limit=model.needs.memory_bytes,
            remove=True,
        )
    finally:
        engine.close()
    result = read_result((outputs / "result.json").read_bytes())
    assert result is not None
    assert (result.usage.completion_tokens, result.seed) == (20, 1)
    assert result.text == answer(_MODEL, _PAIRS, asked)["text"]
    assert b"execution_time_s" not in (outputs / "result.json").read_bytes(), "it would differ"
