"""What stays of a lease that is over: a line for its owner. Pure."""

from dataclasses import dataclass

from neurogrid_marketplace.lease import NodeLease

# About 400 kB; what was earned is counted and proven elsewhere.
PAST_KEPT = 1000
NEVER_RAN = "never ran"


@dataclass(frozen=True, slots=True)
class PastLease:
    """A lease that is over.

    Attributes:
        coordinator: its peer id.
        image: "" if the job never came.
        outcome: how it ended, by the coordinator's or the node's word; `NEVER_RAN` if nothing began.
        started_at_ms: 0 if it never ran.
        ended_at_ms: when it was forgotten, its money settled.
        voucher_micro_usdc: the last promise that came, fees included.
        transaction: that closed its escrow, "" if there was none.
        earned_micro_usdc: what that brought.
    """

    lease_id: str
    coordinator: str
    image: str
    outcome: str
    started_at_ms: int
    ended_at_ms: int
    metered_ms: int
    price_micro_usdc_per_hour: int
    voucher_micro_usdc: int
    transaction: str
    earned_micro_usdc: int = 0


def past(lease: NodeLease, now_ms: int) -> PastLease:
    """What stays of this one; what it has earned stands in the journal beside it."""
    result = lease.events[-1].result if lease.events else None
    return PastLease(
        lease_id=lease.lease_id,
        coordinator=lease.coordinator,
        image=lease.start.job.image if lease.start else "",
        outcome=result.outcome if result else lease.stop_reason or NEVER_RAN,
        started_at_ms=lease.started_at_ms,
        ended_at_ms=now_ms,
        metered_ms=result.metered_ms if result else 0,
        price_micro_usdc_per_hour=lease.award.price_micro_usdc_per_hour,
        voucher_micro_usdc=lease.voucher.cumulative_micro_usdc if lease.voucher else 0,
        transaction=lease.claim_transaction,
    )
