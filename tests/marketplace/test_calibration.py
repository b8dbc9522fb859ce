import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.calibration import (
    STARTS_KEPT,
    STARTS_TRUSTED,
    MeasuredStart,
    calibrated_ms,
    start_factor_permille,
)
from neurogrid_marketplace.orchestration import START_LIMIT_MS

# What takes longer is given up as not started, and is no start.
took_ms = st.integers(1, START_LIMIT_MS)
said_ms = st.integers(0, 3_600_000)


def test_a_node_that_nothing_is_known_of_is_taken_at_its_word() -> None:
    assert start_factor_permille([]) == 1000
    assert calibrated_ms(400, 1000) == 400


def test_who_takes_twice_as_long_as_it_says_is_counted_with_what_it_takes() -> None:
    assert start_factor_permille([MeasuredStart(400, 800)] * STARTS_TRUSTED) == 2000
    assert calibrated_ms(400, 2000) == 800


def test_nobody_starts_in_no_time() -> None:
    factor = start_factor_permille([MeasuredStart(0, 5_000)] * STARTS_KEPT)
    assert calibrated_ms(0, factor) == 5_000


def test_one_slow_start_of_a_new_node_is_no_habit() -> None:
    assert start_factor_permille([MeasuredStart(400, 3_600)]) == 2000  # one nine times as long


def test_coming_early_earns_no_credit() -> None:
    assert start_factor_permille([MeasuredStart(60_000, 400)] * STARTS_KEPT) == 1000


def test_only_the_last_starts_count() -> None:
    slow = [MeasuredStart(400, 4_000)] * 100
    assert start_factor_permille(slow) == 10_000
    assert start_factor_permille([*slow, *[MeasuredStart(400, 400)] * STARTS_KEPT]) == 1000


@given(took_ms, said_ms)
def test_in_the_steady_state_understating_changes_nothing_and_overstating_only_harms(
    took: int, said: int
) -> None:
    factor = start_factor_permille([MeasuredStart(said, took)] * STARTS_KEPT)
    counted = calibrated_ms(said, factor)
    assert counted >= took
    if 1 <= said <= took:
        # To the permille of what was said, by which a factor is rounded.
        assert counted <= took + said // 1000 + 1


@given(took_ms, st.lists(st.integers(1, 1000), min_size=STARTS_KEPT, max_size=STARTS_KEPT))
def test_who_understates_now_and_then_is_counted_with_more_in_all_than_who_never_does(
    took: int, lies_permille: list[int]
) -> None:
    """Its honest bids pay for the others: the mean of the ratios exceeds the ratio of the means."""
    said = [max(1, took * lie // 1000) for lie in lies_permille]
    factor = start_factor_permille([MeasuredStart(ms, took) for ms in said])
    assert sum(calibrated_ms(ms, factor) for ms in said) >= took * STARTS_KEPT


@pytest.mark.parametrize("ms", [0, 1, 2**53 - 1])
def test_any_number_of_a_bid_can_be_counted(ms: int) -> None:
    assert calibrated_ms(ms, start_factor_permille([MeasuredStart(ms, 2**53)] * 9)) >= ms
