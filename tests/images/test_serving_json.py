"""A text that is held to JSON can become JSON at every byte, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.serving.json_text import JsonText

# What stands for one half of a letter is none in UTF-8.
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(_TEXTS, values, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(_TEXTS, _VALUES, max_size=3)


@given(_OBJECTS, st.booleans(), st.booleans())
def test_every_object_is_taken_and_its_end_is_never_said_to_be_further_than_it_is(
    value: dict[str, Any], ascii_alone: bool, spaced: bool
) -> None:
    data = json.dumps(
        value, ensure_ascii=ascii_alone, separators=(", ", ": ") if spaced else (",", ":")
    ).encode()
    text = JsonText()
    for place in range(len(data)):
        assert not text.is_done
        assert text.left <= len(data) - place
        following = text.after(data[place : place + 1])
        assert following is not None
        # A byte brings the end nearer by one at most, so who counts them comes to it.
        assert following.left >= text.left - 1
        text = following
    assert (text.is_done, text.left) == (True, 0)
    assert text.after(b" ") is None


@given(_OBJECTS, st.data())
def test_a_text_is_ended_by_following_what_brings_its_end_nearer(
    value: dict[str, Any], data: st.DataObject
) -> None:
    whole = json.dumps(value).encode()
    begun = whole[: data.draw(st.integers(0, len(whole)))]
    text = JsonText().after(begun)
    assert text is not None
    while not text.is_done:
        steps = ((bytes([byte]), text.after(bytes([byte]))) for byte in range(256))
        byte, text = next(
            (byte, after) for byte, after in steps if after and after.left == text.left - 1
        )
        begun += byte
    assert isinstance(json.loads(begun), dict)


@pytest.mark.parametrize(
    "data",
    [
        *(b"[", b"1", b" {", b"{,", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a":01', b'{"a":1.}'),
        *(b'{"a":-}', b'{"a":1e}', b'{"a":tru}', b'{"a":[1,]', b'{"a":[}', b'{"a":{]'),
        *(b'{"a\n', rb'{"\x', rb'{"\u00g', b'{"a":  1', b"{}{", b'{"a":+1', b'{"a":' * 33),
    ],
)
def test_what_is_none_is_none(data: bytes) -> None:
    assert JsonText().after(data) is None
