"""What makes two results the same: the same bytes, numbers within a tolerance, or a client's own image.

A comparator stands in the demand, so that every node knows before it bids how its work is judged.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated

from msgspec import Meta

from .canonical import sha256_hex
from .errors import InvalidValue
from .fields import ImageRef, plain

MAX_FILE_RULES = 16
# A tolerance travels as it is written: numbers of a message are integers.
Tolerance = Annotated[str, Meta(pattern=r"^[0-9]{1,9}[.]?[0-9]{0,9}(e-?[0-9]{1,3})?\Z")]
_TOLERANCE = re.compile(r"[0-9]{1,9}[.]?[0-9]{0,9}(e-?[0-9]{1,3})?", re.ASCII)
# The command travels in every demand.
ComparatorArgument = Annotated[str, Meta(max_length=512)]
MAX_COMPARISON_S = 3600
FilePattern = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._/*?+-]{1,128}\Z")]


class ComparatorKind(StrEnum):
    """By what two results are compared."""

    EXACT = "exact"
    NUMERIC = "numeric"
    IMAGE = "image"


class FileFormat(StrEnum):
    """How numbers are found in a file.

    ``f32`` and ``f64``: nothing but little-endian IEEE 754 numbers of 4 or 8 bytes.
    """

    TEXT = "text"
    JSON = "json"
    NPY = "npy"
    NPZ = "npz"
    F32 = "f32"
    F64 = "f64"


# Formats that follow from a name's end; every other file is text where a rule names it without one.
_FORMAT_OF_ENDING = {each.value: each for each in FileFormat if each is not FileFormat.TEXT}


@dataclass(frozen=True, slots=True)
class FileRule:
    """Files that are compared by their numbers.

    Attributes:
        pattern: of the path below /outputs; ``*`` stands for anything, slashes included, ``?`` for one
            character.
        format: None: what the name's end says, else text.
    """

    pattern: FilePattern
    format: FileFormat | None = None

    def format_of(self, path: str) -> FileFormat:
        """As what a file that fits is read."""
        if self.format is not None:
            return self.format
        return _FORMAT_OF_ENDING.get(path.rpartition(".")[2].lower(), FileFormat.TEXT)


# What a numeric comparator reads where its client names no files.
DEFAULT_FILES = tuple(
    FileRule(f"*.{ending}") for ending in ("json", "csv", "tsv", "txt", "npy", "npz")
)


@dataclass(frozen=True, slots=True)
class Comparator:
    """How two results are compared.

    Attributes:
        relative: numbers may differ by so much of the larger one's size, as "1e-6"; below 1.
        absolute: or by so much, whichever is more.
        image: the client's own, which is shown all results and says which are the same
            (`image_comparison`).
        command: what it runs; empty: the image's own.
        timeout_s: the longest that may take.
        files: which files are compared by their numbers; the first rule that fits a file counts, and
            one that none fits has to be the same, byte for byte.

    Raises:
        InvalidValue: the parts do not go together.
    """

    kind: ComparatorKind = ComparatorKind.EXACT
    relative: Tolerance = "0"
    absolute: Tolerance = "0"
    files: Annotated[tuple[FileRule, ...], Meta(max_length=MAX_FILE_RULES)] = ()
    image: ImageRef | None = None
    command: Annotated[tuple[ComparatorArgument, ...], Meta(max_length=16)] = ()
    timeout_s: Annotated[int, Meta(ge=0, le=MAX_COMPARISON_S)] = 0

    def __post_init__(self) -> None:
        if self.kind is ComparatorKind.IMAGE:
            if self.image is None or not self.timeout_s:
                raise InvalidValue("an image's comparator names an image and a time limit")
        elif self.image is not None or self.command or self.timeout_s:
            raise InvalidValue("image, command and time limit go with an image's comparator only")
        if self.kind is not ComparatorKind.NUMERIC:
            if self.files or (self.relative, self.absolute) != ("0", "0"):
                raise InvalidValue("tolerances and files go with a numeric comparator only")
            return
        relative, absolute = decimal(self.relative, "relative"), decimal(self.absolute, "absolute")
        if relative >= 1:
            raise InvalidValue(
                "relative: has to be below 1, or all numbers of one sign are the same"
            )
        if not relative and not absolute:
            raise InvalidValue(
                "a numeric comparator needs a tolerance above 0; otherwise use exact"
            )
        if not self.files:
            raise InvalidValue("a numeric comparator names files")

    def format_of(self, path: str) -> FileFormat | None:
        """As what a file is read that is compared by its numbers; None: by its hash alone."""
        for rule in self.files:
            if fnmatchcase(path, rule.pattern):
                return rule.format_of(path)
        return None

    def hash(self) -> str:
        """What a verdict names it by."""
        return sha256_hex(plain(self))

    def words(self) -> str:
        """What it is, for people."""
        if self.kind is ComparatorKind.EXACT:
            return "the same bytes"
        if self.kind is ComparatorKind.IMAGE:
            return f"the client's own image {self.image}"
        limits = [
            f"{value} {name}"
            for name, value in (("relative", self.relative), ("absolute", self.absolute))
            if Decimal(value)
        ]
        return f"numbers within {' or '.join(limits)} in {', '.join(r.pattern for r in self.files)}"


EXACT = Comparator()


def decimal(text: str, name: str) -> Decimal:
    """A tolerance as the number that it is.

    Raises:
        InvalidValue: it is none; ``name`` says whose it is.
    """
    if not _TOLERANCE.fullmatch(text):
        raise InvalidValue(f'{name}: is not a number such as "1e-6" or "0.001"')
    return Decimal(text)
