import msgspec

from neurogrid_marketplace import awarding, orchestration, submission, task_actions
from neurogrid_marketplace.auction import RankedBid
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.key_wait import KEY_LIMIT_MS, needs_key
from neurogrid_marketplace.messages import Result
from neurogrid_marketplace.task import Phase, Task
from neurogrid_marketplace.task_actions import OpenEscrow, SendAward, SendStart, SendStop
from neurogrid_marketplace.task_events import (
    Accepted,
    AuctionClosed,
    CancelRequested,
    Due,
    EscrowOpened,
    Event,
    Finished,
    KeySent,
    TurnCame,
)

from .market import bid, demand

KEY = "ab" * 80


def stepped(task: Task, *events: Event, now_ms: int = 0) -> task_actions.Decision:
    decision = task_actions.Decision(task)
    for event in events:
        decision = orchestration.decide(decision.task, event, now_ms)
    return decision


def awarded(*, sealed: bool = True, bidders: int = 2) -> Task:
    task = submission.submit("task_1", demand(), 0, 3_600_000, sealed=sealed)
    ranking = tuple(
        RankedBid(f"node {number}", bid(10), "0" * 64, 10, 10) for number in range(bidders)
    )
    task = stepped(task, TurnCame()).task
    closed = AuctionClosed(awarding.demand_of(task).demand_id, ranking, "")
    return stepped(task, closed).task


def lease_id(task: Task) -> str:
    assert task.lease is not None
    return task.lease.lease_id


def waiting() -> Task:
    task = awarded()
    return stepped(task, Accepted(lease_id(task), "ab" * 32)).task


def test_a_sealed_task_waits_for_its_key_before_any_money_is_locked() -> None:
    task = awarded()
    decision = stepped(task, Accepted(lease_id(task), "ab" * 32))
    assert (decision.task.phase, decision.actions) == (Phase.STARTING, ())
    assert needs_key(decision.task)
    assert orchestration.due(decision.task, 0) == ()
    sent = stepped(decision.task, KeySent(lease_id(task), KEY))
    assert not needs_key(sent.task)
    assert [type(action) for action in sent.actions] == [OpenEscrow]
    opened = stepped(sent.task, EscrowOpened(lease_id(task)))
    (start,) = opened.actions
    assert isinstance(start, SendStart)
    assert start.lease.wrapped_key == KEY


def test_a_task_without_sealed_inputs_waits_for_nothing() -> None:
    task = awarded(sealed=False)
    decision = stepped(task, Accepted(lease_id(task)))
    assert [type(action) for action in decision.actions] == [OpenEscrow]
    assert stepped(decision.task, KeySent(lease_id(task), KEY)).task == decision.task


def test_a_node_without_a_sealing_key_is_passed_over() -> None:
    task = awarded()
    decision = stepped(task, Accepted(lease_id(task)))
    assert decision.task.phase is Phase.AWARDED
    assert [type(action) for action in decision.actions] == [SendStop, SendAward]


def test_a_key_that_does_not_come_in_time_fails_the_task_and_frees_the_node() -> None:
    task = waiting()
    assert stepped(task, Due(KEY_LIMIT_MS), now_ms=KEY_LIMIT_MS).task == task
    late = KEY_LIMIT_MS + 1
    decision = stepped(task, Due(late), now_ms=late)
    assert decision.task.phase is Phase.FAILED
    assert decision.task.ending is not None
    assert decision.task.ending.code == "KEY_MISSING"
    assert [type(action) for action in decision.actions] == [SendStop]


def test_a_second_key_and_one_for_another_lease_change_nothing() -> None:
    task = waiting()
    assert stepped(task, KeySent("lease_other", KEY)).task == task
    sent = stepped(task, KeySent(lease_id(task), KEY)).task
    assert stepped(sent, KeySent(lease_id(task), "cd" * 80)).task == sent


def test_a_retry_needs_the_key_again() -> None:
    task = waiting()
    task = stepped(task, KeySent(lease_id(task), KEY), EscrowOpened(lease_id(task))).task
    failed = Finished(lease_id(task), Result(Outcome.START_FAILED, -1, "", 0))
    task = stepped(task, failed).task
    assert (task.phase, task.lease) == (Phase.QUEUED, None)
    ranking = (RankedBid("node 9", bid(10), "0" * 64, 10, 10),)
    task = stepped(task, TurnCame()).task
    closed = AuctionClosed(awarding.demand_of(task).demand_id, ranking, "")
    task = stepped(task, closed).task
    assert needs_key(stepped(task, Accepted(lease_id(task), "ab" * 32)).task)


def test_an_unreadable_input_is_its_clients_fault_and_not_tried_again() -> None:
    task = waiting()
    task = stepped(task, KeySent(lease_id(task), KEY), EscrowOpened(lease_id(task))).task
    broken = Finished(lease_id(task), Result(Outcome.INPUT_UNREADABLE, -1, "broken", 0))
    ended = stepped(task, broken).task
    assert ended.phase is Phase.FAILED
    assert ended.cost_micro_usdc == 0


def test_a_task_that_waits_for_its_key_can_be_cancelled() -> None:
    task = waiting()
    decision = stepped(task, CancelRequested())
    assert [type(action) for action in decision.actions] == [SendStop]
    stopped = Finished(lease_id(task), Result(Outcome.CANCELLED, -1, "", 0))
    assert stepped(decision.task, stopped).task.phase is Phase.CANCELLED


def test_a_task_that_was_stored_before_there_were_sealed_ones_is_none() -> None:
    document = msgspec.to_builtins(awarded())
    del document["sealed"], document["lease"]["wrapped_key"]
    assert msgspec.convert(document, Task) == awarded(sealed=False)
