"""The prices that a coordinator tells: what fits on a sheet, and what is no sheet."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.price_history import first_award, summary
from neurogrid_marketplace.price_sheet import CLASSES_MAX, make_sheet, parse_sheet

CLASS = {
    "name": "cpu",
    "awards": 3,
    "lowest_micro_usdc": 1,
    "median_micro_usdc": 2,
    "high_micro_usdc": 2,
    "highest_micro_usdc": 9,
}
SHEET = {"made_at_ms": 5, "hours": 168, "classes": [CLASS]}


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.text(max_size=150), st.lists(st.integers(0, 10**12), min_size=1, max_size=5)),
        max_size=CLASSES_MAX + 6,
        unique_by=lambda each: each[0],
    )
)
def test_whatever_was_awarded_its_sheet_can_be_read(classes: list[tuple[str, list[int]]]) -> None:
    summaries = []
    for name, prices in classes:
        hour = first_award(name, 0, prices[0], 100)
        for price in prices[1:]:
            hour = hour.with_award(price, 100)
        found = summary([hour])
        assert found is not None
        summaries.append(found)
    sheet = make_sheet(summaries, 168, 7)
    assert parse_sheet(plain(sheet)) == sheet
    assert len(sheet.classes) <= CLASSES_MAX
    # Those with most awards.
    awards = [each.awards for each in sheet.classes]
    assert awards == sorted(awards, reverse=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": [CLASS, CLASS]},
        {"classes": [{**CLASS, "name": str(number)} for number in range(CLASSES_MAX + 1)]},
        {"classes": [{**CLASS, "name": "\x1b[2J"}]},
        {"classes": [{**CLASS, "median_micro_usdc": 10}]},
        {"classes": [{**CLASS, "lowest_micro_usdc": -1}]},
        {"hours": 0},
        {"made_at_ms": "now"},
    ],
)
def test_what_is_no_sheet_is_refused(changes: Mapping[str, object]) -> None:
    with pytest.raises(MalformedMessage):
        parse_sheet({**SHEET, **changes})


def test_a_class_is_found_by_its_name() -> None:
    sheet = parse_sheet(SHEET)
    found = sheet.of("cpu")
    assert found is not None
    assert found.awards == 3
    assert sheet.of("NVIDIA L4") is None
