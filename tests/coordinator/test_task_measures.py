"""What is told of a task's work while it goes on."""

from typing import Any

import pytest

from neurogrid_coordinator.tasks.task_measures import Measures, measure


def at(at_s: float, **changes: Any) -> Measures:
    values: dict[str, Any] = {
        "created_at_ms": 0,
        "started_at_ms": 10_000,
        "ended_at_ms": None,
        "at_ms": int(at_s * 1000),
        "timeout_s": 100,
        "progress_permille": 0,
        "memory_bytes": 1000,
        "memory_peak_bytes": 0,
        "score_permille": 500,
    }
    return measure(**(values | changes))


def test_latency_is_the_time_until_its_container_started() -> None:
    assert at(4, started_at_ms=None).latency_ms == 4000
    assert at(50).latency_ms == 10_000


@pytest.mark.parametrize(
    ("at_s", "permille", "remaining_s"),
    [
        (30, 0, 80),  # nothing said: until its timeout
        (30, 500, 20),  # half of it took 20 s
        (30, 10, 80),  # at that pace its timeout comes first
        (300, 0, 0),
        (30, 1000, 0),
    ],
)
def test_what_remains_follows_from_the_pace_so_far(
    at_s: float, permille: int, remaining_s: float
) -> None:
    assert at(at_s, progress_permille=permille).time_remaining_s == remaining_s


def test_what_has_ended_needs_nothing_more() -> None:
    assert at(30, ended_at_ms=30_000).time_remaining_s == 0


def test_memory_is_told_of_what_was_asked_for() -> None:
    half = at(30, memory_peak_bytes=500)
    assert (half.resource_usage, half.resource_needed_bytes) == (0.5, 500)
    assert at(30, memory_peak_bytes=5000).resource_usage == 1.0
    assert at(30, memory_bytes=0, memory_peak_bytes=5).resource_usage == 0.0
    assert at(30).quality == 0.5
