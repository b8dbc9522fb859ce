"""The text model: from tokens to how likely each token is next. What `train.py` has trained.

Weights are kept in 16 bits and used in 64, and what comes out is rounded. So processors that add in another order
still find the same numbers, and the same seed writes the same text on every machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
HEADS = 4
_DECIMALS = 6


def _normed(x: Array, scale: Array) -> Array:
    normed: Array = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * scale
    return normed


class Transformer:
    """A model and what it has read so far: one token after the other.

    Args:
        weights: by name, as `train.fresh` makes them.
    """

    def __init__(self, weights: dict[str, Array]) -> None:
        self._weights = weights
        self._layers, self._width = weights["mixed"].shape[:2]
        self.context = len(weights["places"])
        self.forget()

    def forget(self) -> None:
        """Begin a new text."""
        self.seen = 0
        shape = (self._layers, HEADS, self.context, self._width // HEADS)
        self._keys, self._values = np.zeros(shape), np.zeros(shape)

    def read(self, tokens: list[int]) -> Array:
        """Read on; how likely each token is after that, as logits.

        Raises:
            ValueError: there are no tokens, or more than it sees at once.
        """
        if not tokens or self.seen + len(tokens) > self.context:
            raise ValueError(f"reads 1 to {self.context - self.seen} tokens more")
        weights, begin, end = self._weights, self.seen, self.seen + len(tokens)
        x = weights["tokens"][tokens] + weights["places"][begin:end]
        unseen = np.arange(end)[None, :] > np.arange(begin, end)[:, None]
        for layer in range(self._layers):
            mixed = _normed(x, weights["scale"][2 * layer]) @ weights["qkv"][layer]
            q, k, v = (
                each.reshape(len(tokens), HEADS, -1).transpose(1, 0, 2)
                for each in np.split(mixed, 3, -1)
            )
            self._keys[layer, :, begin:end] = k
            self._values[layer, :, begin:end] = v
            scores = q @ self._keys[layer, :, :end].transpose(0, 2, 1) / np.sqrt(q.shape[-1])
            scores = np.where(unseen, -np.inf, scores)
            share = np.exp(scores - scores.max(-1, keepdims=True))
            share /= share.sum(-1, keepdims=True)
            heard = (share @ self._values[layer, :, :end]).transpose(1, 0, 2)
            x = x + heard.reshape(len(tokens), -1) @ weights["mixed"][layer]
            hidden = _normed(x, weights["scale"][2 * layer + 1]) @ weights["wide"][layer]
            x = x + np.square(np.maximum(hidden, 0)) @ weights["narrow"][layer]
        self.seen = end
        last: Array = _normed(x[-1], weights["scale"][-1]) @ weights["tokens"].T
        return np.round(last, _DECIMALS)


def load(path: Path) -> tuple[Transformer, list[tuple[int, int]]]:
    """A model from the file that `train.py` wrote, and its vocabulary's merges."""
    with np.load(path) as file:
        merges = [(int(left), int(right)) for left, right in file["merges"]]
        weights = {name: file[name].astype(np.float64) for name in file.files if name != "merges"}
    return Transformer(weights), merges
