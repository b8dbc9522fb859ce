"""Values as they travel to jobs and back."""

import contextlib
import dataclasses
import datetime
from decimal import Decimal
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid.functions.values import NoForm, NotEncoded, decode, encode

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
)
_KEYS = st.integers() | st.text(st.characters(exclude_categories=["Cs"])) | st.binary()
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(_KEYS, inner, max_size=4)
        | st.frozensets(_KEYS, max_size=4)
        | st.sets(_KEYS, max_size=4)
    ),
    max_leaves=12,
)


@given(_VALUES)
def test_what_was_encoded_comes_back_with_its_types(value: Any) -> None:
    back = decode(encode(value))
    assert back == value
    assert type(back) is type(value)


@given(st.binary() | st.text().map(str.encode))
def test_any_other_bytes_are_refused_by_one_error(text: bytes) -> None:
    with contextlib.suppress(NotEncoded):
        decode(text)


@pytest.mark.parametrize(
    "text",
    [
        b'{"$":"eval","v":"1"}',
        b'{"$":["dict"],"v":1}',
        b'{"$":"set","v":[[1]]}',
        b'{"$":"ndarray","dtype":"|O","shape":[1],"v":""}',
        b'{"$":"ndarray","dtype":"<f8","shape":[1000000000000],"v":""}',
        b'{"$":"datetime","v":5}',
        b"[" * 200 + b"]" * 200,
        b"[" * 100_000,
    ],
)
def test_a_hostile_answer_is_refused(text: bytes) -> None:
    with pytest.raises(NotEncoded):
        decode(text)


def test_arrays_of_numbers_come_back_as_they_were() -> None:
    array = numpy.arange(6, dtype="float32").reshape(2, 3)
    back = decode(encode(array))
    assert back.dtype == array.dtype
    assert (back == array).all()


def test_arrays_of_objects_and_of_other_kinds_are_not_sent() -> None:
    for value in (numpy.array([object()]), object(), open, Decimal):
        with pytest.raises(NoForm):
            encode(value)


def test_a_list_within_itself_is_not_sent() -> None:
    items: list[Any] = []
    items.append(items)
    with pytest.raises(NoForm, match="nested"):
        encode(items)


@dataclasses.dataclass
class _Found:
    at: datetime.date
    count: int


def test_a_dataclass_comes_back_as_a_dict() -> None:
    found = _Found(datetime.date(2026, 1, 2), 3)
    assert decode(encode(found)) == {"at": found.at, "count": 3}
