"""What is measured, how it is said, and what it was the last time. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

# Two runs on a machine with nothing else to do differ by less.
NOISE: Final = 0.15
# Of a UUID, what tells the GPUs of one machine apart: "GPU-" and eight digits.
_GPU_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is measured.

    Attributes:
        name: in JSON, with its unit last.
        unit: as people write it.
        words: what it is, for people.
        more_is_better: whether a higher figure is the better one.
    """

    name: str
    unit: str
    words: str
    more_is_better: bool = True


ONE_CORE: Final = Measure("sha256_one_core_mb_per_s", "MB/s", "SHA-256 on one core")
ALL_CORES: Final = Measure("sha256_all_cores_mb_per_s", "MB/s", "SHA-256 on all cores at once")
MEMORY: Final = Measure("memory_copy_mb_per_s", "MB/s", "copying memory, one core")
DISK_WRITE: Final = Measure(
    "disk_write_mb_per_s", "MB/s", "writing a file until it is safe on disk"
)
DISK_READ: Final = Measure("disk_read_mb_per_s", "MB/s", "reading it back, from the disk")
DISK_SYNC: Final = Measure("disk_sync_ms", "ms", "one small write until it is safe on disk", False)
GPU_COMPUTE: Final = Measure("gpu_multiplications_g_per_s", "G/s", "multiplications and additions")
GPU_MEMORY: Final = Measure("gpu_memory_read_gb_per_s", "GB/s", "reading memory in pieces of 4 KiB")
CONTAINER: Final = Measure(
    "container_ms", "ms", "a container like a job's, from nothing to gone", False
)
COORDINATOR: Final = Measure(
    "coordinator_ms", "ms", "a coordinator's welcome, the nearest's", False
)
MEASURES: Final = (
    *(ONE_CORE, ALL_CORES, MEMORY),
    *(DISK_WRITE, DISK_READ, DISK_SYNC),
    *(GPU_COMPUTE, GPU_MEMORY),
    *(CONTAINER, COORDINATOR),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """What one measure came to.

    Attributes:
        problem: why there is no ``value``.
        gpu: the UUID of the GPU that was measured; "" for what is no GPU's.
    """

    name: str
    value: float | None
    problem: str = ""
    gpu: str = ""

    @property
    def what(self) -> str:
        """What it is of, alone in its run."""
        return f"{self.name} {self.gpu}".rstrip()


@dataclass(frozen=True, slots=True)
class Run:
    """One run of all of them; ``at_ms``: when it began, Unix time."""

    at_ms: int
    figures: tuple[Figure, ...]


def slower(now: Run, before: Run) -> tuple[str, ...]:
    """The names, with GPUs' UUIDs, of what is worse than the last time by more than two runs differ."""
    values = {figure.what: figure.value for figure in before.figures}
    return tuple(
        figure.what
        for figure in now.figures
        if (ratio := _ratio(figure, values.get(figure.what))) is not None and ratio < 1 - NOISE
    )


def table(now: Run, before: Run | None) -> list[str]:
    """The lines that people read; beside each figure what it was before."""
    values = {figure.what: figure.value for figure in before.figures} if before else {}
    return [
        _line(measure, figure, values.get(figure.what))
        for measure in MEASURES
        for figure in now.figures
        if figure.name == measure.name
    ]


def median(values: Sequence[float]) -> float:
    """The middle of an odd number of values."""
    return sorted(values)[len(values) // 2]


def figure(measure: Measure, values: Iterable[float], gpu: str = "") -> Figure:
    """The best of several tries: what else the machine did only ever makes it worse."""
    best = max(values) if measure.more_is_better else min(values)
    return Figure(measure.name, best, gpu=gpu)


def _line(measure: Measure, found: Figure, before: float | None) -> str:
    words = measure.words if not found.gpu else f"{found.gpu[:_GPU_DIGITS]}: {measure.words}"
    if found.value is None:
        return f"{words:<47} not measured: {found.problem}"
    said = f"{words:<47} {_number(found.value):>9} {measure.unit:<4}"
    ratio = _ratio(found, before)
    if before is None or ratio is None:
        return said
    judged = "worse" if ratio < 1 - NOISE else "better" if ratio > 1 + NOISE else "as before"
    return f"{said} {judged} ({_number(before)} the last time)"


def _ratio(found: Figure, before: float | None) -> float | None:
    """How much better it is: above 1 is better."""
    if found.value is None or not before or not found.value:
        return None
    measure = next(each for each in MEASURES if each.name == found.name)
    return found.value / before if measure.more_is_better else before / found.value


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
