from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace import dependencies, orchestration, submission
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import InputFile, Job, OutputFile
from neurogrid_marketplace.messages import Result
from neurogrid_marketplace.needs import Circular, Needs, OutputWanted, in_order
from neurogrid_marketplace.task import Ending, Phase, Task
from neurogrid_marketplace.task_events import (
    CancelRequested,
    DependencyUnmet,
    Due,
    InputsFixed,
    TurnCame,
)

from .market import demand

DRAFT = Job("image:1", ("run",), inputs=(InputFile("z.txt", "e" * 64, 7),))
MODEL = OutputFile("model.bin", "a" * 64, 100)


def needed(task_id: str, phase: Phase, *outputs: OutputFile) -> Task:
    task = submission.submit(task_id, demand(), 0, 60_000)
    result = Result(Outcome.COMPLETED, 0, "", 1, outputs) if phase is Phase.COMPLETED else None
    return replace(task, phase=phase, result=result, ending=Ending(phase.value.upper(), ""))


def waiting(*task_ids: str, outputs: tuple[OutputWanted, ...] = ()) -> Task:
    needs = Needs(task_ids, outputs, 1)
    return submission.submit("task_w", demand(job_hash=DRAFT.hash()), 0, 60_000, needs)


def test_a_task_is_queued_with_the_last_that_it_needs_and_its_inputs_are_fixed_then() -> None:
    wanted = (OutputWanted("in/model", "task_a", "model.bin"),)
    task = waiting("task_a", "task_b", outputs=wanted)
    assert task.phase is Phase.WAITING
    a = needed("task_a", Phase.COMPLETED, MODEL)
    running = {"task_a": a, "task_b": needed("task_b", Phase.RUNNING)}
    assert dependencies.look(task, DRAFT, running) is None
    assert dependencies.waiting_on(running) == "Waits for task_b."
    event = dependencies.look(task, DRAFT, running | {"task_b": needed("task_b", Phase.COMPLETED)})
    assert isinstance(event, InputsFixed)
    assert event.job.inputs == (InputFile("in/model", MODEL.sha256, 100), DRAFT.inputs[0])
    queued = orchestration.decide(task, event, 5_000).task
    assert queued.phase is Phase.QUEUED
    # Its time in the queue begins now, and its demand is for the job that it will really run.
    assert queued.queue_until_ms == 5_000 + 60_000
    assert queued.demand.job_hash == event.job.hash() != task.demand.job_hash
    assert queued.demand.input_bytes == 107
    # Told twice, nothing more happens.
    assert orchestration.decide(queued, event, 9_000).task == queued


@pytest.mark.parametrize(
    ("phase", "code", "words"),
    [
        (Phase.FAILED, "DEPENDENCY_FAILED", "has failed (FAILED)"),
        (Phase.EXPIRED, "DEPENDENCY_FAILED", "has expired (EXPIRED)"),
        (Phase.CANCELLED, "DEPENDENCY_CANCELLED", "has been cancelled (CANCELLED)"),
    ],
)
def test_a_task_ends_with_the_first_that_it_can_not_have(
    phase: Phase, code: str, words: str
) -> None:
    task = waiting("task_a", "task_b")
    others = {"task_a": needed("task_a", Phase.RUNNING), "task_b": needed("task_b", phase)}
    event = dependencies.look(task, DRAFT, others)
    assert isinstance(event, DependencyUnmet)
    assert event.code == code
    assert "task_b" in event.message
    assert words in event.message
    ended = orchestration.decide(task, event, 5_000).task
    assert ended.phase is Phase.FAILED
    assert ended.ending == Ending(code, event.message)
    assert ended.cost_micro_usdc == 0


def test_an_output_that_was_not_left_is_named_with_those_that_were() -> None:
    task = waiting("task_a", "task_b", outputs=(OutputWanted("model", "task_a", "modell.bin"),))
    others = {
        "task_a": needed("task_a", Phase.COMPLETED, MODEL, OutputFile("log.txt", "b" * 64, 1)),
        "task_b": needed("task_b", Phase.QUEUED),
    }
    event = dependencies.look(task, DRAFT, others)
    assert isinstance(event, DependencyUnmet)
    assert event.code == "OUTPUT_MISSING"
    assert "no 'modell.bin'" in event.message
    assert "it left 'log.txt', 'model.bin'" in event.message
    others["task_a"] = needed("task_a", Phase.COMPLETED)
    nothing = dependencies.look(task, DRAFT, others)
    assert isinstance(nothing, DependencyUnmet)
    assert "it left nothing" in nothing.message


def test_a_waiting_task_is_neither_swept_nor_given_a_turn_and_can_be_cancelled() -> None:
    task = waiting("task_a")
    for event in (Due(10**12), TurnCame()):
        decision = orchestration.decide(task, event, 10**12)
        assert decision.task == task
        assert decision.actions == ()
    assert orchestration.decide(task, CancelRequested(), 1).task.phase is Phase.CANCELLED


def test_what_a_running_task_needed_does_not_matter_any_more() -> None:
    task = replace(waiting("task_a"), phase=Phase.QUEUED)
    assert orchestration.decide(task, DependencyUnmet("X", ""), 1).task == task


def test_a_circle_is_named_along_its_tasks() -> None:
    with pytest.raises(Circular) as refused:
        in_order({"a": ["b"], "b": ["c", "elsewhere"], "c": ["a"], "d": []})
    names = refused.value.names
    assert names[0] == names[-1]
    assert set(names) == {"a", "b", "c"}


@given(
    st.dictionaries(
        st.integers(0, 30), st.sets(st.integers(0, 40), max_size=5), min_size=1, max_size=30
    )
)
def test_an_order_has_everybody_once_after_what_they_need(graph: dict[int, set[int]]) -> None:
    # Needing smaller numbers alone, they can't form a circle.
    named = {
        str(name): [str(needed) for needed in needs if needed < name]
        for name, needs in graph.items()
    }
    order = in_order(named)
    assert sorted(order) == sorted(named)
    for place, name in enumerate(order):
        assert set(named[name]) & set(named) <= set(order[:place])
