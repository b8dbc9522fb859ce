"""BERT's encoder in numpy: tokens to one vector. It reads weights as safetensors has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_NORM_EPSILON = 1e-12


def read_weights(path: Path) -> dict[str, Array]:
    """The tensors of a safetensors file; those that are not of 32-bit floats are left out."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    start = 8 + size
    found = {}
    for name, entry in json.loads(data[8:start]).items():
        if entry.get("dtype") == "F32":
            begin, end = entry["data_offsets"]
            values = np.frombuffer(data[start + begin : start + end], "<f4")
            found[name] = values.reshape(entry["shape"])
    return found


def gelu(x: Array) -> Array:
    """x times the chance that a normal number is below it.

    numpy has no error function; this one (Abramowitz and Stegun, 7.1.26) is off by at most 1.5e-7.
    """
    z = np.abs(x) / np.float32(np.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = t * (
        0.254829592
        + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * np.float32(1.061405429))))
    )
    error = np.copysign(1 - series * np.exp(-z * z), x)
    whole: Array = (x * (1 + error) / 2).astype(np.float32)
    return whole


class Encoder:
    """The encoder of a BERT.

    Attributes:
        context: the most tokens that it sees.
    """

    def __init__(self, weights: Mapping[str, Array], layers: int, heads: int) -> None:
        self._weights, self._layers, self._heads = weights, layers, heads
        self.context = len(weights["embeddings.position_embeddings.weight"])

    def vector(self, tokens: Sequence[int]) -> Array:
        """The mean of what the last layer makes of the tokens, of length 1."""
        of = self._weights
        x = (
            of["embeddings.word_embeddings.weight"][list(tokens)]
            + of["embeddings.position_embeddings.weight"][: len(tokens)]
            + of["embeddings.token_type_embeddings.weight"][0]
        )
        x = self._norm(x, "embeddings.LayerNorm")
        for number in range(self._layers):
            layer = f"encoder.layer.{number}"
            seen = self._attention(x, f"{layer}.attention.self")
            x = self._norm(
                x + self._linear(seen, f"{layer}.attention.output.dense"),
                f"{layer}.attention.output.LayerNorm",
            )
            wide = gelu(self._linear(x, f"{layer}.intermediate.dense"))
            x = self._norm(
                x + self._linear(wide, f"{layer}.output.dense"), f"{layer}.output.LayerNorm"
            )
        mean: Array = x.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _attention(self, x: Array, name: str) -> Array:
        count, width = x.shape
        query, key, value = (
            self._linear(x, f"{name}.{part}")
            .reshape(count, self._heads, width // self._heads)
            .transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(width // self._heads))
        share = np.exp(scores - scores.max(axis=-1, keepdims=True))
        share /= share.sum(axis=-1, keepdims=True)
        together: Array = (share @ value).transpose(1, 0, 2).reshape(count, width)
        return together

    def _linear(self, x: Array, name: str) -> Array:
        whole: Array = x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return whole

    def _norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + _NORM_EPSILON)
        whole: Array = (
            centred / spread * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        )
        return whole
