"""Whether a model's answer is the one that the model gives: it is asked again elsewhere, and both are compared. Pure.

Only greedy requests are: what is drawn by chance differs among honest servers. Even greedy answers do, where another
machine adds in another order and two tokens are nearly as likely; so a difference is a piece of evidence, weighed by
`suspicion`, and never a proof. Where servers tell how likely tokens were, these are compared as far as the texts are the same: they
hardly depend on the machine, and much on the weights.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp
from typing import Final

from .model_reply import Reply, Token

# Honest servers with 16-bit numbers differ by less than a hundredth on average; weights of four bits by more than a twentieth, mostly by
# more than a tenth (docs/model-checks.md has the figures). Nats.
DRIFT_MAX_NATS: Final = 0.05
# From fewer tokens their likelihood says nothing.
_TOKENS_MIN: Final = 8
# Of one model two different tokens at one place are not likely both, beyond what drift explains.
_BOTH_LIKELY: Final = 1.2
# Counts of one text by one vocabulary are the same; these are for a server that counts its end, or not.
_COUNT_SLACK: Final = 2
_COUNT_PERMILLE: Final = 20
# Where the texts differ, only how densely they were counted can be compared.
_DENSITY: Final = 1.5
_DENSITY_BYTES_MIN: Final = 64
_DENSITY_SLACK: Final = 8


class Text(StrEnum):
    """How a delivered text stands to the one that another server gave."""

    SAME = "same"
    DIVERGED = "diverged"
    # It ends where the other goes on.
    SHORTER = "shorter"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a delivered answer and another one say together.

    Attributes:
        same_bytes: of their texts, from the beginning.
        told: of how many tokens the likelihood could be compared; 0: too few, or it was not told.
        drift_nats: by how much it differs on average there.
        is_far: it differs by more than honest machines do.
        claims_more: it says that it read, or wrote, more than the other says of the same.
    """

    text: Text
    same_bytes: int
    told: int = 0
    drift_nats: float = 0.0
    is_far: bool = False
    claims_more: bool = False

    @property
    def speaks_against(self) -> bool:
        """Whether it is evidence against whoever delivered the answer."""
        return self.claims_more or self.is_far or self.is_shorter or self.has_diverged

    @property
    def is_shorter(self) -> bool:
        """Whether it ended too early."""
        return self.text is Text.SHORTER

    @property
    def has_diverged(self) -> bool:
        """Whether the texts differ, and nothing but the texts can be compared."""
        return self.text is Text.DIVERGED and not self.told


def compare(delivered: Reply, other: Reply) -> Comparison:
    """See the module."""
    ours, theirs = (each.text.encode("utf-8", "surrogatepass") for each in (delivered, other))
    same = _same(ours, theirs)
    if len(ours) == same == len(theirs):
        text = Text.SAME
    elif len(ours) == same:
        text = Text.SHORTER
    else:
        text = Text.DIVERGED
    told, drift_nats, is_far = _drift(delivered.tokens, other.tokens)
    return Comparison(text, same, told, drift_nats, is_far, _claims_more(delivered, other, text))


class Judged(StrEnum):
    """What a check comes to."""

    # It is as the model answers.
    RIGHT = "right"
    # It is not, as others say who agree with each other.
    WRONG = "wrong"
    # Nobody can tell whose is the wrong one.
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Other:
    """What another owner's server answered.

    Attributes:
        is_trusted: the operator takes its word.
    """

    reply: Reply
    is_trusted: bool = False


def judge(delivered: Reply, others: Sequence[Other]) -> tuple[Judged, Comparison] | None:
    """What others' answers say of a delivered one; None: one more has to be asked.

    Args:
        others: one, or two, each of an owner who has no other part in it.
    """
    first = compare(delivered, others[0].reply)
    if not first.speaks_against:
        return Judged.RIGHT, first
    if others[0].is_trusted:
        return Judged.WRONG, first
    if len(others) == 1:
        return None
    second = compare(delivered, others[1].reply)
    if not second.speaks_against:
        return Judged.RIGHT, second
    if others[1].is_trusted:
        return Judged.WRONG, second
    if _agree(others[0].reply, others[1].reply):
        return Judged.WRONG, first
    return Judged.UNDECIDED, first


def is_drawn(secret: bytes, request_id: str, permille: int) -> bool:
    """Whether a request's answer is checked: by lot, which nobody knows who has not the secret."""
    digest = hmac.digest(secret, request_id.encode(), hashlib.sha256)
    return int.from_bytes(digest[:8], "big") * 1000 < permille << 64


def _agree(one: Reply, other: Reply) -> bool:
    return not (compare(one, other).speaks_against or compare(other, one).speaks_against)


def _same(ours: bytes, theirs: bytes) -> int:
    for place, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return place
    return min(len(ours), len(theirs))


def _drift(ours: Sequence[Token], theirs: Sequence[Token]) -> tuple[int, float, bool]:
    total, count = 0.0, 0
    contradicts = False
    for one, other in zip(ours, theirs, strict=False):
        if one.text != other.text:
            contradicts = exp(min(0.0, one.logprob)) + exp(min(0.0, other.logprob)) > _BOTH_LIKELY
            break
        total += abs(one.logprob - other.logprob)
        count += 1
    if count < _TOKENS_MIN:
        return 0, 0.0, False
    drift_nats = total / count
    return count, drift_nats, contradicts or drift_nats > DRIFT_MAX_NATS


def _claims_more(delivered: Reply, other: Reply, text: Text) -> bool:
    if other.input_tokens and delivered.input_tokens > _slack(other.input_tokens):
        return True
    if not other.output_tokens:
        return False
    if text is Text.SAME:
        return delivered.output_tokens > _slack(other.output_tokens)
    ours, theirs = (len(each.text.encode("utf-8", "replace")) for each in (delivered, other))
    if theirs < _DENSITY_BYTES_MIN:
        return False
    likely = _DENSITY * ours * other.output_tokens / theirs
    return delivered.output_tokens > likely + _DENSITY_SLACK


def _slack(tokens: int) -> int:
    return tokens + max(_COUNT_SLACK, tokens * _COUNT_PERMILLE // 1000)
