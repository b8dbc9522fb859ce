"""When checkpoints are taken, which are kept, and from which a run begins."""

import hashlib
from dataclasses import replace

import pytest

from neurogrid_marketplace import execution, snapshots
from neurogrid_marketplace.checkpoint import Checkpoint, CheckpointPlan
from neurogrid_marketplace.checkpoint_manifest import Manifest, manifest_of, read_manifest
from neurogrid_marketplace.demand import VerifyMode
from neurogrid_marketplace.errors import InvalidValue, MalformedMessage
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.lease import (
    Collected,
    ContainerEnded,
    ContainerRunning,
    NodeLease,
    Ran,
    Reclaim,
    SendCheckpoint,
    SnapshotAsked,
    SnapshotEnded,
    StartReceived,
    Stored,
    TakeSnapshot,
    Tick,
)
from neurogrid_marketplace.messages import Start
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_marketplace.resuming import keep, newest, resumes_from
from neurogrid_marketplace.snapshot_steps import final_number
from neurogrid_marketplace.submission import replica, submit
from neurogrid_marketplace.task import Task
from neurogrid_marketplace.verification import Verification

from .market import demand
from .story import COORDINATOR, JOB, LEASE_ID, evidence

PLAN = CheckpointPlan(interval_s=60, keep=2)
ADDRESS = "1" * 32
AWARD = evidence()[1]
FILES = (OutputFile("a", "1" * 64, 3), OutputFile("b/c", "2" * 64, 4))


def made(sequence: int, size: int = 7) -> Checkpoint:
    return Checkpoint(sequence, f"{sequence:064x}", 2, size)


# --- the node -------------------------------------------------------------------------------------


def running(resumed: Checkpoint | None = None, *, plan: CheckpointPlan | None = PLAN) -> NodeLease:
    """A lease whose job has run since 0."""
    job = replace(JOB, checkpoint=plan)
    award = replace(
        AWARD, job_hash=job.hash(), lease_id=LEASE_ID, timeout_s=10_000, voucher_interval_s=3600
    )
    lease = execution.accept(award, COORDINATOR.peer_id, 10**9, 0, reclaim_window_s=30)
    start = Start(LEASE_ID, job, ADDRESS, ADDRESS, ADDRESS, "http://c", "t", resumed=resumed)
    lease = execution.decide(lease, StartReceived(start), 0).lease
    return execution.decide(lease, ContainerRunning(1), 1).lease


def ticked(lease: NodeLease, at_ms: int) -> tuple[NodeLease, list[int]]:
    """After a tick; the numbers of the checkpoints that it calls for."""
    decision = execution.decide(lease, Tick(), at_ms)
    numbers = [each.number for each in decision.actions if isinstance(each, TakeSnapshot)]
    return decision.lease, numbers


def test_one_is_taken_after_each_interval_of_running_time_and_one_at_a_time() -> None:
    lease, numbers = ticked(running(), 59_000)
    assert numbers == []
    lease, numbers = ticked(lease, 60_002)
    assert numbers == [1]
    # It takes long: none beside it.
    lease, numbers = ticked(lease, 200_000)
    assert numbers == []
    lease = execution.decide(lease, SnapshotEnded(1, made(1)), 200_001).lease
    lease, numbers = ticked(lease, 200_002)
    assert numbers == [2]


def test_a_job_that_asks_gets_one_soon_and_no_more_than_one_in_ten_seconds() -> None:
    lease = execution.decide(running(), SnapshotAsked(), 1_000).lease
    lease, numbers = ticked(lease, 9_000)
    assert numbers == []
    lease, numbers = ticked(lease, 10_002)
    assert numbers == [1]
    lease = execution.decide(lease, SnapshotEnded(1, made(1)), 10_500).lease
    lease = execution.decide(lease, SnapshotAsked(), 10_600).lease
    lease, numbers = ticked(lease, 19_000)
    assert numbers == []
    assert ticked(lease, 20_003)[1] == [2]


def test_a_job_that_is_warned_is_kept_at_once() -> None:
    lease = execution.decide(running(), Reclaim(), 2_000).lease
    assert ticked(lease, 2_001)[1] == [1]


def test_a_job_that_has_asked_for_none_gets_none() -> None:
    lease = execution.decide(running(plan=None), SnapshotAsked(), 1_000).lease
    lease = execution.decide(lease, Reclaim(), 2_000).lease
    assert ticked(lease, 9_999)[1] == []
    ended = Ran(Outcome.EXIT_NONZERO, 1, "", 10_000)
    lease = execution.decide(lease, ContainerEnded(ended), 10_000).lease
    assert final_number(lease) == 0


def test_a_number_is_never_used_twice_and_goes_on_where_the_last_lease_was() -> None:
    lease, numbers = ticked(running(made(5)), 60_002)
    assert numbers == [6]
    lease = execution.decide(lease, SnapshotEnded(6, None), 60_003).lease
    assert lease.snapshots.unsent is None
    lease, numbers = ticked(lease, 120_100)
    assert numbers == [7]
    # What is said of an earlier one changes nothing.
    assert execution.decide(lease, SnapshotEnded(6, made(6)), 120_200).lease == lease


def test_a_restarted_node_takes_the_one_that_was_being_taken_again() -> None:
    lease, _ = ticked(running(), 60_002)
    assert TakeSnapshot(1) in execution.due(lease)
    lease = execution.decide(lease, SnapshotEnded(1, None), 60_003).lease
    assert TakeSnapshot(1) not in execution.due(lease)


def test_what_is_complete_is_said_until_it_is_kept() -> None:
    lease, _ = ticked(running(), 60_002)
    decision = execution.decide(lease, SnapshotEnded(1, made(1)), 60_003)
    (said,) = decision.actions
    assert isinstance(said, SendCheckpoint)
    assert said.message.checkpoint == made(1)
    lease = execution.decide(decision.lease, Stored(1, 0, False, 1), 60_004).lease
    assert lease.snapshots.unsent is None


@pytest.mark.parametrize(
    ("outcome", "number"),
    [(Outcome.EXIT_NONZERO, 2), (Outcome.MEMORY_EXCEEDED, 2), (Outcome.COMPLETED, 0)],
)
def test_what_a_run_left_that_did_not_complete_is_kept_too(outcome: Outcome, number: int) -> None:
    lease, _ = ticked(running(), 60_002)
    lease = execution.decide(lease, SnapshotEnded(1, made(1)), 60_003).lease
    lease = execution.decide(lease, ContainerEnded(Ran(outcome, 1, "", 70_000)), 70_000).lease
    assert lease.phase is LeasePhase.COLLECTING
    assert final_number(lease) == number
    left = made(2) if number else None
    collected = Collected((), "0" * 64, 0, "0" * 64, checkpoint=left)
    lease = execution.decide(lease, collected, 70_001).lease
    result = lease.events[-1].result
    assert result is not None
    assert result.checkpoint == (left or made(1))


def test_an_end_gives_up_what_was_being_taken() -> None:
    lease, _ = ticked(running(), 60_002)
    ended = Ran(Outcome.EXIT_NONZERO, 1, "", 70_000)
    lease = execution.decide(lease, ContainerEnded(ended), 70_000).lease
    assert not lease.snapshots.is_taking
    assert final_number(lease) == 2
    assert execution.decide(lease, SnapshotEnded(1, made(1)), 70_001).lease == lease


def test_a_paused_job_is_not_frozen_for_a_checkpoint() -> None:
    lease = replace(running(), phase=LeasePhase.PAUSED, paused_at_ms=50_000, since_ms=50_000)
    assert ticked(lease, 100_000)[1] == []
    assert snapshots.is_due(lease.snapshots, 60_000)


# --- the coordinator ------------------------------------------------------------------------------


def task_with(plan: CheckpointPlan | None = PLAN, mode: VerifyMode = VerifyMode.NONE) -> Task:
    return submit(
        "task_" + "1" * 32,
        demand(),
        0,
        1,
        verification=Verification(mode, 2 if mode is VerifyMode.QUORUM else 1),
        checkpoint=plan,
    )


def test_the_newest_are_kept_and_the_next_run_begins_from_the_last() -> None:
    task = task_with()
    assert resumes_from(task) is None
    for number in (2, 5, 9):
        task = keep(task, LEASE_ID, made(number), number)
    assert [each.checkpoint.sequence for each in task.checkpoints] == [5, 9]
    assert resumes_from(task) == newest(task) == made(9)


@pytest.mark.parametrize("number", [1, 5])
def test_what_is_not_newer_changes_nothing(number: int) -> None:
    task = keep(task_with(), LEASE_ID, made(5), 0)
    assert keep(task, LEASE_ID, made(number, size=99), 1) == task


def test_nobody_keeps_what_no_job_asked_for() -> None:
    assert keep(task_with(None), LEASE_ID, made(1), 0) == task_with(None)


@pytest.mark.parametrize("mode", [VerifyMode.QUORUM, VerifyMode.SPOT_CHECK])
def test_a_run_that_is_verified_or_verifies_begins_from_nothing(mode: VerifyMode) -> None:
    task = keep(task_with(mode=mode), LEASE_ID, made(1), 0)
    assert newest(task) is not None
    assert resumes_from(task) is None
    further = replica(task, 1, 0)
    assert further.checkpoints == ()
    assert further.checkpoint == PLAN


# --- manifests ------------------------------------------------------------------------------------


def test_a_manifest_reads_back() -> None:
    manifest = manifest_of(FILES[::-1])
    assert read_manifest(manifest.encoded(), manifest.checkpoint(3)) == manifest
    assert manifest.checkpoint(3).size_bytes == 7


@pytest.mark.parametrize(
    "files",
    [FILES[::-1], FILES[:1] * 2, (OutputFile("a", "1" * 64, 3), OutputFile("a/b", "1" * 64, 3))],
)
def test_a_manifest_that_no_folder_can_hold_is_refused(files: tuple[OutputFile, ...]) -> None:
    manifest = Manifest(files)
    with pytest.raises(MalformedMessage):
        read_manifest(manifest.encoded(), manifest.checkpoint(1))


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[1]", b'{"files": [{"path": "../x"}]}', b"9" * 10**6]
)
def test_hostile_manifests_are_refused(data: bytes) -> None:
    named = Checkpoint(1, hashlib.sha256(data).hexdigest(), 0, 0)
    with pytest.raises(MalformedMessage):
        read_manifest(data, named)


def test_a_manifest_is_the_one_that_is_named_in_size_and_number_too() -> None:
    manifest = manifest_of(FILES)
    right = manifest.checkpoint(1)
    for wrong in (
        replace(right, manifest_sha256="0" * 64),
        replace(right, files=1),
        replace(right, size_bytes=8),
    ):
        with pytest.raises(MalformedMessage):
            read_manifest(manifest.encoded(), wrong)


@pytest.mark.parametrize("path", ["/proc", "/tmp/x", "/outputs", "/run/neurogrid", "/inputs/a"])
def test_a_folder_where_something_else_is_is_refused(path: str) -> None:
    with pytest.raises(InvalidValue):
        CheckpointPlan(path)
    CheckpointPlan(path="/data/proc")
