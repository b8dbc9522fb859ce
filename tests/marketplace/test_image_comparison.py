"""What a client's own image is shown, and what its answers mean."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.comparator import Comparator, ComparatorKind
from neurogrid_marketplace.demand import Demand, VerifyMode
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.image_comparison import (
    ANSWER_BYTES_MAX,
    FILES_MAX,
    NoVerdict,
    answer_file,
    comparison,
    read_answer,
    to_show,
)
from neurogrid_marketplace.job import MAX_INPUTS, OutputFile
from neurogrid_marketplace.messages import Result
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.submission import submit
from neurogrid_marketplace.verification import RUNS_MAX, Verdict, Verification, replica_id

IMAGE = Comparator(ComparatorKind.IMAGE, image="mine/compare:1", command=("cmp",), timeout_s=60)
QUORUM = Verification(VerifyMode.QUORUM, 3, IMAGE)
TASK_ID = "task_" + "0" * 32
DEMAND = Demand(
    demand_id="demand_" + "0" * 32,
    job_hash="0" * 64,
    requirements=Requirements(gpu_count=1, regions=("eu",)),
    image="neurogrid/job:1",
    input_bytes=0,
    max_price_micro_usdc_per_hour=3_600_000,
    timeout_s=10,
    bid_window_ms=250,
    voucher_interval_s=30,
    dead_after_s=45,
    verify=VerifyMode.QUORUM,
    comparator=IMAGE,
    finish_by_ms=5,
)


def result(*files: str, outcome: Outcome = Outcome.COMPLETED, exit_code: int = 0) -> Result:
    """A file is its path and, behind "=", a digit that stands for its content."""
    outputs = tuple(OutputFile(name[:-2], name[-1] * 64, 10) for name in files)
    return Result(outcome, exit_code, "", 1000, outputs=outputs)


def test_all_results_of_completed_runs_are_shown_where_their_bytes_differ() -> None:
    answers = {
        "a": result("out=1"),
        "b": result(outcome=Outcome.EXIT_NONZERO, exit_code=1),
        "c": result("out=2"),
        "d": result(*(f"{n}=1" for n in range(FILES_MAX + 1))),
        "e": result("/".join(["x" * 100] * 5) + "/" + "y" * 5 + "=1"),
    }
    assert to_show(answers) == ("a", "c")
    assert to_show({"a": result("out=1"), "b": result("out=1")}) == ()
    assert to_show({"a": result("out=1"), "b": answers["b"]}) == ()
    assert to_show({"b": answers["b"], "d": answers["d"]}) == ()
    assert FILES_MAX * RUNS_MAX <= MAX_INPUTS


def test_the_image_gets_a_folder_for_each_run_and_runs_where_the_task_might() -> None:
    task = submit(TASK_ID, DEMAND, 5, 1000, verification=QUORUM)
    shown = {TASK_ID: result("a/b=1"), replica_id(TASK_ID, 1): result("a/b=2", "c=3")}
    made, job = comparison(task, shown, 7)
    assert [(item.path, item.sha256[0]) for item in job.inputs] == [
        ("0/a/b", "1"),
        ("1/a/b", "2"),
        ("1/c", "3"),
    ]
    assert (job.image, job.command, job.environment) == ("mine/compare:1", ("cmp",), {"RUNS": "2"})
    demand = made.demand
    assert (demand.job_hash, demand.input_bytes, demand.timeout_s) == (job.hash(), 30, 60)
    assert (demand.verify, demand.comparator, demand.finish_by_ms) == (VerifyMode.NONE, None, 0)
    assert demand.requirements == Requirements(memory_bytes=1024**3, regions=("eu",))
    assert (made.belongs_to, made.compares, made.verdict) == (TASK_ID, tuple(shown), Verdict.NONE)
    assert not made.awaits_verdict
    assert made.task_id not in shown
    # 3 runs of 10 s and one comparison of 60 s, at 1,000 micro-USDC a second.
    assert QUORUM.held_micro_usdc(DEMAND) == 90_000


SHOWN = [result("out=1"), result("out=2"), result("out=3")]


@pytest.mark.parametrize(
    ("answer", "exit_code", "same"),
    [
        (None, 0, [(0, 1), (0, 2), (1, 2)]),
        (None, 1, []),
        (b"[[0, 2], [1]]", 0, [(0, 2)]),
        (b"[[1, 2]]", 0, [(1, 2)]),
        (b"[]", 0, []),
    ],
)
def test_it_answers_as_diff_does_or_with_lists(
    answer: bytes | None, exit_code: int, same: list[tuple[int, int]]
) -> None:
    outcome = Outcome.EXIT_NONZERO if exit_code else Outcome.COMPLETED
    said = read_answer(result(outcome=outcome, exit_code=exit_code), answer, SHOWN)
    pairs = [(n, m) for m in range(3) for n in range(m) if said(SHOWN[n], SHOWN[m])]
    assert sorted(pairs) == same
    assert all(said(each, each) for each in SHOWN)


def test_what_it_was_not_shown_is_the_same_as_its_own_bytes_alone() -> None:
    everything = read_answer(result(), None, SHOWN)
    other = result("other=1")
    assert not everything(SHOWN[0], other)
    assert everything(other, result("other=1"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "no lists"),
        (b'{"agree": true}', "no lists"),
        (b"[[0, 1], [1]]", "twice"),
        (b"[[0, 0]]", "twice"),
        (b"[[3]]", "is not"),
        (b"[[-1]]", "is not"),
        (b"[" * 4000, "no lists"),
    ],
)
def test_an_answer_that_cannot_be_is_none(answer: bytes, words: str) -> None:
    with pytest.raises(NoVerdict, match=words):
        read_answer(result(), answer, SHOWN)


@given(st.binary(max_size=ANSWER_BYTES_MAX))
def test_no_answer_does_worse_than_to_be_none(answer: bytes) -> None:
    try:
        said = read_answer(result(), answer, SHOWN)
    except NoVerdict:
        return
    assert said(SHOWN[0], SHOWN[1]) == said(SHOWN[1], SHOWN[0])


@pytest.mark.parametrize(
    ("outcome", "exit_code"),
    [(Outcome.EXIT_NONZERO, 2), (Outcome.TIME_EXCEEDED, -1), (Outcome.CANCELLED, -1)],
)
def test_an_image_that_fails_says_nothing(outcome: Outcome, exit_code: int) -> None:
    with pytest.raises(NoVerdict, match=outcome.value):
        read_answer(result(outcome=outcome, exit_code=exit_code), None, SHOWN)


def test_the_answer_is_in_one_small_file() -> None:
    assert answer_file(result("log=1")) is None
    assert answer_file(result("agree.json=1")) == OutputFile("agree.json", "1" * 64, 10)
    large = OutputFile("agree.json", "1" * 64, ANSWER_BYTES_MAX + 1)
    with pytest.raises(NoVerdict, match="4096"):
        answer_file(Result(Outcome.COMPLETED, 0, "", 1, outputs=(large,)))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"kind": ComparatorKind.IMAGE, "image": "a"}, "time limit"),
        ({"kind": ComparatorKind.IMAGE, "timeout_s": 1}, "names an image"),
        ({"image": "a"}, "an image's comparator only"),
        (
            {"kind": ComparatorKind.IMAGE, "image": "a", "timeout_s": 1, "relative": "1e-6"},
            "numeric comparator only",
        ),
    ],
)
def test_parts_that_do_not_go_together_are_refused(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        Comparator(**parts)
