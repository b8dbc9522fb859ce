"""What everybody may know of the market, as Prometheus reads it. docs/dialects/openruntime.md lists it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from neurogrid_telemetry.metrics import Kind, Metric, Sample

if TYPE_CHECKING:
    from neurogrid_telemetry.exposition import Exposition


@dataclass(frozen=True, slots=True)
class MarketFigures:
    """Of the whole market.

    Attributes:
        gpu_utilization, memory_usage: percent (`services.market_state`).
        active_tasks: that have a node.
        ai_tasks_processed: answers of models, by tasks and by replicas.
    """

    gpu_utilization: float
    memory_usage: float
    active_tasks: int
    ai_tasks_processed: int
    uptime_s: int


def _gauge(short: str, help: str) -> Metric:
    return Metric(f"neurogrid_market_{short}", Kind.GAUGE, help, ())


_GPUS: Final = _gauge("gpus_taken_percent", "Share of all offered GPUs that jobs have.")
_MEMORY: Final = _gauge("memory_taken_percent", "Share of all offered memory that jobs have.")
_ACTIVE: Final = _gauge("active_tasks", "Tasks that have a node.")
_ANSWERED: Final = _gauge("ai_tasks_processed", "Answers of models, by tasks and by replicas.")
_UPTIME: Final = _gauge("uptime_seconds", "Since the coordinator was started.")
_CATALOGUE: Final = (_GPUS, _MEMORY, _ACTIVE, _ANSWERED, _UPTIME)


class PublicMetrics:
    """Writes `MarketFigures` for Prometheus."""

    def __init__(self) -> None:
        self._exposition: Exposition | None = None

    def render(self, figures: MarketFigures, accept: str) -> tuple[bytes, str]:
        """The text and its content type, in a form that whoever asks accepts."""
        if self._exposition is None:
            # Here: it is only for those who want it.
            from neurogrid_telemetry.exposition import Exposition

            # Of the process itself nothing: that is its operator's.
            self._exposition = Exposition(_CATALOGUE, process=False)
        return self._exposition.render(_samples(figures), accept)


def _samples(figures: MarketFigures) -> Iterator[Sample]:
    yield Sample(_GPUS, (), figures.gpu_utilization)
    yield Sample(_MEMORY, (), figures.memory_usage)
    yield Sample(_ACTIVE, (), figures.active_tasks)
    yield Sample(_ANSWERED, (), figures.ai_tasks_processed)
    yield Sample(_UPTIME, (), figures.uptime_s)
