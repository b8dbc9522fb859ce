"""How a coordinator challenges nodes, as its operator sets it."""

from dataclasses import dataclass

from neurogrid_marketplace.challenge import Challenge, ChallengeTerms
from neurogrid_marketplace.money import cost_micro_usdc

# Beyond its deadline a challenge's job may run so long: who is late shall be heard, and known for it.
_LATE_S = 60


@dataclass(frozen=True, slots=True)
class ChallengeSettings:
    """What the operator sets.

    Attributes:
        account_id: whose deposit pays; "" for none, and then nobody is challenged.
        per_day: how often each node is challenged by lot, on average; 0: by hand only.
        budget_micro_usdc_per_day: what challenges that nobody asked for may cost.
    """

    account_id: str
    image: str
    terms: ChallengeTerms
    price_micro_usdc_per_hour: int
    per_day: int
    budget_micro_usdc_per_day: int

    def timeout_s(self, challenge: Challenge) -> int:
        """The time limit of its job."""
        return challenge.deadline_ms // 1000 + _LATE_S

    def max_cost_micro_usdc(self, challenge: Challenge) -> int:
        """What it may cost at most."""
        return cost_micro_usdc(self.price_micro_usdc_per_hour, 1000 * self.timeout_s(challenge))
