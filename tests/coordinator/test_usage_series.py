"""Series of what jobs use stay small, and what they come to is not lost."""

from itertools import pairwise

from neurogrid_coordinator.tasks.usage_series import (
    SAMPLES_MAX,
    Sample,
    Totals,
    cpu_percent,
    gpu_percent,
    spacing_ms,
    superfluous,
    totals,
)
from neurogrid_marketplace.usage import GpuUse, LeaseUsage

DAY_MS = 86_400_000


def sample(at_ms: int, cpu_ms: int = 0, lease: str = "one", **changes: object) -> Sample:
    usage = LeaseUsage(cpu_ms, 100, **changes)  # type: ignore[arg-type]  # its fields
    return Sample(lease, at_ms, usage, 200)


def kept_of(run_ms: int, every_ms: int) -> list[int]:
    """The times of the samples that are kept of a run."""
    kept: list[int] = []
    for at_ms in range(0, run_ms, every_ms):
        if kept and at_ms - kept[-1] < spacing_ms(kept[0], at_ms):
            continue
        gone = set(superfluous(kept))
        kept = [each for each in kept if each not in gone]
        kept.append(at_ms)
        assert len(kept) <= SAMPLES_MAX
    return kept


def test_a_short_run_keeps_every_sample_and_a_long_one_is_spanned_by_few() -> None:
    assert kept_of(60_000, 5_000) == list(range(0, 60_000, 5_000))
    # Heartbeats may come oftener.
    assert len(kept_of(60_000, 1_000)) == 12
    kept = kept_of(7 * DAY_MS, 5_000)
    assert SAMPLES_MAX // 4 < len(kept) <= SAMPLES_MAX
    assert (kept[0], 7 * DAY_MS - kept[-1]) <= (0, DAY_MS)
    gaps = [after - before for before, after in pairwise(kept)]
    assert max(gaps) <= 4 * sorted(gaps)[len(gaps) // 2]


def test_what_goes_is_every_second_one_between_the_first_and_the_last() -> None:
    assert superfluous(range(SAMPLES_MAX - 1)) == []
    gone = superfluous(range(SAMPLES_MAX))
    assert len(gone) == SAMPLES_MAX // 2 - 1
    assert 0 not in gone
    assert SAMPLES_MAX - 1 not in gone


def test_processors_are_measured_from_sample_to_sample_of_a_run() -> None:
    first, second = sample(1_000, 500), sample(6_000, 5_500)
    assert cpu_percent(None, first, 2_000) is None
    assert cpu_percent(first, second, 2_000) == 50.0
    assert cpu_percent(first, second, 1_000) == 100.0
    assert cpu_percent(first, sample(6_000, 5_500, "another"), 2_000) is None
    # A node that restarts its count, or our clock that is set back, is no negative use.
    assert cpu_percent(second, sample(7_000, 0), 2_000) == 0.0
    assert cpu_percent(second, first, 2_000) is None


def test_all_runs_are_summed_and_what_nobody_tells_is_none() -> None:
    assert totals([]) == Totals()
    busy = (GpuUse("GPU-1", 50, 10, 60, 100_000), GpuUse("GPU-2", 100, 20, 70, 150_000))
    idle = (GpuUse("GPU-1", 0, 5, 40, 20_000), GpuUse("GPU-2"))
    found = totals(
        [
            sample(1, 1_000, "one", disk_read_bytes=5, gpus=busy),
            sample(2, 2_000, "one", disk_read_bytes=9, gpus=idle),
            sample(3, 500, "two", disk_read_bytes=1, network_sent_bytes=7),
        ]
    )
    assert (found.cpu_ms, found.disk_read_bytes, found.disk_written_bytes) == (2_500, 10, None)
    assert (found.network_sent_bytes, found.network_received_bytes) == (7, None)
    assert (found.memory_bytes, found.memory_peak_bytes) == (100, 200)
    assert (found.gpu_mean_percent, found.gpu_most_percent) == (50.0, 100)
    assert (found.gpu_memory_peak_bytes, found.gpu_most_celsius) == (30, 70)
    assert found.gpu_most_milliwatts == 250_000
    assert gpu_percent(busy) == 75.0
    assert gpu_percent((GpuUse("GPU-2"),)) is None
