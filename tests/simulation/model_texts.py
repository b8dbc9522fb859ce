"""What our own text model writes after some prompts: with its weights, with coarser ones, without a layer, on another machine.

`python -m simulation.model_texts KIND COUNT [TEMPERATURE]` in tests/ prints the replies as JSON.
"""

import random
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from models.serving.sampling import Sampling, choose
from models.text.byte_pairs import END, BytePairs
from models.text.generate import WEIGHTS
from models.text.transformer import Transformer, load
from neurogrid_marketplace.model_reply import Reply, Token

TOKENS = 40
Array = np.ndarray[Any, np.dtype[np.float64]]
# By prompt.
Texts = tuple[Reply, ...]


def prompts(count: int) -> list[str]:
    """So many different ones, of words that the model knows."""
    lot = random.Random(1)
    words = [
        "the",
        "king",
        "my",
        "lord",
        "night",
        "love",
        "and",
        "of",
        "to",
        "thou",
        "good",
        "death",
        "sweet",
        "time",
        "is",
        "not",
        "a",
        "fair",
        "heart",
    ]
    return [" ".join(lot.choices(words, k=lot.randrange(3, 12))).capitalize() for _ in range(count)]


def coarse(weights: Mapping[str, Array], bits: int) -> dict[str, Array]:
    """Weights of so few bits, as usual formats have them: in groups of 32 with a scale of their own."""
    most = 2 ** (bits - 1) - 1
    found = {}
    for name, each in weights.items():
        groups = np.resize(each, (-(-each.size // 32), 32))
        step = np.abs(groups).max(1, keepdims=True) / most
        rounded = np.round(groups / np.where(step == 0, 1, step)) * step
        found[name] = rounded.ravel()[: each.size].reshape(each.shape) if name != "scale" else each
    return found


def smaller(weights: Mapping[str, Array]) -> dict[str, Array]:
    """The model without its last layer."""
    cut = {name: weights[name][:-1] for name in ("qkv", "mixed", "wide", "narrow")}
    scale = np.concatenate([weights["scale"][:-3], weights["scale"][-1:]])
    return {**weights, **cut, "scale": scale}


class OtherMachine(Transformer):
    """The same model where each layer's numbers come out a little different: by less than 16 bits can hold."""

    noise = 0.001

    def _thought(self, x: Array, heard: Array, layer: int) -> Array:
        thought = super()._thought(x, heard, layer)
        # Of the numbers themselves: the same ones differ alike whenever they come.
        return thought * (1 + self.noise * np.sin(1e6 * thought))


class OtherProcessor(OtherMachine):
    """The same, where it has as many bits, and adds in another order."""

    noise = 1e-12


OTHERS: Mapping[str, type[Transformer]] = {
    "other machine": OtherMachine,
    "other processor": OtherProcessor,
}


def texts(kind: str, count: int, temperature: float = 0) -> Texts:
    """What a node with these weights writes after each prompt: greedily, or as a seed draws it that is the prompt's number."""
    with np.load(WEIGHTS) as file:
        weights = {name: file[name].astype(np.float64) for name in file.files if name != "merges"}
    _, merges = load(WEIGHTS)
    pairs = BytePairs(merges)
    maker: Callable[..., Transformer] = OTHERS.get(kind, Transformer)
    if kind.endswith("bits"):
        weights = coarse(weights, int(kind.split()[0]))
    elif kind == "smaller":
        weights = smaller(weights)
    model = maker(weights, count)
    read = [pairs.encode(prompt.encode()) for prompt in prompts(count)]
    logits = {place: model.read(tokens, place) for place, tokens in enumerate(read)}
    how, lots = Sampling(temperature, 1.0), [np.random.default_rng(each) for each in range(count)]
    made: list[list[Token]] = [[] for _ in read]
    bytes_made: list[list[int]] = [[] for _ in read]
    ended: set[int] = set()
    for _ in range(TOKENS):
        chosen = {}
        for place, each in logits.items():
            token = choose(each, how, lots[place])
            chance = float(each[token] - each.max() - np.log(np.exp(each - each.max()).sum()))
            if token == END:
                ended.add(place)
                continue
            chosen[place] = token
            bytes_made[place].append(token)
            made[place].append(Token(pairs.decode([token]).decode("utf-8", "replace"), chance))
        if not chosen:
            break
        logits = model.step(chosen)
    return tuple(
        Reply(
            pairs.decode(tokens).decode("utf-8", "replace"),
            "stop" if place in ended else "length",
            tuple(made[place]),
            len(read[place]),
            len(tokens),
        )
        for place, tokens in enumerate(bytes_made)
    )


if __name__ == "__main__":
    kind_, count_, *temperature_ = sys.argv[1:]
    made_ = texts(kind_, int(count_), *map(float, temperature_))
    sys.stdout.buffer.write(msgspec.json.encode(made_))
