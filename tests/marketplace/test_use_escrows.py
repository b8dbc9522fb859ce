"""Which lease for use pays for a request, and what the next one's escrow holds."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.use_escrows import (
    ESCROW_MIN_MICRO_USDC,
    LEASES_MAX,
    Standing,
    chosen,
    escrows,
    roomiest,
    wants_next,
)

FRESH = Standing("fresh", 1_000)
USED = Standing("used", 1_000, 700)
PROMISED = Standing("promised", 1_000, 100, 650)
OPENING = Standing("opening", 1_000, takes=False)
FULL = Standing("full", 1_000, 1_000)


@pytest.mark.parametrize(
    ("leases", "most", "which"),
    [
        ([FRESH, USED], 200, "used"),
        ([FRESH, USED], 301, "fresh"),
        ([FRESH, USED], None, "used"),
        # What is promised to others is not free.
        ([FRESH, PROMISED], 250, "promised"),
        ([FRESH, PROMISED], 251, "fresh"),
        # What takes requests now, before what will.
        ([OPENING, FRESH], 100, "fresh"),
        ([OPENING, USED], 500, "opening"),
        ([FULL, replace(USED, billed_micro_usdc=950)], None, None),
        ([FULL, replace(USED, billed_micro_usdc=950)], 50, "used"),
        ([FRESH], 1_001, None),
        ([], 1, None),
        ([FULL], 0, None),
    ],
)
def test_the_fullest_that_has_room_for_all_of_it_pays(
    leases: list[Standing], most: int | None, which: str | None
) -> None:
    found = chosen(leases, most)
    assert (None if found is None else found.name) == which


def test_where_there_are_many_no_more_is_opened_and_the_roomiest_pays() -> None:
    many = [replace(USED, name=str(number)) for number in range(LEASES_MAX - 1)]
    assert chosen(many, 500) is None
    assert chosen([*many, replace(USED, name="last", billed_micro_usdc=650)], 500) == Standing(
        "last", 1_000, 650
    )
    assert roomiest([FULL]) is None


@pytest.mark.parametrize(
    ("leases", "wants"),
    [
        ([], False),
        ([replace(FRESH, billed_micro_usdc=599)], False),
        ([replace(FRESH, billed_micro_usdc=600)], True),
        ([USED, FRESH], False),
        ([USED, OPENING], False),
    ],
)
def test_the_next_is_opened_before_it_is_needed_and_once(
    leases: list[Standing], wants: bool
) -> None:
    assert wants_next(leases) == wants


def test_who_cannot_spare_the_usual_escrow_has_smaller_ones_down_to_the_least() -> None:
    assert list(escrows(500_000, None)) == [500_000, 125_000, 31_250, 7_812, 1_953]
    assert list(escrows(500_000, 20_000)) == list(escrows(500_000, None))
    assert list(escrows(8_000, 20_000)) == [20_000, 8_000, 2_000]
    # An operator may want less than that.
    assert list(escrows(500, None)) == [500]


@given(st.integers(1, 10**9), st.none() | st.integers(0, 10**12))
def test_escrows_get_smaller_and_are_few(usual: int, most: int | None) -> None:
    amounts = list(escrows(usual, most))
    assert amounts == sorted(set(amounts), reverse=True)
    assert len(amounts) <= 13
    assert all(amount >= min(ESCROW_MIN_MICRO_USDC, usual) for amount in amounts)
