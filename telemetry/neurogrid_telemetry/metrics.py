"""A number that is shown, its name, and how long things took. Pure, and no library's types."""

from bisect import bisect_left
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

# Seconds. A container starts in tenths of one, a pull takes minutes, a job hours.
BUCKETS_S: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)


class Kind(StrEnum):
    """How a metric moves."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One name, and its labels.

    Attributes:
        name: as Prometheus shows it, without the ``_total`` of a counter.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


@dataclass
class Durations:
    """How long something took, by `BUCKETS_S` and what is longer.

    Attributes:
        counts: of each bucket alone; the last one is for what is longer than all.
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    sum_s: float = 0.0

    def add(self, took_ms: int) -> None:
        """Count one."""
        self.counts[bisect_left(BUCKETS_S, took_ms / 1000)] += 1
        self.sum_s += took_ms / 1000


@dataclass(frozen=True, slots=True)
class Sample:
    """One number, or one histogram, of a metric."""

    metric: Metric
    labels: tuple[str, ...]
    value: float | Durations
