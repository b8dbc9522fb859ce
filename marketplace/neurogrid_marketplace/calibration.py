"""How far a node's word about its starts can be relied on: predicted against what was seen.

A bid says how soon the job would run, and a quick start wins against a lower price. So the word is
held against the coordinator's own clock, and what a node says is multiplied by its factor: the mean
of (what it took / what was said) over its last starts, at least one. Whoever says a constant part
of the truth gets the inverse of that part as factor, and is counted with the truth again. Whoever
understates now and then loses more by the greater factor of all its other bids than it gains; and
coming early earns no credit (docs/adr/0018-start-factor.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .fields import PUNCTUAL_PERMILLE, START_FACTOR_MAX_PERMILLE

# Starts that count: recent enough to follow a machine that has changed.
STARTS_KEPT = 32
# Until there are so many, the rest is taken to have been punctual: one slow start is no habit.
STARTS_TRUSTED = 8


@dataclass(frozen=True, slots=True)
class MeasuredStart:
    """One start of a container.

    Attributes:
        predicted_ms: `Bid.start_ms`.
        actual_ms: by the coordinator's clock, from the open escrow to the report that it runs.
    """

    predicted_ms: int
    actual_ms: int


def start_factor_permille(starts: Sequence[MeasuredStart]) -> int:
    """What a node's word is multiplied by; 1000: it starts as fast as it says.

    Args:
        starts: the last ones, at most `STARTS_KEPT` count; the latest come last.
    """
    counted = starts[-STARTS_KEPT:]
    unknown = max(0, STARTS_TRUSTED - len(counted))
    # Rounded up: a node that understates must not gain a fraction of a permille.
    ratios = sum(
        -(-PUNCTUAL_PERMILLE * start.actual_ms // max(1, start.predicted_ms)) for start in counted
    )
    mean = -(-(ratios + unknown * PUNCTUAL_PERMILLE) // (len(counted) + unknown))
    return min(max(mean, PUNCTUAL_PERMILLE), START_FACTOR_MAX_PERMILLE)


def calibrated_ms(start_ms: int, factor_permille: int) -> int:
    """What a bid's time to start counts as. Nobody starts in no time: 0 counts as 1."""
    return -(-max(1, start_ms) * factor_permille // PUNCTUAL_PERMILLE)
