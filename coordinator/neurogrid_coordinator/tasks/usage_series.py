"""What a lease's job has used, as a series that stays small, and what it comes to. Pure.

A sample is kept each time its node says one, about every five seconds. When there are too many, every second one goes, and
from then on they come half as often; so a series spans the whole run with at most `SAMPLES_MAX`. Sums since the
start of the container are in each sample, so nothing of them is lost; of what is only of its moment, the moments between are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from neurogrid_marketplace.usage import GpuUse, LeaseUsage

SAMPLES_MAX = 240
# Heartbeats come every five seconds, and a little sooner where much happens.
_INTERVAL_MS = 4_500


@dataclass(frozen=True, slots=True)
class Sample:
    """What a job had used at a moment of our clock.

    Attributes:
        memory_peak_bytes: the most that it had had at once.
    """

    lease_id: str
    at_ms: int
    usage: LeaseUsage
    memory_peak_bytes: int


@dataclass(frozen=True, slots=True)
class Totals:
    """What all of a task's runs have used. None: nobody could tell.

    Attributes:
        cpu_ms: processor time.
        memory_bytes: as of the last sample; memory_peak_bytes: the most that one had at once.
        gpu_mean_percent, gpu_most_percent: how busy its GPUs were, of the samples that are kept.
        gpu_memory_peak_bytes: of all its GPUs together.
        gpu_most_celsius: the hottest of them; gpu_most_milliwatts: of all together.
    """

    cpu_ms: int = 0
    memory_bytes: int = 0
    memory_peak_bytes: int = 0
    disk_read_bytes: int | None = None
    disk_written_bytes: int | None = None
    network_received_bytes: int | None = None
    network_sent_bytes: int | None = None
    gpu_mean_percent: float | None = None
    gpu_most_percent: int | None = None
    gpu_memory_peak_bytes: int | None = None
    gpu_most_celsius: int | None = None
    gpu_most_milliwatts: int | None = None


def spacing_ms(first_ms: int, at_ms: int) -> int:
    """How far apart samples are kept of a run whose first one is so old."""
    spacing = _INTERVAL_MS
    while (at_ms - first_ms) // spacing >= SAMPLES_MAX:
        spacing *= 2
    return spacing


def superfluous(kept_ms: Sequence[int]) -> list[int]:
    """Which of a lease's samples go before another one is kept, by their times; the first and the last stay."""
    if len(kept_ms) < SAMPLES_MAX:
        return []
    return [*kept_ms[1:-1:2]]


def cpu_percent(before: Sample | None, sample: Sample, cpu_millis: int) -> float | None:
    """How much of the processor time that it asked for it used since the sample before; None of a run's first."""
    if before is None or before.lease_id != sample.lease_id or sample.at_ms <= before.at_ms:
        return None
    used = max(0, sample.usage.cpu_ms - before.usage.cpu_ms)
    had = (sample.at_ms - before.at_ms) * cpu_millis / 1000
    return round(100 * used / had, 1) if had else None


def gpu_percent(gpus: Sequence[GpuUse]) -> float | None:
    """How busy they are, mean of those that tell."""
    told = [gpu.utilisation_percent for gpu in gpus if gpu.utilisation_percent is not None]
    return round(sum(told) / len(told), 1) if told else None


def totals(samples: Sequence[Sample]) -> Totals:
    """Of samples by time; those of a lease follow one another."""
    if not samples:
        return Totals()
    last = {sample.lease_id: sample.usage for sample in samples}.values()
    busy = [
        gpu.utilisation_percent
        for sample in samples
        for gpu in sample.usage.gpus
        if gpu.utilisation_percent is not None
    ]
    with_gpus = [sample.usage.gpus for sample in samples if sample.usage.gpus]
    return Totals(
        cpu_ms=sum(usage.cpu_ms for usage in last),
        memory_bytes=samples[-1].usage.memory_bytes,
        memory_peak_bytes=max(sample.memory_peak_bytes for sample in samples),
        disk_read_bytes=_sum([usage.disk_read_bytes for usage in last]),
        disk_written_bytes=_sum([usage.disk_written_bytes for usage in last]),
        network_received_bytes=_sum([usage.network_received_bytes for usage in last]),
        network_sent_bytes=_sum([usage.network_sent_bytes for usage in last]),
        gpu_mean_percent=round(sum(busy) / len(busy), 1) if busy else None,
        gpu_most_percent=max(busy, default=None),
        gpu_memory_peak_bytes=_most(
            _sum([g.memory_used_bytes for g in gpus]) for gpus in with_gpus
        ),
        gpu_most_celsius=_most(g.temperature_celsius for gpus in with_gpus for g in gpus),
        gpu_most_milliwatts=_most(_sum([g.power_milliwatts for g in gpus]) for gpus in with_gpus),
    )


def _sum(values: Sequence[int | None]) -> int | None:
    told = [value for value in values if value is not None]
    return sum(told) if told else None


def _most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)
