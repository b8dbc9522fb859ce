"""What the coordinator has measured of the market, in sentences. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..store.analytics import TaskFigures
from .market_state import Usage


class Metric(StrEnum):
    """What is looked at."""

    PERFORMANCE = "performance"
    MEMORY = "memory"
    EFFICIENCY = "efficiency"
    ERRORS = "errors"


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured.

    Attributes:
        ended: of all accounts' tasks that ended within the time.
        now: how much of the market is taken.
        active: tasks that have a node now.
    """

    ended: TaskFigures
    now: Usage
    active: int


def facts(metric: Metric, span: str, measured: Measured) -> Sequence[str]:
    """What the measurements say of it.

    Args:
        span: the time that is looked at, in words.
    """
    ended, now = measured.ended, measured.now
    match metric:
        case Metric.PERFORMANCE:
            return (
                (
                    f"{ended.ended} tasks ended in the last {span}: {ended.completed} completed, "
                    f"{ended.failed} failed and {ended.cancelled} were cancelled."
                ),
                (
                    f"They waited {_mean_s(ended.waited_ms, ended.ran)} s for a node and ran "
                    f"{_mean_s(ended.ran_ms, ended.ran)} s, on average."
                ),
                f"{measured.active} tasks have a node now, and jobs have {now.gpu_percent:g} % of all GPUs.",
            )
        case Metric.MEMORY:
            return (
                f"Jobs have {now.memory_percent:g} % of the main memory that is offered now.",
                f"{measured.active} tasks have a node now.",
            )
        case Metric.EFFICIENCY:
            return (
                f"Jobs have {now.gpu_percent:g} % of all GPUs and {now.memory_percent:g} % of the memory now.",
                (
                    f"{ended.completed} tasks completed in the last {span}, of {ended.ended} that ended; all ran "
                    f"{ended.ran_ms / 1000:.1f} s together."
                ),
            )
        case Metric.ERRORS:
            return (
                (
                    f"{ended.failed} tasks failed in the last {span}, and {ended.completed} completed: "
                    f"{100 * ended.success_rate:.1f} % of those succeeded."
                ),
            )


def _mean_s(total_ms: int, number: int) -> str:
    return f"{max(0, total_ms) / number / 1000:.1f}" if number else "0"
