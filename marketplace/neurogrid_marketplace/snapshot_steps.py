"""The steps of a lease that are about checkpoints, by the rules of `snapshots`. Part of `execution`."""

from dataclasses import replace

from . import snapshots
from .checkpoint import CheckpointPlan
from .lease import LeaseAction, NodeLease, SendCheckpoint, SnapshotEnded, TakeSnapshot
from .messages import CheckpointTaken
from .offer import LeasePhase


def plan_of(lease: NodeLease) -> CheckpointPlan | None:
    """The checkpoints that its job has asked for."""
    return lease.start.job.checkpoint if lease.start else None


def wanted(lease: NodeLease) -> tuple[LeaseAction, ...]:
    """What is to be taken (again, after a restart)."""
    return (TakeSnapshot(lease.snapshots.number),) if lease.snapshots.is_taking else ()


def unsent(lease: NodeLease) -> tuple[LeaseAction, ...]:
    """What the coordinator has to be told (again) while the job runs; its result tells of the last."""
    last = lease.snapshots.unsent
    if last is None or lease.phase not in (LeasePhase.RUNNING, LeasePhase.PAUSED):
        return ()
    return (SendCheckpoint(CheckpointTaken(lease.lease_id, last)),)


def final_number(lease: NodeLease) -> int:
    """The number of the checkpoint of what its run has left; 0 if none is to be taken."""
    ran = lease.ran
    if ran is None or plan_of(lease) is None:
        return 0
    if not snapshots.is_kept_at_end(ran.outcome, lease.started_at_ms):
        return 0
    return lease.snapshots.number + 1


def on_time(lease: NodeLease, run_ms: int) -> tuple[NodeLease, tuple[LeaseAction, ...]]:
    """A running job has come so far: begin one if it is due."""
    plan = plan_of(lease)
    if plan is None or not snapshots.is_due(lease.snapshots, run_ms):
        return lease, ()
    lease = replace(lease, snapshots=snapshots.begun(lease.snapshots, plan, run_ms))
    return lease, wanted(lease)


def on_asked(lease: NodeLease) -> NodeLease:
    """The job wants one."""
    if plan_of(lease) is None:
        return lease
    return replace(lease, snapshots=snapshots.asked(lease.snapshots))


def on_ended(lease: NodeLease, event: SnapshotEnded) -> tuple[NodeLease, tuple[LeaseAction, ...]]:
    """One that was being taken is complete, or does not exist."""
    after = snapshots.taken(lease.snapshots, event.number, event.checkpoint)
    lease = replace(lease, snapshots=after)
    return lease, unsent(lease)
