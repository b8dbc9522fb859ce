"""Request limits per key (and per address for those without one): token buckets.

A bucket holds one window's worth of requests and fills evenly, so a client may burst and then goes
on at the average. State is in memory: a restart forgives, and each api process counts by itself.
"""

from collections import OrderedDict
from dataclasses import dataclass

# Document 003: limits are per minute.
WINDOW_S = 60
# Keys and addresses that are remembered; those unused for longest are forgotten, which only refills
# their buckets. 100,000 are about 20 MiB.
_BUCKETS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass, and what the headers say.

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
        """The headers that document 003 names."""
        return [
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % self.full_at_s),
        ]


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


class RateLimit:
    """Buckets of ``per_minute`` requests each.

    Args:
        per_minute: at least 1.
    """

    def __init__(self, per_minute: int) -> None:
        if per_minute < 1:
            raise ValueError("a rate limit allows at least one request per minute")
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, name: str, now_s: float) -> Verdict:
        """Count one request of ``name``; ``now_s`` is Unix time and may jump."""
        per_s = self._per_minute / WINDOW_S
        bucket = self._buckets.pop(name, None) or _Bucket(float(self._per_minute), now_s)
        elapsed_s = max(0.0, now_s - bucket.at_s)
        bucket.tokens = min(float(self._per_minute), bucket.tokens + elapsed_s * per_s)
        bucket.at_s = now_s
        passes = bucket.tokens >= 1
        if passes:
            bucket.tokens -= 1
        self._buckets[name] = bucket
        if len(self._buckets) > _BUCKETS_MAX:
            self._buckets.popitem(last=False)
        missing = self._per_minute - bucket.tokens
        return Verdict(
            limit=self._per_minute,
            remaining=int(bucket.tokens),
            full_at_s=int(now_s + missing / per_s) + 1,
            retry_after_s=0 if passes else int((1 - bucket.tokens) / per_s) + 1,
        )
