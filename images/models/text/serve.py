"""Serve the text model as OpenAI's API has it: ``python3 -m models.text.serve`` (docs/models.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from models.serving.frame import Options, serve
from models.serving.text import TextServing
from models.serving.texts import Turn
from models.text.byte_pairs import END, BytePairs
from models.text.generate import WEIGHTS, clean, kept, play
from models.text.transformer import Array, Transformer, load

NAME = "bard-1m"


class Bard:
    """The text model as `TextModel` has it: when it sees no more, it forgets the first half and goes on."""

    endless = True
    ends = frozenset({END})

    def __init__(self, model: Transformer, pairs: BytePairs) -> None:
        self.context, self.places, self.vocabulary = model.context, len(model.seen), pairs.size
        self.longest = pairs.longest
        self._model, self._pairs = model, pairs
        self._seen: list[list[int]] = [[] for _ in model.seen]

    def encode(self, text: str) -> list[int]:
        """The tokens of a text; of an empty one, what ends the text before it."""
        return self._pairs.encode(clean(text)) or [END]

    def piece(self, token: int) -> bytes:
        """What a token writes."""
        return self._pairs.decode([token])

    def conversation(self, turns: Sequence[Turn]) -> tuple[str, list[str]]:
        """As the scene of a play, which ends with the speech."""
        return play([(turn.role, turn.content) for turn in turns])

    def begin(self, place: int, tokens: Sequence[int]) -> Array:
        """Read a new text."""
        self._seen[place] = list(tokens)
        return self._read_anew(place)

    def step(self, tokens: Mapping[int, int]) -> Mapping[int, Array]:
        """Read a token in each of some places."""
        for place, token in tokens.items():
            self._seen[place].append(token)
        full = [place for place in tokens if self._model.seen[place] == self.context]
        going = {place: token for place, token in tokens.items() if place not in full}
        logits = self._model.step(going) if going else {}
        for place in full:
            self._seen[place] = kept(self._seen[place], self.context)
            logits[place] = self._read_anew(place)
        return logits

    def _read_anew(self, place: int) -> Array:
        self._model.forget(place)
        return self._model.read(self._seen[place], place)


def loaded(options: Options) -> TextServing:
    """The model with its weights."""
    model, merges = load(WEIGHTS, options.concurrency)
    fingerprint = f"fp_{hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:10]}"
    return TextServing(
        options.name, Bard(model, BytePairs(merges)), fingerprint, options.waiting_max
    )


if __name__ == "__main__":
    serve(loaded, name=NAME, concurrency=8, waiting_max=64)
