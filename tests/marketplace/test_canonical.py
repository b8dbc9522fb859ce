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


@given(values)
def test_the_bytes_are_those_of_sorted_json_without_spaces(value: object) -> None:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical_bytes(value) == text.encode()


def test_every_character_is_written_as_json_writes_it() -> None:
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    assert canonical_bytes("".join(characters)) == json.dumps(
        "".join(characters), ensure_ascii=False
    ).encode(errors="strict")


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**64, -(2**63) - 1, 2**200])
def test_integers_are_exact_at_every_size(number: int) -> None:
    assert canonical_bytes([number]) == f"[{number}]".encode()


@given(st.dictionaries(names, values, min_size=2, max_size=5))
def test_the_order_of_keys_does_not_matter(value: dict[str, object]) -> None:
    backwards = dict(reversed(value.items()))
    assert sha256_hex(value) == sha256_hex(backwards)


@pytest.mark.parametrize("value", [1.5, b"x", {"é": 1}, {1: 2}, "\ud800", {1, 2}])
def test_what_two_languages_could_write_differently_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue):
        canonical_bytes(value)


@pytest.mark.parametrize("innermost", [0, [], {}])
def test_nesting_is_bounded(innermost: object) -> None:
    value = innermost
    for _ in range(MAX_DEPTH):
        value = [value]
    assert canonical_bytes(value)
    with pytest.raises(InvalidValue, match="deeper"):
        canonical_bytes([value])
