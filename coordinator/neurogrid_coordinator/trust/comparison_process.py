"""``python -m neurogrid_coordinator.trust.comparison_process``: reads the files of two results.

Started by `comparisons`, not by hand. It takes a question as JSON from its input, says whether the
results are the same, and ends. Its memory and its time are limited by the kernel, and it can write
nothing.
"""

import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from neurogrid_marketplace.closeness import FILE_BYTES_MAX, FilePair, are_same
from neurogrid_marketplace.comparator import Comparator
from neurogrid_p2p.orphans import die_with

# Two files of `FILE_BYTES_MAX`, unpacked once more, and copies of their longest pieces; beside them
# an interpreter.
MEMORY_BYTES_MAX = 1024 * 1024 * 1024
# `closeness.PIECES_MAX` take ten seconds on a slow machine; reading the rest takes less.
CPU_S_MAX = 120
_OPEN_FILES_MAX = 64


@dataclass(frozen=True, slots=True)
class Question:
    """Two results' files that have other bytes; ``files``: SHA-256 -> where it is."""

    comparator: Comparator
    pairs: tuple[FilePair, ...]
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether all of them hold the same numbers."""

    same: bool


def main(parent_pid: int) -> int:
    """Answer one question."""
    die_with(parent_pid)
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CPU, CPU_S_MAX),
        (resource.RLIMIT_NOFILE, _OPEN_FILES_MAX),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    sys.stdout.buffer.write(msgspec.json.encode(Answer(answer(question))))
    return 0


def answer(question: Question) -> bool:
    """Whether the results are the same."""

    def read(pair: FilePair) -> tuple[bytes, bytes]:
        one, other = (question.files[name] for name in (pair.sha256, pair.other_sha256))
        return _read(one), _read(other)

    return are_same(question.comparator, question.pairs, read)


def _read(path: str) -> bytes:
    # One byte more than is read, so that a larger file shows.
    with Path(path).open("rb") as file:
        return file.read(FILE_BYTES_MAX + 1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
