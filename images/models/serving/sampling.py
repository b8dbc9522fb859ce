"""Choosing the next token, and saying how likely it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
# What is a thousand billion times less likely than the likeliest is never drawn, and need not be sorted.
_NEVER = 30.0


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        frequency_penalty, presence_penalty: taken from a token's logit for each time it was written, and for having been.
        bias: added to the logits of some tokens.
        repetition_penalty: what the logit of a token that was written is divided by, or multiplied where it is negative.
        top_k: only so many of the likeliest are drawn from; 0: from all.
        min_p: only those that are at least this part as likely as the likeliest.
    """

    temperature: float
    top_p: float
    frequency_penalty: float = 0
    presence_penalty: float = 0
    bias: Mapping[int, float] = field(default_factory=dict)
    repetition_penalty: float = 1
    top_k: int = 0
    min_p: float = 0


@dataclass(frozen=True)
class Chance:
    """A token, and the logarithm of how likely it was."""

    token: int
    logprob: float


def choose(logits: Array, how: Sampling, random: np.random.Generator) -> int:
    """A token: the likeliest, or by chance among the likely ones."""
    if how.temperature == 0:
        return int(logits.argmax())
    scaled = logits / how.temperature
    likely = np.flatnonzero(scaled >= scaled.max() - _NEVER)
    order = likely[np.argsort(-scaled[likely], kind="stable")][: how.top_k or None]
    share = np.exp(scaled[order] - scaled[order[0]])
    share = share[share >= how.min_p]
    share /= share.sum()
    # The first that reaches top_p is the last that counts.
    count = int(np.searchsorted(share.cumsum(), how.top_p)) + 1
    share = share[:count].cumsum()
    place = int(np.searchsorted(share, random.random() * share[-1], side="right"))
    return int(order[min(place, len(share) - 1)])


def weighed(logits: Array, how: Sampling, written: Mapping[int, int]) -> Array:
    """Logits with penalties and bias.

    Args:
        written: how often each token stands in the answer so far.
    """
    penalised = (
        written
        if how.frequency_penalty or how.presence_penalty or how.repetition_penalty != 1
        else {}
    )
    if not penalised and not how.bias:
        return logits
    changed = logits.copy()
    for token, count in penalised.items():
        by = how.repetition_penalty
        changed[token] *= 1 / by if changed[token] > 0 else by
        changed[token] -= count * how.frequency_penalty + how.presence_penalty
    for token, more in how.bias.items():
        changed[token] += more
    return changed


def chances(logits: Array, token: int, count: int) -> tuple[Chance, list[Chance]]:
    """How likely a token was, and the ``count`` likeliest ones; of the model itself, before anything was changed."""
    highest = logits.max()
    total = highest + np.log(np.exp(logits - highest).sum())
    likeliest: list[Chance] = []
    if count:
        top = np.argpartition(-logits, count - 1)[:count]
        # Ties go to the smaller token, so that the same text has the same list everywhere.
        top = top[np.lexsort((top, -logits[top]))]
        likeliest = [Chance(int(each), float(logits[each] - total)) for each in top]
    return Chance(token, float(logits[token] - total)), likeliest
