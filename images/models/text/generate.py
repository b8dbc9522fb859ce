"""Write a text: read /inputs/request.json, leave /outputs/result.json (docs/models.md has both forms).

The text goes on after the prompt, or after a conversation's last turn in the form of a play: each turn is a speech
under its speaker's name. What no longer fits into what the model sees at once is forgotten from the beginning.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.serving.sampling import Sampling, choose
from models.text.byte_pairs import END, BytePairs
from models.text.transformer import Transformer, load

INPUTS, OUTPUTS = Path("/inputs"), Path("/outputs")
WEIGHTS = Path(__file__).with_name("weights.npz")
# Half of what the model sees stays when it is full.
_KEPT = 2
_SPEAKERS = {"user": "FIRST CITIZEN", "assistant": "SECOND CITIZEN"}


def prompt_of(request: dict[str, Any]) -> tuple[str, list[str]]:
    """The text to go on after, and what ends the answer beside the request's own stop sequences."""
    messages = request.get("messages", [])
    if not messages:
        return request["prompt"], []
    return play([(each["role"], each["content"]) for each in messages])


def play(turns: Sequence[tuple[str, str]]) -> tuple[str, list[str]]:
    """A conversation, roles and words, in the form of a play that goes on, and what ends the next speech."""
    speeches = [
        f"[{words}]" if role == "system" else f"{_SPEAKERS[role]}.\n{words}"
        for role, words in turns
    ]
    return "\n\n".join([*speeches, f"{_SPEAKERS['assistant']}.\n"]), ["\n\n"]


def clean(text: str) -> bytes:
    """A text as the model reads it: byte 0, which no text has, ends what it has read."""
    return text.replace("\0", "").encode("utf-8", "replace")


def kept(tokens: list[int], context: int) -> list[int]:
    """What it still sees of a text when it has seen as much as it can."""
    return tokens[-context // _KEPT :]


def written(
    model: Transformer, tokens: list[int], how: Sampling, random: np.random.Generator
) -> Iterator[int]:
    """Token after token, without end."""
    model.forget()
    seen = tokens[-(model.context - 1) :] or [END]
    logits = model.read(seen)
    while True:
        token = choose(logits, how, random)
        yield token
        seen.append(token)
        if model.seen[0] == model.context:
            seen = kept(seen, model.context)
            model.forget()
            logits = model.read(seen)
        else:
            logits = model.read([token])


def answer(model: Transformer, pairs: BytePairs, request: dict[str, Any]) -> dict[str, Any]:
    """What result.json has, without the time that it took."""
    wanted = request["parameters"]
    prompt, ends = prompt_of(request)
    stops = [stop.encode() for stop in [*wanted["stop_sequences"], *ends]]
    seed = secrets.randbits(32) if wanted["seed"] is None else wanted["seed"]
    tokens = pairs.encode(clean(prompt))
    how = Sampling(wanted["temperature"], wanted["top_p"])
    made: list[int] = []
    text, finish = b"", "length"
    for token in written(model, tokens, how, np.random.default_rng(seed)):
        made.append(token)
        text = pairs.decode(made)
        found = [place for stop in stops if (place := text.find(stop)) >= 0]
        if token == END or found:
            text, finish = text[: min(found, default=len(text))], "stop"
            break
        if len(made) == wanted["max_tokens"]:
            break
    return {
        "text": text.decode("utf-8", "replace"),
        "finish_reason": finish,
        "usage": {"prompt_tokens": len(tokens), "completion_tokens": len(made)},
        "seed": seed,
    }


def main() -> None:
    """See the module."""
    began_s = time.monotonic()
    request = json.loads((INPUTS / "request.json").read_text())
    model, merges = load(WEIGHTS)
    made = answer(model, BytePairs(merges), request)
    took_s = round(time.monotonic() - began_s, 3)
    # What is compared with others' answers says nothing of the run itself.
    result = made if request.get("reproducible") else {**made, "execution_time_s": took_s}
    (OUTPUTS / "result.json").write_text(json.dumps(result) + "\n")
    print(
        json.dumps(
            {
                "usage": made["usage"],
                "finish_reason": made["finish_reason"],
                "execution_time_s": took_s,
            }
        )
    )


if __name__ == "__main__":
    main()
