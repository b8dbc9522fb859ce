"""What a coordinator knows of a node beside what the node says itself."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from .fields import MicroUsdc, Permille

# Of a node that has not shown anything yet, good or bad.
NEUTRAL_SCORE_PERMILLE = 500
# A node that starts as fast as its bids say.
PUNCTUAL_PERMILLE = 1000


@dataclass(frozen=True, slots=True)
class Standing:
    """One node's standing.

    Attributes:
        score_permille: reputation from evidence; 1000 is the best.
        stake_micro_usdc: what its provider account has at risk.
        start_factor_permille: how its starts took longer than it had bid: 2000 for twice as long.
    """

    score_permille: Permille = NEUTRAL_SCORE_PERMILLE
    stake_micro_usdc: MicroUsdc = 0
    start_factor_permille: Annotated[int, Meta(ge=1, le=1_000_000)] = PUNCTUAL_PERMILLE


# Of a node that nobody has looked into yet.
UNKNOWN = Standing()
