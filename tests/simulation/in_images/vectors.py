"""In model-embedding: the vectors of some texts (a JSON list, from the input) by each kind of server that is named; as JSON, base64 of 32-bit floats."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from models.embedding import minilm
from models.embedding.encoder import Array, Encoder, read_weights

_GROUP = 32


def coarse(bits: int) -> Callable[[Array], Array]:
    """Numbers of so few bits, as usual formats of weights have them: in groups of 32 with a scale of their own."""
    most = 2 ** (bits - 1) - 1

    def rounded(each: Array) -> Array:
        groups = np.resize(each, (-(-each.size // _GROUP), _GROUP))
        step = np.abs(groups).max(1, keepdims=True) / most
        near = np.round(groups / np.where(step == 0, 1, step)) * step
        whole: Array = near.ravel()[: each.size].reshape(each.shape).astype(np.float32)
        return whole

    return rounded


def in_16_bits(exponent_of_8: bool) -> Callable[[Array], Array]:
    """Numbers as servers on GPUs have them: bfloat16, or IEEE's half."""

    def rounded(each: Array) -> Array:
        if not exponent_of_8:
            return each.astype(np.float16).astype(np.float32)
        bits = np.ascontiguousarray(each, np.float32).view(np.uint32)
        near = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
        return near.view(np.float32)

    return rounded


class Rounding(Encoder):
    """The encoder whose numbers are rounded after each step."""

    rounded: Callable[[Array], Array]

    def _linear(self, x: Array, name: str) -> Array:
        return self.rounded(super()._linear(x, name))

    def _norm(self, x: Array, name: str) -> Array:
        return self.rounded(super()._norm(x, name))


def server(kind: str) -> minilm.MiniLm:
    """What computes as this kind of server does."""

    def weights(path: Any) -> dict[str, Array]:
        found = read_weights(path)
        if not kind.endswith("bits"):
            return found
        near = coarse(int(kind.split()[0]))
        # Norms and biases are small, and stay as they are in each format.
        return {name: near(each) if each.ndim == 2 else each for name, each in found.items()}

    def encoder(found: dict[str, Array], layers: int, heads: int) -> Encoder:
        if kind == "a layer less":
            return Encoder(found, layers - 1, heads)
        if kind not in ("bfloat16", "float16"):
            return Encoder(found, layers, heads)
        made = Rounding(found, layers, heads)
        made.rounded = in_16_bits(kind == "bfloat16")
        return made

    for name, made in (("read_weights", weights), ("Encoder", encoder)):
        setattr(minilm, name, made)
    return minilm.MiniLm()


def main() -> None:
    """See the module."""
    texts = json.load(sys.stdin)
    said = {}
    for kind in sys.argv[1:]:
        model = server(kind)
        vectors = [model.vector(model.encode_beginning(text)) for text in texts]
        said[kind] = [base64.b64encode(each.astype("<f4").tobytes()).decode() for each in vectors]
    print(json.dumps(said))


if __name__ == "__main__":
    main()
