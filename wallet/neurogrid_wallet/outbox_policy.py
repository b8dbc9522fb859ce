"""How eagerly an outbox works: pace, bounds and fees."""

from dataclasses import dataclass, field

from neurogrid_wallet.fees import FeePolicy
from neurogrid_wallet.transactions import ComputeBudget


@dataclass(frozen=True, slots=True)
class OutboxPolicy:
    """How eagerly the outbox asks, and how much it holds.

    The defaults suit a local ledger or a node of one's own. A public endpoint allows 40 calls of
    one method in 10 s: give ``poll_first_s=0.5`` there.

    Attributes:
        compute: the budget of payments that bring none.
        poll_first_s: the wait before the first look at a new payment.
        poll_growth: each wait is this many times the one before.
        poll_max_s: the longest wait between looks while something may land at any moment.
        check_interval_s: how often everything undecided is looked at, and sent again.
        in_flight_max: how many signed payments may be undecided at a time.
        undecided_max: how many payments may wait in all; more are refused.
        sends_max: how many sends may be under way at a time.
        fees: what going first may cost.
        two_endpoints_from_micro_usdc: payments of at least this much are decided only when two
            endpoints agree; None: never.
    """

    compute: ComputeBudget = field(default_factory=ComputeBudget)
    poll_first_s: float = 0.005
    poll_growth: float = 1.5
    poll_max_s: float = 0.5
    check_interval_s: float = 2.0
    in_flight_max: int = 256
    undecided_max: int = 10_000
    sends_max: int = 8
    fees: FeePolicy = field(default_factory=FeePolicy)
    two_endpoints_from_micro_usdc: int | None = None
