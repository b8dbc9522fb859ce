"""What the operator says of checks of models' answers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """See the module.

    Attributes:
        percent: of the answers that can be compared, so many are; 0: none.
        account: who asks again, and pays for it: an account's id or wallet.
        budget_micro_usdc_per_day: what that may cost at most.
        trusted: nodes, or owners' wallets, whose word is taken; they are asked first.
        within_s: asked again at a moment by chance within so long.
    """

    percent: int = 0
    account: str = ""
    budget_micro_usdc_per_day: int = 1_000_000
    trusted: tuple[str, ...] = ()
    within_s: int = 60
