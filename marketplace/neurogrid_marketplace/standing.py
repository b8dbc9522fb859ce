"""What a coordinator knows of a node beside what the node says itself."""

from dataclasses import dataclass

from .fields import PUNCTUAL_PERMILLE, MicroUsdc, Permille, StartFactor

# Of a node that has not shown anything yet, good or bad.
NEUTRAL_SCORE_PERMILLE = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """One node's standing.

    Attributes:
        score_permille: reputation from evidence; 1000 is the best.
        stake_micro_usdc: what its provider account has at risk.
        start_factor_permille: what its word on its starts is multiplied by: 2000 where they took
            twice as long (`calibration`).
        challenged: whether it passed its last challenge, lately (`challenge`).
    """

    score_permille: Permille = NEUTRAL_SCORE_PERMILLE
    stake_micro_usdc: MicroUsdc = 0
    start_factor_permille: StartFactor = PUNCTUAL_PERMILLE
    challenged: bool = False


# Of a node that nobody has looked into yet.
UNKNOWN = Standing()
