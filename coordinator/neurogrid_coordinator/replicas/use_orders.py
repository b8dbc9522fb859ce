"""A lease for use as a task: what a client's account pays by for asking one replica. Pure."""

from typing import Final

from neurogrid_marketplace.conditions import Clause, Condition, Operator
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.serving import Use
from neurogrid_marketplace.task import Task

from ..services.submission import Submission

# Its node answers in a moment, or has no such replica any more: nobody else can take it.
_QUEUE_TIMEOUT_S: Final = 10
_PRIORITY: Final = 10
# All that it uses is its replica's.
_NEEDS_NOTHING: Final = Requirements(cpu_millis=0, memory_bytes=0, disk_bytes=0)


def use_submission(
    replica: Task,
    *,
    max_cost_micro_usdc: int,
    timeout_s: int,
    idle_s: int,
    idempotency_key: str | None = None,
) -> Submission | None:
    """One more lease for the use of a replica; None where that one does not run, or is not asked by such leases.

    Args:
        max_cost_micro_usdc: what its escrow holds: when nearly all of that is used up, the next is opened.
        idle_s: without a request for so long, its node ends it.
    """
    lease, serves = replica.lease, replica.demand.serves
    if lease is None or serves is None or lease.unit_prices is None or not lease.started_at_ms:
        return None
    return Submission(
        image=replica.demand.image,
        max_price_micro_usdc_per_hour=0,
        timeout_s=timeout_s,
        requirements=_NEEDS_NOTHING,
        queue_timeout_s=_QUEUE_TIMEOUT_S,
        name=f"use of {serves.model}",
        priority=_PRIORITY,
        where=(Clause((Condition("node.id", Operator.EQUAL, (lease.node_id,)),)),),
        use=Use(lease.lease_id, serves.model, lease.unit_prices, max_cost_micro_usdc, idle_s),
        idempotency_key=idempotency_key,
    )
