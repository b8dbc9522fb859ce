"""Whether two numbers, or two files of numbers, are the same within a tolerance. Pure.

The files come from strangers: what is read of them is bounded, nothing is evaluated, and the time
taken grows with their size alone. Two numbers are the same when they differ by at most ``absolute``,
or by at most ``relative`` of the larger one's size. NaN is the same as any NaN, an infinity as the
infinity of its sign, and neither as anything else.

Text is compared piece by piece: numbers are those that stand alone ("x1" has none), and all that is
not a number has to be the same, in the same order, but for blanks and, in JSON, line ends. JSON's
strings are no numbers, whatever is in them.
"""

import math
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from itertools import zip_longest

from .array_files import Array, Unreadable, read_npy, read_npz, read_raw
from .comparator import Comparator, FileFormat, decimal
from .job import OutputFile

# Of one of two files: a larger one is compared by its hash alone.
FILE_BYTES_MAX = 64 * 1024 * 1024
# So many pieces of text and numbers of arrays are compared of two results in all, at about five
# millionths of a second each; results that have more are compared by their hashes alone.
PIECES_MAX = 2_000_000
# A longer number is compared as a word.
_NUMBER_BYTES_MAX = 64
_NO_PIECE = ("none", b"")
# Of an array at a time: whole chunks that are the same are passed over.
_CHUNK_NUMBERS = 4096

# Possessive throughout, so that no text makes the matcher go back.
_NUMBER = (
    rb"(?P<number>[+-]?+(?:(?>[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?+[0-9]{1,5}+)?+"
    rb"|(?i:nan|infinity|inf))(?![A-Za-z0-9_\x80-\xff]|\.[0-9]))"
)
_WORD = rb"[A-Za-z0-9_\x80-\xff]++(?:\.[A-Za-z0-9_\x80-\xff]++)*+"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?+\Z)'
# A piece takes the blanks behind it along: passing over them one by one would take longer.
_TEXT_BLANKS, _JSON_BLANKS = rb"[ \t\r\f\v]*+", rb"[ \t\r\n]*+"
_TEXT = re.compile(rb"(?:%s|(?P<other>%s|.))%s" % (_NUMBER, _WORD, _TEXT_BLANKS), re.DOTALL)
_JSON = re.compile(
    rb"(?:%s|(?P<other>%s|%s|.))%s" % (_NUMBER, _STRING, _WORD, _JSON_BLANKS), re.DOTALL
)
# What a piece is, and what a text may begin with.
_PATTERNS = {
    FileFormat.TEXT: (_TEXT, re.compile(_TEXT_BLANKS)),
    FileFormat.JSON: (_JSON, re.compile(_JSON_BLANKS)),
}

# No number of `_NUMBER_BYTES_MAX` is out of its range or is rounded.
_EXACT = Context(prec=2 * _NUMBER_BYTES_MAX, traps=[])


@dataclass(frozen=True, slots=True)
class Margin:
    """A comparator's tolerance."""

    relative: Decimal
    absolute: Decimal

    @classmethod
    def of(cls, comparator: Comparator) -> "Margin":
        """The tolerance of a numeric comparator."""
        return cls(
            decimal(comparator.relative, "relative"), decimal(comparator.absolute, "absolute")
        )

    def holds(self, one: float, other: float) -> bool:
        """Whether two numbers of an array are the same."""
        if one == other:
            return True
        if not (math.isfinite(one) and math.isfinite(other)):
            return math.isnan(one) and math.isnan(other)
        limit = max(float(self.absolute), float(self.relative) * max(abs(one), abs(other)))
        return abs(one - other) <= limit

    def holds_written(self, one: bytes, other: bytes) -> bool:
        """Whether two written numbers are the same."""
        if max(len(one), len(other)) > _NUMBER_BYTES_MAX:
            return one == other
        first = _EXACT.create_decimal(one.decode("ascii"))
        second = _EXACT.create_decimal(other.decode("ascii"))
        if not (first.is_finite() and second.is_finite()):
            return (first.is_nan() and second.is_nan()) or first.compare_total(second) == 0
        largest = _EXACT.multiply(self.relative, max(abs(first), abs(second)))
        return abs(_EXACT.subtract(first, second)) <= max(self.absolute, largest)


@dataclass(frozen=True, slots=True)
class FilePair:
    """Two results' files of one path, which have other bytes and may hold the same numbers."""

    path: str
    sha256: str
    other_sha256: str
    format: FileFormat


def undecided_pairs(
    comparator: Comparator, one: Sequence[OutputFile], other: Sequence[OutputFile]
) -> tuple[FilePair, ...] | None:
    """The files that have to be read to tell two results apart, by path; None: they differ anyhow."""
    others = {file.path: file for file in other}
    if {file.path for file in one} != set(others):
        return None
    pairs = []
    for file in sorted(one, key=lambda file: file.path):
        its_like = others[file.path]
        if file.sha256 == its_like.sha256:
            continue
        file_format = comparator.format_of(file.path)
        if file_format is None or max(file.size_bytes, its_like.size_bytes) > FILE_BYTES_MAX:
            return None
        pairs.append(FilePair(file.path, file.sha256, its_like.sha256, file_format))
    return tuple(pairs)


class Closeness:
    """Compares the files of two results; one for each pair, because its bounds are of all together."""

    def __init__(self, comparator: Comparator) -> None:
        self._margin = Margin.of(comparator)
        self._pieces_left = PIECES_MAX

    def is_same(self, one: bytes, other: bytes, file_format: FileFormat) -> bool:
        """Whether two files hold the same numbers, and the same beside them.

        Raises:
            Unreadable: they can't be compared by their numbers; their hashes alone count.
        """
        if max(len(one), len(other)) > FILE_BYTES_MAX:
            raise Unreadable(f"a file has more than {FILE_BYTES_MAX} bytes")
        match file_format:
            case FileFormat.TEXT | FileFormat.JSON:
                return self._is_same_text(one, other, *_PATTERNS[file_format])
            case FileFormat.NPY:
                return self._is_same_array(read_npy(one), read_npy(other))
            case FileFormat.NPZ:
                arrays, others = read_npz(one), read_npz(other)
                return list(arrays) == list(others) and all(
                    self._is_same_array(array, others[name]) for name, array in arrays.items()
                )
            case FileFormat.F32 | FileFormat.F64:
                return self._is_same_array(read_raw(one, file_format), read_raw(other, file_format))

    def _is_same_text(
        self, one: bytes, other: bytes, pattern: re.Pattern[bytes], blanks: re.Pattern[bytes]
    ) -> bool:
        pieces, others = (_pieces(text, pattern, blanks) for text in (one, other))
        for (kind, here), (its_kind, there) in zip_longest(pieces, others, fillvalue=_NO_PIECE):
            self._spend(1)
            if here == there:
                continue
            if not kind == its_kind == "number" or not self._margin.holds_written(here, there):
                return False
        return True

    def _is_same_array(self, one: Array, other: Array) -> bool:
        if (one.number, one.shape, len(one.data)) != (other.number, other.shape, len(other.data)):
            return False
        for here, there in zip(_chunks(one), _chunks(other), strict=True):
            if here == there:
                continue
            numbers, others = _numbers(one.number, here), _numbers(one.number, there)
            self._spend(len(numbers))
            if not all(map(self._margin.holds, numbers, others)):
                return False
        return True

    def _spend(self, pieces: int) -> None:
        self._pieces_left -= pieces
        if self._pieces_left < 0:
            raise Unreadable(f"more than {PIECES_MAX} pieces")


def are_same(
    comparator: Comparator,
    pairs: Sequence[FilePair],
    read: Callable[[FilePair], tuple[bytes, bytes]],
) -> bool:
    """Whether results whose files differ in these pairs are the same by their numbers.

    Args:
        read: what the two files hold; of a larger one at least a byte more than `FILE_BYTES_MAX`.
    """
    closeness = Closeness(comparator)
    try:
        return all(closeness.is_same(*read(pair), pair.format) for pair in pairs)
    except Unreadable:
        return False


def _pieces(
    text: bytes, pattern: re.Pattern[bytes], blanks: re.Pattern[bytes]
) -> Iterator[tuple[str, bytes]]:
    """Each piece, and whether it is a "number" or "other"."""
    begin = blanks.match(text)
    assert begin is not None, "no blanks are blanks too"
    for piece in pattern.finditer(text, begin.end()):
        kind = piece.lastgroup
        assert kind is not None, "both kinds have a name"
        yield kind, piece[kind]


def _chunks(array: Array) -> Iterator[memoryview]:
    size = struct.calcsize(array.number) * _CHUNK_NUMBERS
    return (array.data[start : start + size] for start in range(0, len(array.data), size))


def _numbers(number: str, data: memoryview) -> tuple[float, ...]:
    count = len(data) // struct.calcsize(number)
    return struct.unpack(f"{number[0]}{count}{number[1]}", data)
