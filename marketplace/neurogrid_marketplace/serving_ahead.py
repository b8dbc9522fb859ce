"""Answering under a lease for use before its escrow is seen: how far a node goes, and what it remembers where none came. Pure.

An escrow takes a chain a second or more, and a client's first answer need not wait for that: the node's owner lets clients be
ahead of their vouchers anyway. What all unfunded leases of one coordinator come to together is bounded, and what was never
paid counts against that bound for a day, so a coordinator that opens no escrows gets the bound once a day, and no more.
"""

from dataclasses import dataclass, replace
from typing import Final

from .lease import NodeLease
from .offer import LeasePhase

LOSS_KEPT_MS: Final = 24 * 3_600_000
_BEFORE: Final = (LeasePhase.ACCEPTED, LeasePhase.PREPARING)


@dataclass(frozen=True, slots=True)
class Loss:
    """What a coordinator's leases were served whose escrow never came.

    Attributes:
        since_ms: when the first of it was lost; a day later it is forgotten.
    """

    micro_usdc: int = 0
    since_ms: int = 0

    def at(self, now_ms: int) -> int:
        """How much of it counts now."""
        return self.micro_usdc if now_ms - self.since_ms < LOSS_KEPT_MS else 0

    def more(self, micro_usdc: int, now_ms: int) -> "Loss":
        """The same, when so much more is lost."""
        if not self.at(now_ms):
            return Loss(micro_usdc, now_ms)
        return replace(self, micro_usdc=self.micro_usdc + micro_usdc)


NO_LOSS: Final = Loss()


def is_ahead(lease: NodeLease) -> bool:
    """Whether a lease for use waits for its escrow, and may be served meanwhile."""
    return lease.use is not None and lease.phase in _BEFORE and lease.stop_reason is None


def never_came(lease: NodeLease) -> bool:
    """Whether a lease has ended before its escrow was seen."""
    return not lease.started_at_ms


def takes_ahead(unfunded_micro_usdc: int, lost_micro_usdc: int, limit_micro_usdc: int) -> bool:
    """Whether a request is taken under a lease whose escrow is not seen yet.

    Args:
        unfunded_micro_usdc: what all such leases of its coordinator have been served so far, this one's included.
        lost_micro_usdc: what earlier ones were, and nobody paid.
        limit_micro_usdc: the most that both may come to; 0: nobody is served ahead.
    """
    return unfunded_micro_usdc + lost_micro_usdc < limit_micro_usdc


def must_wait_ahead(unfunded_micro_usdc: int, lost_micro_usdc: int, limit_micro_usdc: int) -> bool:
    """Whether nothing more is passed on under such a lease until its escrow is seen; see `takes_ahead`."""
    return unfunded_micro_usdc + lost_micro_usdc > limit_micro_usdc
