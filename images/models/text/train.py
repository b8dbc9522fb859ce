"""Train the text model: ``python -m models.text.train FOLDER WEIGHTS MINUTES``.

FOLDER has the plays and poems of Shakespeare as plain text, `*_gut.txt`, public domain; README.md says
where they come from, and what was measured. WEIGHTS is the file that `transformer.py` reads. Only this
script needs JAX and Optax.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from models.text.byte_pairs import BytePairs, learn

VOCABULARY = 1024
WIDTH, LAYERS, HEADS, CONTEXT = 128, 4, 4, 256
BATCH = 8
RATE = 2e-3
_SCENE = re.compile(r"\n{3,}")

Weights = dict[str, Any]


def corpus(folder: Path) -> bytes:
    """All texts, scene after scene, with byte 0 after each."""
    scenes: list[str] = []
    for file in sorted(folder.glob("*_gut.txt")):
        text = file.read_text("utf-8", "replace").replace("\r\n", "\n")
        text = re.sub(r"[ \t]+", " ", text).replace("\n ", "\n").replace(" \n", "\n")
        scenes += [scene.strip() for scene in _SCENE.split(text) if len(scene) > 200]
    return "\0".join(scenes).encode("ascii", "ignore")


def fresh(seed: int) -> Weights:
    """Weights before any training."""
    random = np.random.default_rng(seed)

    def normal(*shape: int, scale: float) -> Any:
        return jnp.asarray(random.normal(0, scale, shape), jnp.float32)

    deep = 0.02 / (2 * LAYERS) ** 0.5
    return {
        "tokens": normal(VOCABULARY, WIDTH, scale=0.02),
        "places": normal(CONTEXT, WIDTH, scale=0.02),
        "scale": jnp.ones((LAYERS * 2 + 1, WIDTH)),
        "qkv": normal(LAYERS, WIDTH, 3 * WIDTH, scale=0.02),
        "mixed": normal(LAYERS, WIDTH, WIDTH, scale=deep),
        "wide": normal(LAYERS, WIDTH, 4 * WIDTH, scale=0.02),
        "narrow": normal(LAYERS, 4 * WIDTH, WIDTH, scale=deep),
    }


def logits(weights: Weights, tokens: Any) -> Any:
    """As `transformer.py` computes them, of whole rows at once."""

    def normed(x: Any, number: int) -> Any:
        return x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weights["scale"][number]

    rows, length = tokens.shape
    x = weights["tokens"][tokens] + weights["places"][:length]
    seen = jnp.tril(jnp.ones((length, length), bool))
    for layer in range(LAYERS):
        q, k, v = (
            each.reshape(rows, length, HEADS, -1).transpose(0, 2, 1, 3)
            for each in jnp.split(normed(x, 2 * layer) @ weights["qkv"][layer], 3, -1)
        )
        attention = jnp.where(seen, q @ k.swapaxes(-1, -2) / (WIDTH // HEADS) ** 0.5, -1e9)
        heard = (jax.nn.softmax(attention) @ v).transpose(0, 2, 1, 3).reshape(rows, length, WIDTH)
        x = x + heard @ weights["mixed"][layer]
        hidden = normed(x, 2 * layer + 1) @ weights["wide"][layer]
        x = x + jnp.square(jax.nn.relu(hidden)) @ weights["narrow"][layer]
    return normed(x, 2 * LAYERS) @ weights["tokens"].T


def loss(weights: Weights, rows: Any) -> Any:
    """Nats a token."""
    found = logits(weights, rows[:, :-1])
    return optax.softmax_cross_entropy_with_integer_labels(found, rows[:, 1:]).mean()


def main() -> None:
    """See the module."""
    folder, target, minutes = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    text = corpus(folder)
    merges = learn(text, VOCABULARY)
    pairs = BytePairs(merges)
    tokens = np.array(pairs.encode(text), np.int32)
    held_back = tokens[-CONTEXT * 64 :]
    tokens = tokens[: -CONTEXT * 64]
    print(len(text), "bytes", len(tokens), "tokens", flush=True)
    weights = fresh(0)
    done = 0.0
    optimiser = optax.inject_hyperparams(optax.adamw)(RATE, b1=0.9, b2=0.95, weight_decay=0.05)
    state = optimiser.init(weights)

    def step(weights: Weights, state: Any, rows: Any) -> Any:
        value, slope = jax.value_and_grad(loss)(weights, rows)
        norm = optax.global_norm(slope)
        slope = jax.tree.map(lambda each: each * jnp.minimum(1.0, 1.0 / norm), slope)
        change, state = optimiser.update(slope, state, weights)
        return optax.apply_updates(weights, change), state, value

    quick, measured = jax.jit(step), jax.jit(loss)
    random = np.random.default_rng(0)
    began = time.monotonic()
    number = 0
    while done < 1:
        # By the clock: this machine is shared, and what it gets done in the time varies.
        done = min(1.0, (time.monotonic() - began) / (60 * minutes))
        warm = min(1.0, (number + 1) / 100)
        state.hyperparams["learning_rate"] = jnp.asarray(
            RATE * warm * (0.03 + 0.97 * 0.5 * (1 + np.cos(np.pi * done)))
        )
        places = random.integers(0, len(tokens) - CONTEXT - 1, BATCH)
        rows = np.stack([tokens[place : place + CONTEXT + 1] for place in places])
        weights, state, value = quick(weights, state, rows)
        number += 1
        if number % 200 == 0 or done == 1:
            check = np.stack(np.split(held_back, 64))
            bits = float(measured(weights, check)) / np.log(2)
            print(
                number,
                f"{time.monotonic() - began:.0f} s",
                f"{float(value):.3f}",
                f"held back {bits:.3f} bits a token",
                flush=True,
            )
            numbers: Weights = {
                name: np.asarray(each, np.float16) for name, each in weights.items()
            }
            np.savez(target, merges=np.array(merges, np.uint16), **numbers)


if __name__ == "__main__":
    main()
