"""How often an honest node is suspended: too seldom to count, so by a bound and by weighted runs.

By the bound: what suspends is a wrong run of which the node had another, not cleared, among the last
`CLEARED_AFTER` that were compared. Errors that are independent of each other and of the lot make
that ``noise * CLEARED_AFTER * noise`` of all runs at most, however many of them are checked.

By weighted runs (importance sampling): one machine errs far more often than honest ones do, and each
time that suspends it counts as the odds that an honest one had exactly this history. No rule
is simplified for that; it says how far below the bound the market stays.
"""

import math
from dataclasses import dataclass
from statistics import fmean, stdev

from neurogrid_marketplace.reputation import CLEARED_AFTER

from .cheating import NOISE, RIGHT, CheatingMarket, Fleet, SimNode

# Two errors in so many runs, which is what suspends, are then likely.
RAISED_NOISE, RUNS = 2e-3, 1_000
# As many as a check may take, and few, so that each of them has many runs.
_NODES = 8


@dataclass(frozen=True, slots=True)
class Estimate:
    """A part of all runs, with its standard error and how many suspensions it was made of."""

    share: float
    error: float
    seen: int


def bound(noise: float) -> float:
    """Which part of all runs of an honest machine suspends it, at most."""
    return noise * CLEARED_AFTER * noise


def rare(seeds: int, noise: float = NOISE) -> Estimate:
    """The same, by weighted runs."""
    weights = [weighted(seed, noise) for seed in range(seeds)]
    error = stdev(weights) / math.sqrt(seeds)
    return Estimate(fmean(weights) / RUNS, error / RUNS, sum(weight > 0 for weight in weights))


def weighted(seed: int, noise: float) -> float:
    """One history of a machine: 0, or by how much its suspension counts."""
    market = _Unlucky(Fleet(0.0, nodes=_NODES, noise=NOISE), seed)
    market.true_noise = noise
    while market.own_runs < RUNS and not market.odds:
        market.do_next()
    return market.odds


class _Unlucky(CheatingMarket):
    """A market in which the second node, which is no newcomer, errs too often."""

    true_noise = NOISE
    own_runs = own_errors = 0
    odds = 0.0

    def answer(self, node: SimNode) -> str:
        if node is not self.nodes[1]:
            return super().answer(node)
        self.own_runs += 1
        if self.random.random() >= RAISED_NOISE:
            return RIGHT
        self.own_errors += 1
        return "error"

    def on_honest_suspended(self, node: SimNode) -> None:
        if node is self.nodes[1]:
            wrong, right = self.own_errors, self.own_runs - self.own_errors
            noise = self.true_noise
            self.odds = (noise / RAISED_NOISE) ** wrong
            self.odds *= ((1 - noise) / (1 - RAISED_NOISE)) ** right
