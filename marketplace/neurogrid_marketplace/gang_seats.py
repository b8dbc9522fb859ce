"""How a member of a gang comes by a lease, and how it is without one again."""

from dataclasses import replace

from .auction import RankedBid
from .leasing import lease_for
from .membership import Left, Membership, Stage
from .task import Phase, Task, move
from .task_actions import Decision, SendAward


def membership_of(task: Task) -> Membership:
    """Of a task that is known to have one."""
    assert task.membership is not None, "only members of gangs come here"
    return task.membership


def take_seat(
    task: Task, ranked: RankedBid, attempt: int, nodes: tuple[str, ...], now_ms: int
) -> Decision:
    """Offer the lease to the node that has won this rank's seat."""
    lease = lease_for(task, ranked)
    membership = replace(
        membership_of(task),
        attempt=attempt,
        nodes=nodes,
        stage=Stage.GATHERING,
        left=None,
        cost_before_micro_usdc=task.cost_micro_usdc,
    )
    task = replace(task, lease=lease, leases=task.leases + 1, membership=membership)
    return Decision(move(task, Phase.AWARDED, now_ms), (SendAward(lease),))


def leave(task: Task, left: Left, now_ms: int) -> Task:
    """The member without its seat; it waits until none of the others has one, and all begin again."""
    task = replace(
        task,
        lease=None,
        result=None,
        checked=False,
        candidates=(),
        membership=replace(membership_of(task), left=left, stage=Stage.GATHERING),
    )
    return move(task, Phase.WAITING, now_ms)
