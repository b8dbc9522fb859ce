"""Readings of one minute, summed up: what the history keeps. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from .gpu_state import GPUS_MAX, GpuState
from .history import HOST, MINUTE_MS, Sample

_UNITS_MAX: Final = 2 * GPUS_MAX


@dataclass(slots=True)
class _Sum:
    samples: int = 0
    busy: int = 0
    busy_samples: int = 0
    memory_bytes: int | None = None
    temperature_celsius: int | None = None
    power_milliwatts: int | None = None


@dataclass(slots=True)
class Minute:
    """What has been read since a minute began."""

    began_ms: int = 0
    _sums: dict[str, _Sum] = field(default_factory=dict)

    def take(
        self, gpus: Iterable[GpuState], busy_percent: int, memory_bytes: int, now_ms: int
    ) -> tuple[Sample, ...]:
        """Add a reading; the minute that it ends, if it ends one.

        Args:
            busy_percent: of the machine's processors.
            memory_bytes: that the machine uses.
        """
        minute_ms = now_ms // MINUTE_MS * MINUTE_MS
        ended = self._samples() if minute_ms != self.began_ms else ()
        if minute_ms != self.began_ms:
            self.began_ms, self._sums = minute_ms, {}
        self._add(HOST, busy_percent, memory_bytes, None, None)
        for gpu in gpus:
            self._add(
                gpu.uuid,
                gpu.utilisation_percent,
                gpu.memory_used_bytes,
                gpu.temperature_celsius,
                gpu.power_milliwatts,
            )
        return ended

    def _add(
        self,
        unit: str,
        busy: int | None,
        memory_bytes: int,
        temperature: int | None,
        power: int | None,
    ) -> None:
        if unit not in self._sums and len(self._sums) >= _UNITS_MAX:
            return
        entry = self._sums.setdefault(unit, _Sum())
        entry.samples += 1
        if busy is not None:
            entry.busy += busy
            entry.busy_samples += 1
        entry.memory_bytes = _most(entry.memory_bytes, memory_bytes)
        entry.temperature_celsius = _most(entry.temperature_celsius, temperature)
        entry.power_milliwatts = _most(entry.power_milliwatts, power)

    def _samples(self) -> tuple[Sample, ...]:
        return tuple(
            Sample(
                unit,
                self.began_ms,
                entry.samples,
                entry.busy / entry.busy_samples if entry.busy_samples else None,
                entry.memory_bytes,
                entry.temperature_celsius,
                entry.power_milliwatts,
            )
            for unit, entry in self._sums.items()
        )


def _most(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)
