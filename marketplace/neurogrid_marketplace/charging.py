"""What a task is charged in all: what each of its leases comes to, added up.

A lease that has ended well comes to its metered time. Any other comes to the vouchers that were signed
while it ran: they can be redeemed, whatever becomes of it. What its node has not redeemed when the escrow
is closed is taken off again.
"""

from dataclasses import replace

from .task import Lease, Task
from .task_actions import Abandon, Settle


def settle(task: Task, lease: Lease, earned_micro_usdc: int) -> tuple[Task, Settle]:
    """Nothing more will be earned on this lease: the task is charged this, or what is signed."""
    due = max(earned_micro_usdc, lease.signed_micro_usdc)
    return _charge(task, due), Settle(lease, due)


def abandon(task: Task, lease: Lease) -> tuple[Task, Abandon]:
    """The lease's node is lost: the task is charged what is signed."""
    return _charge(task, lease.signed_micro_usdc), Abandon(lease)


def leave_unpaid(task: Task, micro_usdc: int) -> Task:
    """An escrow is closed, and so much of what the task was charged for it was never redeemed."""
    return _charge(task, -micro_usdc)


def _charge(task: Task, micro_usdc: int) -> Task:
    return replace(task, cost_micro_usdc=task.cost_micro_usdc + micro_usdc)
