"""Texts that are being written: what each was asked, and how it goes on token by token. Knows no model and no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from models.serving.json_text import JsonText
from models.serving.sampling import Array, Chance, Sampling, chances, choose, weighed
from models.serving.writing import Writing

# Tokens that a model likes best are tried first, since looking at all of a large vocabulary takes half a second.
_TRIES = 32


@dataclass(frozen=True)
class Turn:
    """A message of a conversation; ``role`` is "system", "user" or "assistant"."""

    role: str
    content: str


class TextModel(Protocol):
    """A language model that is at several texts at once, each in a place of its own.

    Attributes:
        context: tokens that it sees at once.
        endless: it goes on where that is full, and forgets the beginning.
        places: how many texts it can be at.
        vocabulary: how many tokens there are.
        ends: tokens that end a text.
        longest: bytes that a token stands for, at most.
    """

    context: int
    endless: bool
    places: int
    vocabulary: int
    ends: frozenset[int]
    longest: int

    def encode(self, text: str) -> list[int]:
        """The tokens of a text; at least one."""
        ...

    def piece(self, token: int) -> bytes:
        """What a token writes."""
        ...

    def conversation(self, turns: Sequence[Turn]) -> tuple[str, list[str]]:
        """What the model goes on after, and what ends its turn."""
        ...

    def begin(self, place: int, tokens: Sequence[int]) -> Array:
        """Read a new text in a place; the logits of what is next."""
        ...

    def step(self, tokens: Mapping[int, int]) -> Mapping[int, Array]:
        """Read one more token in each of some places; the logits of each."""
        ...


@dataclass(frozen=True)
class Wanted:
    """One text that is asked for.

    Attributes:
        prompt: tokens to go on after.
        likeliest: how many alternatives to tell of each token; None: nothing of how likely it was.
        json: it is to be a JSON object, which is whole where it has two tokens or more.
    """

    prompt: tuple[int, ...]
    tokens_max: int
    how: Sampling
    seed: int
    stops: tuple[str, ...] = ()
    likeliest: int | None = None
    json: bool = False


@dataclass(frozen=True)
class Told:
    """How likely a token was, and which were the likeliest."""

    chosen: Chance
    likeliest: Sequence[Chance]


@dataclass(frozen=True)
class Piece:
    """What a token brings.

    Attributes:
        text: that may be said now; "" where more has to come first.
        written: tokens of the answer so far.
        finish: "stop" or "length" with the last one.
        told: of this token, where it was asked for.
    """

    text: str
    written: int
    finish: str | None = None
    told: Told | None = None


@dataclass
class Text:
    """A text that is being written.

    Attributes:
        last: the token that its model has yet to read.
    """

    wanted: Wanted
    ends: frozenset[int]
    last: int = 0
    _count: int = 0
    _seen: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.wanted.seed)
        self._writing = Writing(self.wanted.stops)
        self._json = JsonText() if self.wanted.json else None

    def take(self, logits: Array, model: TextModel) -> Piece:
        """Choose the next token."""
        wanted = self.wanted
        changed = weighed(logits, wanted.how, self._seen)
        token = (
            choose(changed, wanted.how, self._random)
            if self._json is None
            else self._of_json(self._json, changed, model)
        )
        told = None
        if wanted.likeliest is not None:
            told = Told(*chances(logits, token, wanted.likeliest))
        self.last = token
        self._count += 1
        self._seen[token] += 1
        ended = token in self.ends
        if self._json is not None:
            self._json = self._json.after(model.piece(token))
            whole = self._json is None or self._json.is_done
        else:
            whole = False
        full = self._count >= wanted.tokens_max
        text = self._writing.add(b"" if ended else model.piece(token), last=ended or full or whole)
        stopped = ended or whole or self._writing.stopped
        finish = "stop" if stopped else "length" if full else None
        return Piece(text, self._count, finish, told)

    def _of_json(self, json: JsonText, logits: Array, model: TextModel) -> int:
        """A token after which it can still become an object within the tokens that there are."""
        how, left = self.wanted.how, self.wanted.tokens_max - self._count - 1

        def fits(token: int) -> bool:
            data = b"" if token in self.ends else model.piece(token)
            after = json.after(data) if data else None
            # Each byte has a token of its own, so as many bytes can be written as there are tokens.
            return after is not None and after.left <= left

        changed = logits.copy()
        for _ in range(_TRIES):
            token = choose(changed, how, self._random)
            if fits(token):
                return token
            changed[token] = -np.inf
        allowed = np.fromiter(map(fits, range(len(changed))), bool, len(changed))
        if not allowed.any():
            # Its vocabulary has not each byte: the text ends here.
            return token
        return choose(np.where(allowed, changed, -np.inf), how, self._random)
