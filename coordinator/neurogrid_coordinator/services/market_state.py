"""How much of the market is taken now, by what its nodes said last."""

from collections.abc import Iterable
from dataclasses import dataclass

from neurogrid_marketplace.offer import Offer


@dataclass(frozen=True, slots=True)
class Usage:
    """Of all connected nodes together.

    Attributes:
        gpu_percent: of the GPUs that are offered, how many jobs have; 0 where none is offered.
        memory_percent: the same of memory.
    """

    gpu_percent: float
    memory_percent: float


def usage(offers: Iterable[Offer]) -> Usage:
    """See `Usage`. How busy a GPU is that a job has, nodes do not tell."""
    gpus = free_gpus = memory = free_memory = 0
    for offer in offers:
        gpus += len(offer.total.gpus)
        free_gpus += len(offer.free.gpus)
        memory += offer.total.memory_bytes
        free_memory += offer.free.memory_bytes
    return Usage(_percent(gpus - free_gpus, gpus), _percent(memory - free_memory, memory))


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0
