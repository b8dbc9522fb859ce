"""How busy the machine was: kept by the minute for a day and by the hour for a month."""

from dataclasses import replace
from pathlib import Path

import pytest

from neurogrid_node.machine.fitness import Withheld
from neurogrid_node.machine.gpu_state import GpuState
from neurogrid_node.machine.history import (
    FILE_NAME,
    HOST,
    HOUR_MS,
    MINUTE_MS,
    History,
    Sample,
    read_history,
)
from neurogrid_node.machine.minute import Minute

GPU = GpuState(0, "GPU-a", "NVIDIA H100", 80 << 30, 0, "9.0", 50, 40, 70_000, ())
START_MS = 490_000 * HOUR_MS


def minute(number: int, unit: str = HOST, busy: float | None = 50.0) -> Sample:
    return Sample(unit, START_MS + number * MINUTE_MS, 12, busy, 7, 40, 100)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / FILE_NAME)


def fill(history: History, *samples: Sample) -> None:
    """Each is stored when its minute is over."""
    for sample in samples:
        history.add([sample], sample.at_ms + MINUTE_MS)


def test_minutes_are_summed_up_to_hours(history: History, tmp_path: Path) -> None:
    fill(history, *(minute(number, busy=float(number)) for number in range(70)))
    minutes = read_history(tmp_path, MINUTE_MS, 0)
    assert [sample.at_ms for sample in minutes] == [
        START_MS + number * MINUTE_MS for number in range(70)
    ]
    first, second = read_history(tmp_path, HOUR_MS, 0)
    assert (first.samples, first.utilisation_percent) == (60 * 12, 29.5)
    assert (second.at_ms, second.samples) == (START_MS + HOUR_MS, 10 * 12)
    assert read_history(tmp_path, HOUR_MS, START_MS + 1) == [second]


def test_storing_a_minute_twice_counts_once(history: History, tmp_path: Path) -> None:
    fill(history, minute(0), minute(0), minute(1))
    (hour,) = read_history(tmp_path, HOUR_MS, 0)
    assert hour.samples == 24


def test_what_is_not_told_is_left_out_of_the_mean(history: History, tmp_path: Path) -> None:
    fill(history, minute(0, "MIG-a", None), minute(1, "MIG-a", 80.0), minute(2, "MIG-b", None))
    mean = {hour.unit: hour.utilisation_percent for hour in read_history(tmp_path, HOUR_MS, 0)}
    assert mean == {"MIG-a": 80.0, "MIG-b": None}


def test_minutes_go_after_a_day_and_hours_after_a_month(history: History, tmp_path: Path) -> None:
    fill(history, minute(0), minute(26 * 60))
    assert [sample.at_ms for sample in read_history(tmp_path, MINUTE_MS, 0)] == [
        START_MS + 26 * HOUR_MS
    ]
    assert len(read_history(tmp_path, HOUR_MS, 0)) == 2
    fill(history, minute(32 * 24 * 60))
    assert len(read_history(tmp_path, HOUR_MS, 0)) == 1


def test_a_clock_that_was_set_back_leaves_nothing_of_the_future(
    history: History, tmp_path: Path
) -> None:
    fill(history, minute(10_000), minute(0))
    assert {sample.at_ms for sample in read_history(tmp_path, MINUTE_MS, 0)} == {START_MS}


def test_units_that_come_and_go_do_not_fill_the_disk(tmp_path: Path) -> None:
    history = History(tmp_path / FILE_NAME, rows_max=10)
    fill(history, *(minute(number, f"MIG-{number}") for number in range(30)))
    rows = read_history(tmp_path, MINUTE_MS, 0) + read_history(tmp_path, HOUR_MS, 0)
    assert len(rows) <= 10


@pytest.mark.parametrize("content", [b"nonsense" * 1000, b""])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert read_history(tmp_path, MINUTE_MS, 0) == []
    history = History(tmp_path / FILE_NAME)
    fill(history, minute(0))
    assert len(read_history(tmp_path, MINUTE_MS, 0)) == 1


def test_no_file_is_no_history(tmp_path: Path) -> None:
    assert read_history(tmp_path, HOUR_MS, 0) == []


def test_what_is_withheld_is_remembered_until_its_time_is_over(history: History) -> None:
    broken = Withheld("GPU-a", "xid", "XID 79", 1, 1000, 2)
    history.save_withheld([broken, Withheld("GPU-b", "gone", "gone", 1, 1, 1)])
    assert history.withheld(999) == [broken]
    assert history.withheld(1000) == []
    history.save_withheld([])
    assert history.withheld(0) == []


def test_a_minute_sums_up_its_readings() -> None:
    minute = Minute()
    hot = replace(GPU, utilisation_percent=100, temperature_celsius=80, memory_used_bytes=9)
    part = replace(GPU, uuid="MIG-b", utilisation_percent=None, power_milliwatts=None)
    assert minute.take([GPU, part], 10, 5, START_MS) == ()
    assert minute.take([hot, part], 30, 4, START_MS + 30_000) == ()
    assert minute.take([], 0, 0, START_MS + MINUTE_MS) == (
        Sample(HOST, START_MS, 2, 20.0, 5, None, None),
        Sample("GPU-a", START_MS, 2, 75.0, 9, 80, 70_000),
        Sample("MIG-b", START_MS, 2, None, 0, 40, None),
    )
