"""The text model: from tokens to how likely each token is next. What `train.py` has trained.

Weights are kept in 16 bits and used in 64, and what comes out is rounded. So processors that add in another order
still find the same numbers, and the same seed writes the same text on every machine, beside others or alone.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """A model and what it has read so far in each of its places: one token after the other.

    Args:
        weights: by name, as `train.fresh` makes them.
        places: how many texts it can be at, at once.
    """

    def __init__(self, weights: dict[str, Array], places: int = 1) -> None:
        self._weights = weights
        self._layers, self._width = weights["mixed"].shape[:2]
        self.context = len(weights["places"])
        self.seen = [0] * places
        shape = (self._layers, places, HEADS, self.context, self._width // HEADS)
        self._keys, self._values = np.zeros(shape), np.zeros(shape)

    def forget(self, place: int = 0) -> None:
        """Begin a new text."""
        self.seen[place] = 0

    def read(self, tokens: list[int], place: int = 0) -> Array:
        """Read on; how likely each token is after that, as logits.

        Raises:
            ValueError: there are no tokens, or more than it sees at once.
        """
        begin, end = self.seen[place], self.seen[place] + len(tokens)
        if not tokens or end > self.context:
            raise ValueError(f"reads 1 to {self.context - begin} tokens more")
        x = self._weights["tokens"][tokens] + self._weights["places"][begin:end]
        unseen = np.arange(end)[None, :] > np.arange(begin, end)[:, None]
        for layer in range(self._layers):
            q, k, v = (
                each.reshape(len(tokens), HEADS, -1).transpose(1, 0, 2)
                for each in self._mixed(x, layer)
            )
            self._keys[layer, place, :, begin:end] = k
            self._values[layer, place, :, begin:end] = v
            scores = q @ self._keys[layer, place, :, :end].transpose(0, 2, 1)
            heard = self._heard(scores, unseen, self._values[layer, place, :, :end])
            x = self._thought(x, heard.transpose(1, 0, 2).reshape(len(tokens), -1), layer)
        self.seen[place] = end
        return self._logits(x[-1])

    def step(self, tokens: Mapping[int, int]) -> dict[int, Array]:
        """Read one more token in each of some places; the logits of each, as `read` has them.

        All texts go through each layer together, which costs little more than one. The lowest places are the quickest: those
        in between are computed, too.

        Raises:
            ValueError: there are none, or it sees no more in one of them.
        """
        if not tokens or any(self.seen[place] >= self.context for place in tokens):
            raise ValueError("reads a token in places with room for one")
        rows = np.arange(max(tokens) + 1)
        # What stands in a place that is at no text is nobody's.
        at = np.array([min(self.seen[row], self.context - 1) for row in rows])
        longest = int(at.max()) + 1
        x = self._weights["tokens"][[tokens.get(int(row), 0) for row in rows]]
        x = x + self._weights["places"][at]
        unseen = (np.arange(longest)[None, :] > at[:, None])[:, None, None, :]
        busy = np.array(sorted(tokens))
        for layer in range(self._layers):
            q, k, v = (each.reshape(len(rows), HEADS, -1) for each in self._mixed(x, layer))
            self._keys[layer, busy, :, at[busy]] = k[busy]
            self._values[layer, busy, :, at[busy]] = v[busy]
            scores = q[:, :, None] @ self._keys[layer, : len(rows), :, :longest].swapaxes(2, 3)
            heard = self._heard(scores, unseen, self._values[layer, : len(rows), :, :longest])
            x = self._thought(x, heard.reshape(len(rows), -1), layer)
        for place in tokens:
            self.seen[place] += 1
        logits = self._logits(x)
        return {place: logits[place] for place in tokens}

    def _mixed(self, x: Array, layer: int) -> list[Array]:
        return np.split(
            _normed(x, self._weights["scale"][2 * layer]) @ self._weights["qkv"][layer], 3, -1
        )

    @staticmethod
    def _heard(scores: Array, unseen: Any, values: Array) -> Array:
        scores = np.where(unseen, -np.inf, scores / np.sqrt(values.shape[-1]))
        share = np.exp(scores - scores.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        heard: Array = share @ values
        return heard

    def _thought(self, x: Array, heard: Array, layer: int) -> Array:
        x = x + heard @ self._weights["mixed"][layer]
        hidden = _normed(x, self._weights["scale"][2 * layer + 1]) @ self._weights["wide"][layer]
        whole: Array = x + np.square(np.maximum(hidden, 0)) @ self._weights["narrow"][layer]
        return whole

    def _logits(self, x: Array) -> Array:
        last: Array = _normed(x, self._weights["scale"][-1]) @ self._weights["tokens"].T
        return np.round(last, _DECIMALS)


def load(path: Path, places: int = 1) -> tuple[Transformer, list[tuple[int, int]]]:
    """A model from the file that `train.py` wrote, and its vocabulary's merges."""
    with np.load(path) as file:
        merges = [(int(left), int(right)) for left, right in file["merges"]]
        weights = {name: file[name].astype(np.float64) for name in file.files if name != "merges"}
    return Transformer(weights, places), merges
