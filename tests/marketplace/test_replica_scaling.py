"""How many replicas there should be; with a small market in which replicas take their time."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.replica_scaling import (
    REPLICAS_MAX,
    Load,
    Need,
    Plan,
    ReplicaLimits,
    Standing,
    again_after_ms,
    needed,
    plan,
)

DAY_MS = 24 * 3_600_000
LEAD_MS = 600_000
LIMITS = ReplicaLimits(0, 4, concurrency=2, idle_s=60)


def standing(name: str, **changes: object) -> Standing:
    whole = Standing(name, ready=True, leaving=False, at_work=0, ends_at_ms=DAY_MS)
    return replace(whole, **changes)  # type: ignore[arg-type]  # a test's own names


@pytest.mark.parametrize(
    ("load", "count"),
    [
        (Load(), 0),
        (Load(waiting=1), 1),
        (Load(at_work=2), 1),
        (Load(waiting=1, at_work=2), 2),
        (Load(waiting=1000), 4),
    ],
)
def test_as_many_are_needed_as_requests_fill(load: Load, count: int) -> None:
    assert needed(LIMITS, load) == count


def test_answers_that_begin_late_need_one_more_than_there_are_ready() -> None:
    limits = replace(LIMITS, first_byte_goal_ms=500)
    slow = Load(at_work=2, ready=2, first_byte_ms=501)
    assert needed(limits, slow) == 3
    assert needed(limits, replace(slow, first_byte_ms=500)) == 1
    assert needed(LIMITS, slow) == 1, "no goal"
    assert needed(limits, replace(slow, at_work=0)) == 0, "nobody asks"
    assert needed(limits, replace(slow, ready=0)) == 1, "none has shown how late it is"


def test_the_last_one_goes_when_nobody_has_asked_for_the_idle_time() -> None:
    need = Need().seen(LIMITS, Load(waiting=1), 0)
    assert need.wanted(LIMITS, 59_999) == 1
    assert need.wanted(LIMITS, 60_000) == 0
    assert need.wanted(replace(LIMITS, least=1), 60_000) == 1


def test_each_further_one_goes_when_it_was_not_needed_for_that_long() -> None:
    need = Need().seen(LIMITS, Load(waiting=7), 0)
    assert need.wanted(LIMITS, 0) == 4
    need = need.seen(LIMITS, Load(at_work=3), 30_000)
    assert need.wanted(LIMITS, 59_999) == 4
    assert need.wanted(LIMITS, 60_000) == 2
    assert need.wanted(LIMITS, 90_000) == 0


loads = st.builds(
    Load,
    waiting=st.integers(0, 40),
    at_work=st.integers(0, 16),
    ready=st.integers(0, 8),
    first_byte_ms=st.integers(0, 5000),
)
limits = st.builds(
    lambda least, more, concurrency, idle_s, goal: ReplicaLimits(
        least, least + more, concurrency, idle_s, goal
    ),
    st.integers(0, 3),
    st.integers(0, 5),
    st.integers(1, 8),
    st.integers(1, 600),
    st.sampled_from([0, 1000]),
)


@given(limits, st.lists(st.tuples(st.integers(0, 120_000), loads), max_size=30))
def test_wanted_is_between_the_limits_and_what_was_wanted_is_so_for_the_idle_time(
    bounds: ReplicaLimits, course: list[tuple[int, Load]]
) -> None:
    need, now_ms = Need(), 0
    raised: list[tuple[int, int]] = []
    for step_ms, load in course:
        now_ms += step_ms
        need = need.seen(bounds, load, now_ms)
        wanted = need.wanted(bounds, now_ms)
        assert bounds.least <= needed(bounds, load) <= wanted <= bounds.most
        raised.append((now_ms, needed(bounds, load)))
        for at_ms, count in raised:
            if now_ms - at_ms < 1000 * bounds.idle_s:
                assert wanted >= count, "what begins is wanted for at least the idle time"
        assert list(need.last_ms) == sorted(need.last_ms, reverse=True)
        assert len(need.last_ms) <= bounds.most


def test_nothing_is_to_be_done_where_all_is_as_it_should_be() -> None:
    assert plan([], 0, 0, LEAD_MS) == Plan()
    assert plan([standing("a"), standing("b", at_work=2)], 2, 0, LEAD_MS) == Plan()


def test_more_are_begun_and_the_least_useful_go() -> None:
    assert plan([standing("a")], 3, 0, LEAD_MS) == Plan(begin=2)
    there = [standing("a", at_work=1), standing("b"), standing("c", ready=False)]
    assert plan(there, 1, 0, LEAD_MS) == Plan(leave=("b", "c"), end=("b", "c"))
    assert plan(there, 0, 0, LEAD_MS) == Plan(leave=("a", "b", "c"), end=("b", "c"))


def test_one_that_leaves_is_ended_once_it_works_at_nothing_and_stays_where_it_is_needed() -> None:
    leaving = standing("a", leaving=True, at_work=1)
    assert plan([leaving], 0, 0, LEAD_MS) == Plan()
    assert plan([replace(leaving, at_work=0)], 0, 0, LEAD_MS) == Plan(end=("a",))
    assert plan([leaving], 1, 0, LEAD_MS) == Plan(stay=("a",))


def test_a_successor_is_begun_before_the_time_is_over_and_takes_over_when_it_is_ready() -> None:
    old = standing("old", ends_at_ms=LEAD_MS)
    assert plan([old], 1, 0, LEAD_MS) == Plan(begin=1)
    new = standing("new", ready=False)
    assert plan([old, new], 1, 0, LEAD_MS) == Plan()
    ready = replace(new, ready=True)
    assert plan([old, ready], 1, 0, LEAD_MS) == Plan(leave=("old",), end=("old",))
    busy = replace(old, at_work=1)
    assert plan([busy, ready], 1, 0, LEAD_MS) == Plan(leave=("old",))


standings = st.lists(
    st.builds(
        Standing,
        replica_id=st.text("abcdef", min_size=3, max_size=3),
        ready=st.booleans(),
        leaving=st.booleans(),
        at_work=st.integers(0, 2),
        ends_at_ms=st.integers(0, 2 * LEAD_MS),
    ),
    max_size=8,
    unique_by=lambda each: each.replica_id,
)


@settings(max_examples=60)
@given(standings, st.integers(0, 6))
def test_a_plan_that_is_carried_out_is_followed_by_none(there: list[Standing], wanted: int) -> None:
    made = plan(there, wanted, 0, LEAD_MS)
    assert len(there) + made.begin <= max(len(there), 2 * wanted)
    assert not set(made.leave) & set(made.stay)
    names = {each.replica_id: each for each in there}
    assert all(names[name].at_work == 0 for name in made.end)
    after = [
        replace(
            each,
            leaving=(each.leaving or each.replica_id in made.leave)
            and each.replica_id not in made.stay,
        )
        for each in there
        if each.replica_id not in made.end
    ]
    after += [standing(f"new {n}", ready=False, ends_at_ms=2 * LEAD_MS) for n in range(made.begin)]
    again = plan(after, wanted, 0, LEAD_MS)
    # Where more were there than may be, the next ones are begun when those have gone.
    full = len(there) + made.begin >= 2 * wanted and made.end
    assert again == (replace(Plan(), begin=again.begin) if full else Plan())
    serving = sum(each.ready for each in there if each.ends_at_ms > 0)
    still = sum(each.ready for each in after if not each.leaving and each.ends_at_ms > 0)
    assert still >= min(wanted, serving), "who serves goes only where others do"


def test_what_does_not_become_ready_is_tried_again_more_and_more_seldom() -> None:
    pauses = [again_after_ms(failures) for failures in range(12)]
    assert pauses[:4] == [0, 1_000, 2_000, 4_000]
    assert pauses[-1] == again_after_ms(10**9) == 600_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"least": 2, "most": 1},
        {"least": -1},
        {"most": REPLICAS_MAX + 1},
        {"concurrency": 0},
        {"idle_s": 0},
    ],
)
def test_limits_that_contradict_each_other_are_none(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidValue, match="replicas:"):
        ReplicaLimits(**wrong)


@given(
    st.lists(st.integers(0, 12), min_size=20, max_size=60),
    st.integers(1, 8),
    st.integers(1, 3),
)
def test_a_small_market_serves_everybody_and_comes_to_rest(
    arrivals: list[int], start_steps: int, concurrency: int
) -> None:
    """Steps of five seconds; a request takes two of them, a replica some to become ready."""
    bounds = ReplicaLimits(0, 4, concurrency, idle_s=60)
    need, waiting = Need(), 0
    there: list[
        tuple[Standing, int, list[int]]
    ] = []  # with its birth, and ends of what it works at
    born = 0
    counts: list[int] = []
    quiet = 12 + start_steps + 2 + sum(arrivals) // concurrency * 2
    for step, coming in enumerate([*arrivals, *([0] * quiet)]):
        now_ms = 5_000 * step
        waiting += coming
        for n, (each, since, work) in enumerate(there):
            work[:] = [end for end in work if end > step]
            there[n] = (
                replace(each, ready=step - since >= start_steps, at_work=len(work)),
                since,
                work,
            )
        for each, _, work in there:
            while waiting and each.ready and not each.leaving and len(work) < concurrency:
                waiting -= 1
                work.append(step + 2)
        there = [(replace(each, at_work=len(work)), since, work) for each, since, work in there]
        at_work = sum(len(work) for _, _, work in there)
        load = Load(waiting, at_work, sum(each.ready for each, _, _ in there))
        need = need.seen(bounds, load, now_ms)
        todo = plan([each for each, _, _ in there], need.wanted(bounds, now_ms), now_ms, LEAD_MS)
        assert not any(each.replica_id in todo.end and work for each, _, work in there)
        there = [
            (
                replace(
                    each,
                    leaving=(each.leaving or each.replica_id in todo.leave)
                    and each.replica_id not in todo.stay,
                ),
                since,
                work,
            )
            for each, since, work in there
            if each.replica_id not in todo.end
        ]
        for _ in range(todo.begin):
            born += 1
            made = standing(f"r{born}", ready=False, ends_at_ms=now_ms + DAY_MS)
            there.append((made, step, []))
        counts.append(len(there))
        assert len(there) <= bounds.most
    assert waiting == 0, "everybody was served"
    assert not there, "and nobody is paid for nothing"
    ups = sum(1 for before, after in pairwise(counts) if after > before)
    rises = sum(1 for before, after in pairwise([0, *arrivals]) if after > before)
    assert ups <= bounds.most * (rises + 1), "no flapping"
