"""How long a replica may say nothing before another one is asked. Pure.

What is known is how long its own answers have taken to begin, and for how much: one that is given ten times as much to read, or to
write before it says anything, may take ten times as long. Beyond a multiple of the slowest of those it is taken for hung. Where too
little is known, and in no case longer, the catalogue's limit holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

# Of each kind; one slow answer is forgotten after so many.
_KEPT: Final = 32
# Fewer say nothing of the next one.
_SEEN_MIN: Final = 3
# A server that is this much slower than it has been at its slowest answers nobody.
_TIMES: Final = 10
# A garbage collection, a busy machine, a disk that wakes up: nobody is given up sooner, ...
LEAST_MS: Final = 10_000
# ... and each further try of a request is given so many times more, in case it is the request that takes so long.
_MORE_PATIENT: Final = 4


class WorkKind(Enum):
    """What a server does before it says anything."""

    # It reads what was sent; its answer is a stream.
    BEGIN = "begin"
    # It does all of it, and how much that is can be seen in the request: vectors, a transcript, pictures.
    WHOLE = "whole"
    # It writes a text to its end, and how long that is nobody knows before.
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Work:
    """How much of that a request is.

    Attributes:
        size: bytes to read, or points to draw; of `WRITE` tokens. 0: that is not known.
    """

    kind: WorkKind
    size: int


@dataclass(frozen=True, slots=True)
class FirstBytes:
    """When a replica's answers have begun; a new one's have not.

    Attributes:
        seen: by kind, (milliseconds, size) of the last ones, oldest first.
    """

    seen: Mapping[WorkKind, tuple[tuple[int, int], ...]] = field(default_factory=dict)

    def came(self, work: Work, took_ms: int) -> "FirstBytes":
        """One more has begun.

        Args:
            work: what it was in the end: what was written, not what might have been.
        """
        kept = (*self.seen.get(work.kind, ()), (took_ms, max(1, work.size)))
        return replace(self, seen={**self.seen, work.kind: kept[-_KEPT:]})

    def limit_ms(self, work: Work | None, most_ms: int, tries: int = 0) -> int:
        """How long the next one may take.

        Args:
            work: at most so much; None: nobody knows.
            most_ms: the catalogue's limit.
            tries: how often this request was given up before.
        """
        seen = self.seen.get(work.kind, ()) if work is not None else ()
        if work is None or not work.size or len(seen) < _SEEN_MIN:
            return most_ms
        slowest_ms = max(took_ms * max(size, work.size) // size for took_ms, size in seen)
        known_ms = max(LEAST_MS, _TIMES * slowest_ms)
        return min(most_ms, known_ms * int(_MORE_PATIENT**tries))
