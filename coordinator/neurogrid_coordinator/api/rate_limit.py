"""Token buckets: how many requests somebody may send, all at once or over a minute.

A bucket holds one window's worth of requests and fills evenly, so a client may burst and then goes
on at the average. State is in memory: a restart forgives.

Several coordinators have each their own bucket of a name, and tell each other what they took from it (`take_due`, `hear`).
What is heard is taken as well, also from an empty bucket, which is then in debt. So all together let in, in any time, what one would, and
beyond that no more than is untold, `(coordinators - 1) * untold_max(limit)`, and what is on its way.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

# Document 003: limits are per minute.
WINDOW_S = 60
# Names that are remembered; those unused for longest are forgotten, which only refills their
# buckets. 100,000 are about 20 MiB.
BUCKETS_MAX = 100_000
# What is told: each fiftieth of a limit.
_TOLD_PART = 50


def untold_max(per_minute: int) -> int:
    """So many requests of a bucket the other coordinators have not been told of, at most, before they are due."""
    return max(1, per_minute // _TOLD_PART) - 1


@dataclass(frozen=True, slots=True)
class Taken:
    """What one coordinator took from its bucket of this name, since it last said so."""

    name: str
    per_minute: int
    requests: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass by one bucket, and what is told of it.

    Attributes:
        limit: requests per window; remaining: that may still come at once.
        full_at_s: Unix time at which the bucket will be full again.
        retry_after_s: until the next request would pass; 0 if this one does.
    """

    limit: int
    remaining: int
    full_at_s: int
    retry_after_s: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that documents 001 and 003 name."""
        return [
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % self.full_at_s),
        ]


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float
    per_minute: int = 0
    untold: int = 0


class Buckets:
    """Buckets by name; what fills one is said with each request, so it may change at any time.

    Args:
        buckets_max: how many are remembered.
    """

    def __init__(self, buckets_max: int = BUCKETS_MAX) -> None:
        self._buckets_max = buckets_max
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        # Names of which there is something to tell; None while there is nobody to tell.
        self._due: dict[str, None] | None = None

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, wanted: Sequence[tuple[str, int]], now_s: float) -> list[Verdict]:
        """Count one request in all of these buckets, or in none if one of them is empty.

        Args:
            wanted: name and requests per minute, at least 1, of each.
            now_s: Unix time, which may jump.
        """
        filled = [self._filled(name, per_minute, now_s) for name, per_minute in wanted]
        passes = all(bucket.tokens >= 1 for bucket in filled)
        verdicts = []
        for bucket, (name, per_minute) in zip(filled, wanted, strict=True):
            empty = bucket.tokens < 1
            if passes:
                bucket.tokens -= 1
                if self._due is not None:
                    self._note(name, per_minute, bucket)
            per_s = per_minute / WINDOW_S
            verdicts.append(
                Verdict(
                    limit=per_minute,
                    remaining=max(0, int(bucket.tokens)),
                    full_at_s=int(now_s + (per_minute - bucket.tokens) / per_s) + 1,
                    retry_after_s=int((1 - bucket.tokens) / per_s) + 1 if empty else 0,
                )
            )
        return verdicts

    def share(self) -> None:
        """There are others who count by the same names: note from now on what they are to be told."""
        if self._due is None:
            self._due = {}

    def take_due(self, most: int) -> list[Taken]:
        """What the others are to be told now, of so many names at most; it counts as told."""
        told: list[Taken] = []
        while self._due and len(told) < most:
            name = next(iter(self._due))
            del self._due[name]
            bucket = self._buckets.get(name)
            if bucket is not None:
                told.append(Taken(name, bucket.per_minute, bucket.untold))
                bucket.untold = 0
        return told

    def hear(self, taken: Taken, now_s: float) -> None:
        """Take from our bucket what another coordinator took from its own."""
        self._filled(taken.name, taken.per_minute, now_s).tokens -= taken.requests

    def _note(self, name: str, per_minute: int, bucket: _Bucket) -> None:
        assert self._due is not None, "somebody is to be told"
        bucket.per_minute = per_minute
        bucket.untold += 1
        if bucket.untold > untold_max(per_minute):
            self._due[name] = None
            if len(self._due) > self._buckets_max:
                # It may be of buckets that were forgotten meanwhile.
                del self._due[next(iter(self._due))]

    def _filled(self, name: str, per_minute: int, now_s: float) -> _Bucket:
        """The bucket as it is now, moved to the end of those that may be forgotten."""
        bucket = self._buckets.pop(name, None) or _Bucket(float(per_minute), now_s)
        elapsed_s = max(0.0, now_s - bucket.at_s)
        bucket.tokens = min(float(per_minute), bucket.tokens + elapsed_s * per_minute / WINDOW_S)
        bucket.at_s = now_s
        self._buckets[name] = bucket
        if len(self._buckets) > self._buckets_max:
            self._buckets.popitem(last=False)
        return bucket
