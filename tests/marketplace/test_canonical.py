import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.canonical import MAX_DEPTH, canonical_bytes, sha256_hex
from neurogrid_marketplace.errors import InvalidValue

names = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(names, children, max_size=4),
    max_leaves=20,
)


@given(values)
def test_reading_and_writing_again_gives_the_same_bytes(value: object) -> None:
    data = canonical_bytes(value)
    assert canonical_bytes(json.loads(data)) == data


@given(st.dictionaries(names, values, min_size=2, max_size=5))
def test_the_order_of_keys_does_not_matter(value: dict[str, object]) -> None:
    backwards = dict(reversed(value.items()))
    assert sha256_hex(value) == sha256_hex(backwards)


@pytest.mark.parametrize("value", [1.5, b"x", {"é": 1}, {1: 2}, "\ud800", {1, 2}])
def test_what_two_languages_could_write_differently_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue):
        canonical_bytes(value)


def test_nesting_is_bounded() -> None:
    value: object = 0
    for _ in range(MAX_DEPTH + 2):
        value = [value]
    with pytest.raises(InvalidValue, match="deeper"):
        canonical_bytes(value)
