"""A devnet market's terms: decided when it is made, and kept by it.

Like `layout`, it imports nothing that is slow to load.
"""

from dataclasses import asdict, dataclass, replace

from .errors import TermsFixed, TermsInvalid

_DAY_S = 86_400
_USDC = 1_000_000
# The program's own limit (state.h).
_WINDOW_MAX_S = 365 * _DAY_S


@dataclass(frozen=True, slots=True)
class Terms:
    """What `MarketTerms` of the contracts says, with a devnet's defaults.

    The windows are short, so that a lost node's escrow comes back while one watches. Unbonding is
    long, because an escrow may last for no longer than it: 30 days is the longest task.
    """

    fee_bps: int = 200
    slash_bps: int = 2_000
    min_stake_micro_usdc: int = 5 * _USDC
    unbonding_window_s: int = 60 * _DAY_S
    grace_window_s: int = 10
    arbitration_window_s: int = 10
    dispute_bond_micro_usdc: int = 1 * _USDC

    def __post_init__(self) -> None:
        for window_s in (self.unbonding_window_s, self.grace_window_s, self.arbitration_window_s):
            if not 1 <= window_s <= _WINDOW_MAX_S:
                raise TermsInvalid(f"a window lasts from 1 second to a year, not {window_s} s")
        if self.unbonding_window_s <= self.grace_window_s + self.arbitration_window_s:
            raise TermsInvalid(
                "unbonding must outlast grace and arbitration together: raise --unbonding-s"
            )


def decide_terms(known: Terms | None, asked: dict[str, int]) -> Terms:
    """The terms to start with: a new devnet takes what is asked for, an old one keeps its own.

    Args:
        known: the terms of a devnet that was made before.
        asked: by the names of `Terms`; what is not asked for is the default, or stays.

    Raises:
        TermsFixed: other terms than it has were asked for.
        TermsInvalid: there can be no such market.
    """
    if known is None:
        return Terms(**asked)
    if replace(known, **asked) != known:
        own = ", ".join(f"{name} {value}" for name, value in asdict(known).items() if name in asked)
        raise TermsFixed(
            f"this devnet's market was made with {own}: its directory has to be a new one for others"
        )
    return known
