"""What the checks of a node's answers by one model come to, one after the other. Pure.

A difference proves nothing, and many do. Three things are asked at once: does it serve another model, does it shorten answers, does it
count more than it wrote? For each the logarithm of how much likelier a check's outcome is with such a node than with an honest one is
added up, and begins anew at nothing whenever it would fall below (Page's CUSUM, 1954). By Lorden's bound (1971) an honest node comes to a
sum of h once in e^h checks at most, on average, whenever it began and however long it serves; `THRESHOLD` is so that all three
together come to it once in a million checks.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import exp, log
from typing import Final

from .model_check import Comparison

CHECKS_PER_FALSE_CHARGE: Final = 1_000_000
THRESHOLD: Final = log(3 * CHECKS_PER_FALSE_CHARGE)

# Bytes until greedy texts of honest servers with other hardware part, on average, at the least; and of another model,
# at the most. Weights of four bits part after some fifteen bytes, 16-bit numbers on other machines after hundreds.
HONEST_BYTES: Final = 256
OTHER_BYTES: Final = 16
_BYTES_COUNTED_MAX: Final = 4096
# In so many checks something is seen of an honest node at the most; of another one, which is honest in the others, at the least.
_HONEST: Final = 0.01
_OTHER: Final = 0.5

_PARTED: Final = HONEST_BYTES / OTHER_BYTES
_A_BYTE_MORE: Final = log((1 - 1 / OTHER_BYTES) / (1 - 1 / HONEST_BYTES))
_SEEN: Final = log(_OTHER / _HONEST)
_NOT_SEEN: Final = log((1 - _OTHER) / (1 - _HONEST))
# One client could look for requests at which honest machines part; two do not do so together.
_ACCOUNTS_MIN: Final = 2


class Charge(StrEnum):
    """What a node was found to do."""

    SUBSTITUTES = "substitutes"
    SHORTENS = "shortens"
    OVERCOUNTS = "overcounts"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Of one node and model.

    Attributes:
        substitutes, shortens, overcounts: how much likelier all that was seen is so than with an honest node; nats, never
            below 0.
        checks, against: how many there were, and how many of them spoke against it.
        accounts: by whose requests something spoke against it since all was 0 last; two of them at most.
    """

    substitutes: float = 0.0
    shortens: float = 0.0
    overcounts: float = 0.0
    checks: int = 0
    against: int = 0
    accounts: tuple[str, ...] = ()

    def after(self, seen: Comparison, account_id: str) -> "Suspicion":
        """With one check more."""
        known = replace(
            self,
            substitutes=max(0.0, self.substitutes + _of_text(seen)),
            shortens=max(0.0, self.shortens + _of_length(seen)),
            overcounts=max(0.0, self.overcounts + _of_counts(seen)),
            checks=self.checks + 1,
            against=self.against + seen.speaks_against,
        )
        if not known.is_raised:
            return replace(known, accounts=())
        if seen.speaks_against and account_id not in self.accounts:
            return replace(known, accounts=(*self.accounts, account_id)[:_ACCOUNTS_MIN])
        return known

    @property
    def is_raised(self) -> bool:
        """Whether something speaks against it that nothing has outweighed."""
        return self.substitutes > 0 or self.shortens > 0 or self.overcounts > 0

    @property
    def exceeds(self) -> Charge | None:
        """What is beyond doubt of it, by whosever requests; None: nothing is."""
        worst, charge = max(
            (self.substitutes, Charge.SUBSTITUTES),
            (self.shortens, Charge.SHORTENS),
            (self.overcounts, Charge.OVERCOUNTS),
        )
        return charge if worst >= THRESHOLD else None

    @property
    def charge(self) -> Charge | None:
        """What follows of itself: as `exceeds`, once requests of two accounts have shown it."""
        return self.exceeds if len(self.accounts) >= _ACCOUNTS_MIN else None


def _of_text(seen: Comparison) -> float:
    if seen.told:
        return _of(seen.is_far)
    if seen.text is None:
        # It may be any text, or was too little of it.
        return 0.0
    likelier = exp(min(seen.same_bytes, _BYTES_COUNTED_MAX) * _A_BYTE_MORE)
    if seen.has_diverged:
        likelier *= _PARTED
    # Who serves another model does so in a part of its answers, and honestly in the others.
    return log(1 - _OTHER + _OTHER * likelier)


def _of_length(seen: Comparison) -> float:
    return 0.0 if seen.text is None else _of(seen.is_shorter)


def _of_counts(seen: Comparison) -> float:
    return 0.0 if seen.claims_more is None else _of(seen.claims_more)


def _of(seen: bool) -> float:
    return _SEEN if seen else _NOT_SEEN
