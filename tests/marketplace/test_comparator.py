from typing import Any

import pytest

from neurogrid_marketplace.comparator import (
    DEFAULT_FILES,
    Comparator,
    ComparatorKind,
    FileFormat,
    FileRule,
)
from neurogrid_marketplace.errors import InvalidValue, MalformedMessage
from neurogrid_marketplace.fields import decode, plain

NUMERIC = ComparatorKind.NUMERIC


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"relative": "1e-6"}, "numeric comparator only"),
        ({"files": DEFAULT_FILES}, "numeric comparator only"),
        ({"kind": NUMERIC, "files": DEFAULT_FILES}, "above 0"),
        ({"kind": NUMERIC, "relative": "1", "files": DEFAULT_FILES}, "below 1"),
        ({"kind": NUMERIC, "relative": "1e-6"}, "names files"),
        ({"kind": NUMERIC, "relative": "nan", "files": DEFAULT_FILES}, "relative: is not a number"),
        ({"kind": NUMERIC, "absolute": "-1", "files": DEFAULT_FILES}, "absolute: is not a number"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        Comparator(**parts)


@pytest.mark.parametrize("tolerance", ["1e-6", "0.001", "5e-324", "9.99e2", "10"])
def test_a_tolerance_travels_as_it_is_written(tolerance: str) -> None:
    sent = Comparator(NUMERIC, absolute=tolerance, files=(FileRule("*.bin", FileFormat.F32),))
    assert decode(Comparator, plain(sent)) == sent


@pytest.mark.parametrize(
    "tolerance", ["", "1e", "+1", ".1", " 1", "1e-1000", "0x1", "1\n", "\u0661"]
)
def test_other_writings_of_a_tolerance_are_refused(tolerance: str) -> None:
    sent = {"kind": "numeric", "absolute": tolerance, "files": [{"pattern": "*"}]}
    with pytest.raises((MalformedMessage, InvalidValue)):
        decode(Comparator, sent)


def test_the_first_rule_that_fits_says_how_a_file_is_read_and_others_are_not() -> None:
    rules = (FileRule("raw/*.bin", FileFormat.F64), FileRule("*.NPY"), FileRule("*/log?.*"))
    comparator = Comparator(NUMERIC, "1e-6", files=rules)
    found = {
        path: comparator.format_of(path)
        for path in (
            "raw/a/b.bin",
            "x.bin",
            "x.NPY",
            "x.npy",
            "a/log1.json",
            "a/log1.txt",
            "log1.x",
        )
    }
    assert found == {
        "raw/a/b.bin": FileFormat.F64,
        "x.bin": None,
        "x.NPY": FileFormat.NPY,
        "x.npy": None,
        "a/log1.json": FileFormat.JSON,
        "a/log1.txt": FileFormat.TEXT,
        "log1.x": None,
    }


def test_comparators_are_named_by_all_that_they_are() -> None:
    made = [
        Comparator(),
        Comparator(NUMERIC, "1e-6", files=DEFAULT_FILES),
        Comparator(NUMERIC, "1e-5", files=DEFAULT_FILES),
        Comparator(NUMERIC, "1e-6", "1e-9", DEFAULT_FILES),
        Comparator(NUMERIC, "1e-6", files=DEFAULT_FILES[:1]),
    ]
    assert len({each.hash() for each in made}) == len(made)
    assert (
        made[3].words().startswith("numbers within 1e-6 relative or 1e-9 absolute in *.json, *.csv")
    )
