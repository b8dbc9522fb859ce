"""Files of numbers from strangers: what is the same within a tolerance, and what is not."""

import json
import math
import struct
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace import closeness
from neurogrid_marketplace.array_files import Unreadable
from neurogrid_marketplace.closeness import Closeness, FilePair, Margin, undecided_pairs
from neurogrid_marketplace.comparator import (
    DEFAULT_FILES,
    Comparator,
    ComparatorKind,
    FileFormat,
    FileRule,
)
from neurogrid_marketplace.job import OutputFile

TEXT, JSON = FileFormat.TEXT, FileFormat.JSON
NUMERIC = Comparator(ComparatorKind.NUMERIC, "1e-6", files=DEFAULT_FILES)
# Above what hostile files below need when they are read in one go, and far below what they need when
# the matcher goes back: then the test would not end.
_LARGE = 1_000_000


def same(one: str, other: str, file_format: FileFormat = TEXT) -> bool:
    return Closeness(NUMERIC).is_same(one.encode(), other.encode(), file_format)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.0", "1.0000009"),
        ("x,y\n1,-2.5\n", "x,y\n1.0000001,-2.50000001\n"),
        ("loss: 0.25, done.", "loss:  0.25000001, done."),
        ("1e300 -1E-300", "1.0000001e300 -1.0000001e-300"),
        ("nan NaN inf -Infinity", "NaN nan INF -inf"),
        ("ends with 1.5.", "ends with 1.50000001."),
        ("0", "-0.0"),
        ("", ""),
    ],
)
def test_texts_with_the_same_numbers_are_the_same(one: str, other: str) -> None:
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.0", "1.000002"),
        ("1 2", "12"),
        ("1 2\n3 4", "1 2 3 4"),
        ("a 1", "b 1"),
        ("step1", "step2"),
        ("1.2.30000001", "1.2.3"),
        ("1", "1 1"),
        ("1", "one"),
        ("nan", "1"),
        ("inf", "-inf"),
        ("inf", "1e999999"),
        ("1", "-1"),
        ("0", "1e-9"),
        ("", "1"),
        ("0x10", "0x11"),
    ],
)
def test_texts_that_differ_in_anything_else_are_not(one: str, other: str) -> None:
    assert not same(one, other)
    assert not same(other, one)


def test_in_json_blanks_do_not_count_and_strings_are_no_numbers() -> None:
    document = {"a": [1.5, {"v": "1.0"}], "b": None}
    assert same(json.dumps(document), json.dumps(document, indent=1), JSON)
    assert same('{"a": [NaN, -Infinity, 1]}', '{"a":[NaN,-Infinity,1.0000001]}', JSON)
    assert not same('{"v": "1.0"}', '{"v": "1.00000001"}', JSON)
    assert not same('{"v": "a\\" 1.0"}', '{"v": "a\\" 1.00000001"}', JSON)
    assert not same('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', JSON)
    assert not same("[1, 2]", "[1]", JSON)


@pytest.mark.parametrize(
    "unit",
    [b"1", b"1.", b"1e+", b"1_", b'"\\', b'"', b"\\", b"nan", b"-", b" ", b"\n", b"\xff", b"1 "],
)
@pytest.mark.parametrize("file_format", [TEXT, JSON])
def test_the_time_that_a_hostile_text_takes_grows_with_its_size_alone(
    unit: bytes, file_format: FileFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closeness, "PIECES_MAX", 20_000)
    text = b'"' + unit * (_LARGE // len(unit))
    with suppress(Unreadable):
        assert not Closeness(NUMERIC).is_same(text + b"a", text + b"b", file_format)


def test_pieces_are_bounded_over_all_files_of_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closeness, "PIECES_MAX", 10)
    compare = Closeness(NUMERIC)
    assert compare.is_same(b"1 2 3 4 5", b"1 2 3 4 5", TEXT)
    with pytest.raises(Unreadable):
        compare.is_same(b"1 2 3 4 5 6", b"1 2 3 4 5 6", TEXT)


@pytest.mark.parametrize("large", [b"9" * 100_000, b"1e" + b"9" * 50, b"0." + b"0" * 5000 + b"1"])
def test_numbers_that_nobody_writes_cost_nothing_and_are_compared_as_words(large: bytes) -> None:
    assert Closeness(NUMERIC).is_same(large, large, TEXT)
    assert not Closeness(NUMERIC).is_same(large, large + b"1", TEXT)


def test_arrays_are_compared_number_by_number() -> None:
    ones = struct.pack("<9000d", *[1.0] * 9000)
    close = struct.pack("<9000d", *[1.0] * 8999, 1.0000001)
    far = struct.pack("<9000d", *[1.0] * 8999, 1.1)
    compare = Closeness(NUMERIC)
    assert compare.is_same(ones, close, FileFormat.F64)
    assert not compare.is_same(ones, far, FileFormat.F64)
    assert not compare.is_same(ones, ones[:-8], FileFormat.F64)
    with pytest.raises(Unreadable):
        compare.is_same(ones, ones[:-1], FileFormat.F64)


numbers = st.floats(width=64) | st.integers(-(2**63), 2**64 - 1)


@given(
    numbers, numbers, st.sampled_from(["0", "1e-6", "0.5"]), st.sampled_from(["0", "1e-9", "5e2"])
)
def test_to_be_the_same_is_so_both_ways_and_of_a_number_and_itself(
    one: float, other: float, relative: str, absolute: str
) -> None:
    margin = Margin(Decimal(relative), Decimal(absolute))
    assert margin.holds(one, one)
    assert margin.holds(one, other) == margin.holds(other, one)
    written, its_like = repr(one).encode(), repr(other).encode()
    assert margin.holds_written(written, written)
    assert margin.holds_written(written, its_like) == margin.holds_written(its_like, written)


@given(st.floats(1e-300, 1e300) | st.floats(-1e300, -1e-300), st.floats(-2e-6, 2e-6))
def test_written_or_not_a_number_is_the_same_within_the_margin(value: float, by: float) -> None:
    moved = value * (1 + by)
    margin = Margin(Decimal("1e-6"), Decimal(0))
    largest = max(abs(Decimal(value)), abs(Decimal(moved)))
    beyond = abs(Decimal(value) - Decimal(moved)) / largest
    # Where rounding decides, either answer is right.
    if not math.isclose(beyond, 1e-6, rel_tol=1e-6):
        wanted = beyond <= Decimal("1e-6")
        assert margin.holds(value, moved) == wanted
        assert margin.holds_written(repr(value).encode(), repr(moved).encode()) == wanted


@given(st.binary(max_size=200), st.binary(max_size=200), st.sampled_from(FileFormat))
def test_no_bytes_do_worse_than_not_to_be_read(
    one: bytes, other: bytes, file_format: FileFormat
) -> None:
    answers = []
    for first, second in ((one, other), (other, one)):
        try:
            answers.append(Closeness(NUMERIC).is_same(first, second, file_format))
        except Unreadable:
            answers.append(False)
    assert answers[0] == answers[1]


def test_only_files_that_may_hold_the_same_numbers_have_to_be_read() -> None:
    def files(**hashes: str) -> tuple[OutputFile, ...]:
        return tuple(
            OutputFile(path.replace("_", "."), digit * 64, 10) for path, digit in hashes.items()
        )

    def pairs(*results: tuple[OutputFile, ...]) -> object:
        return undecided_pairs(NUMERIC, *results)

    one = files(a_csv="1", b_bin="2")
    assert pairs(one, one[::-1]) == ()
    assert pairs(one, files(a_csv="3", b_bin="2")) == (FilePair("a.csv", "1" * 64, "3" * 64, TEXT),)
    assert pairs(one, files(a_csv="1", b_bin="3")) is None
    assert pairs(one, files(a_csv="1")) is None
    large = OutputFile("a.csv", "3" * 64, closeness.FILE_BYTES_MAX + 1)
    assert pairs(one, (large, one[1])) is None
    raw = Comparator(ComparatorKind.NUMERIC, "1e-6", files=(FileRule("*.bin", FileFormat.F32),))
    (pair,) = undecided_pairs(raw, files(b_bin="2"), files(b_bin="3")) or ()
    assert pair.format is FileFormat.F32
