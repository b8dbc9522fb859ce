from hypothesis import given, settings
from hypothesis import strategies as st

from neurogrid_coordinator.api.rate_limit import Buckets, Verdict, untold_max

NOW_S = 1_800_000_000.0


def take(buckets: Buckets, name: str, per_minute: int, now_s: float = NOW_S) -> Verdict:
    (verdict,) = buckets.take([(name, per_minute)], now_s)
    return verdict


def test_a_window_may_be_used_at_once_and_then_fills_evenly() -> None:
    buckets = Buckets()
    verdicts = [take(buckets, "key", 60) for _ in range(60)]
    assert [verdict.remaining for verdict in verdicts] == list(range(59, -1, -1))
    assert all(verdict.retry_after_s == 0 for verdict in verdicts)
    refused = take(buckets, "key", 60)
    assert (refused.remaining, refused.retry_after_s) == (0, 2)
    assert refused.full_at_s == NOW_S + 61
    # One token a second; what is refused costs none.
    assert take(buckets, "key", 60, NOW_S + 1.5).retry_after_s == 0
    assert take(buckets, "key", 60, NOW_S + 1.5).retry_after_s == 1
    assert take(buckets, "key", 60, NOW_S + 3600).remaining == 59


def test_a_clock_that_jumps_back_gives_and_takes_nothing() -> None:
    buckets = Buckets()
    take(buckets, "key", 2)
    assert take(buckets, "key", 2, NOW_S - 1000).remaining == 0
    assert take(buckets, "key", 2, NOW_S - 1000).retry_after_s > 0


def test_of_several_buckets_all_are_charged_or_none() -> None:
    buckets = Buckets()
    wanted = [("wide", 10), ("narrow", 1)]
    assert [v.remaining for v in buckets.take(wanted, NOW_S)] == [9, 0]
    for _ in range(3):
        wide, narrow = buckets.take(wanted, NOW_S)
        assert (wide.remaining, wide.retry_after_s) == (9, 0)
        assert narrow.retry_after_s == 61


def test_a_smaller_limit_holds_from_the_next_request_on() -> None:
    buckets = Buckets()
    take(buckets, "key", 1000)
    assert take(buckets, "key", 10).remaining == 9


def test_made_up_names_take_bounded_memory_and_push_out_the_oldest_alone() -> None:
    buckets = Buckets(buckets_max=1000)
    take(buckets, "oldest", 1)
    for number in range(100_000):
        buckets.take([(f"made up {number}", 1)], NOW_S)
    assert len(buckets) == 1000
    assert take(buckets, "made up 99999", 1).retry_after_s > 0
    assert take(buckets, "oldest", 1).retry_after_s == 0


def tell(teller: Buckets, others: list[Buckets], now_s: float) -> None:
    for taken in teller.take_due(100):
        for other in others:
            if other is not teller:
                other.hear(taken, now_s)


@settings(deadline=None)
@given(
    limit=st.sampled_from((1, 7, 60, 100, 1000)),
    coordinators=st.integers(2, 4),
    # Who is asked, how many times, after how long; and whether word gets around then.
    bursts=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(1, 400),
            st.sampled_from((0.0, 0.1, 5.0, 61.0)),
            st.booleans(),
        ),
        max_size=25,
    ),
)
def test_all_together_let_in_what_one_would_and_what_is_untold(
    limit: int, coordinators: int, bursts: list[tuple[int, int, float, bool]]
) -> None:
    several = [Buckets() for _ in range(coordinators)]
    for buckets in several:
        buckets.share()
    now_s = NOW_S
    passed: list[tuple[float, int]] = []
    late_max = 0
    for number, requests, pause_s, is_told in bursts:
        now_s += pause_s
        asked = several[number % coordinators]
        let_in = 0
        for _ in range(requests):
            let_in += not take(asked, "key", limit, now_s).retry_after_s
            if is_told:
                tell(asked, several, now_s)
        if let_in:
            passed.append((now_s, let_in))
        if not is_told:
            # On its way while the others let in more; then it is there.
            late_max = max(late_max, let_in + untold_max(limit))
        for buckets in several:
            # What was late is told before the next burst.
            tell(buckets, several, now_s)
    beyond = (coordinators - 1) * untold_max(limit) + late_max
    # In any stretch from one burst to another.
    for first, (began_s, _) in enumerate(passed):
        within = 0
        for at_s, let_in in passed[first:]:
            within += let_in
            allowed = limit + (at_s - began_s) * limit / 60
            assert within <= allowed + beyond + 1e-6


def test_whoever_asks_one_of_several_alone_has_all_of_the_limit() -> None:
    several = [Buckets(), Buckets()]
    for buckets in several:
        buckets.share()
    for minute in range(3):
        for _ in range(100):
            assert not take(several[0], "key", 100, NOW_S + 60 * minute).retry_after_s
            tell(several[0], several, NOW_S + 60 * minute)
    refused = take(several[1], "key", 100, NOW_S + 120)
    # Two of each fifty are told at once; what is not told yet is one request.
    assert (refused.remaining, refused.retry_after_s) == (0, 1)
    assert take(several[1], "key", 100, NOW_S + 180).remaining == 99


def test_what_was_taken_elsewhere_from_an_empty_bucket_is_owed() -> None:
    here, there = Buckets(), Buckets()
    here.share()
    there.share()
    for buckets in (here, there):
        for _ in range(60):
            assert not take(buckets, "key", 60).retry_after_s
    tell(there, [here], NOW_S)
    refused = take(here, "key", 60)
    assert (refused.remaining, refused.retry_after_s) == (0, 62)
    assert refused.full_at_s == NOW_S + 121
    assert take(here, "key", 60, NOW_S + 59).retry_after_s > 0
    assert not take(here, "key", 60, NOW_S + 61).retry_after_s


def test_one_that_counts_alone_notes_nothing_and_one_that_shares_tells_each_request_once() -> None:
    alone, shares = Buckets(), Buckets(buckets_max=10)
    shares.share()
    for number in range(1000):
        for buckets in (alone, shares):
            take(buckets, f"{number % 50}", 10)
    assert alone.take_due(1000) == []
    told = shares.take_due(4)
    assert len(told) == 4
    told += shares.take_due(1000)
    # Of those that are forgotten there is nothing to tell.
    assert sum(taken.requests for taken in told) <= 10 * 10
    assert {taken.name for taken in told} == {f"{number}" for number in range(40, 50)}
    assert shares.take_due(1000) == []
