"""What is known of a task's work while it goes on, and what follows from that for the rest of it. Pure.

Everything is measured or worked out from what was; where nothing is known yet it is 0.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measures:
    """A task's work.

    Attributes:
        quality: how well its node has kept its word so far (its score), 0 to 1.
        latency_ms: from its submission to the start of its container; until now while there is none.
        resource_usage: the most memory that it has had at once, of what it asked for, 0 to 1.
        time_remaining_s: at the pace of its own progress so far; without any, until its timeout.
        resource_needed_bytes: of memory: the most that it has had at once, which it needs at least.
    """

    quality: float
    latency_ms: int
    resource_usage: float
    time_remaining_s: float
    resource_needed_bytes: int


def measure(
    *,
    created_at_ms: int,
    started_at_ms: int | None,
    ended_at_ms: int | None,
    at_ms: int,
    timeout_s: int,
    progress_permille: int,
    memory_bytes: int,
    memory_peak_bytes: int,
    score_permille: int,
) -> Measures:
    """What is known at a moment.

    Args:
        progress_permille: as the job says; 0 where it says nothing.
        memory_bytes: what it asked for.
    """
    began_ms = at_ms if started_at_ms is None else started_at_ms
    ran_s = max(0, at_ms - began_ms) / 1000
    if ended_at_ms is not None or progress_permille >= 1000:
        remaining_s = 0.0
    elif progress_permille > 0:
        # A job that slows down would otherwise be promised more time than it has.
        left_s = ran_s * (1000 - progress_permille) / progress_permille
        remaining_s = min(left_s, max(0.0, timeout_s - ran_s))
    else:
        remaining_s = max(0.0, timeout_s - ran_s)
    return Measures(
        quality=score_permille / 1000,
        latency_ms=max(0, began_ms - created_at_ms),
        resource_usage=min(1.0, round(memory_peak_bytes / memory_bytes, 3))
        if memory_bytes
        else 0.0,
        time_remaining_s=round(remaining_s, 3),
        resource_needed_bytes=memory_peak_bytes,
    )
