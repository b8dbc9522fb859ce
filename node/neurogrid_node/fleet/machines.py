"""The machines of a fleet: what each has for jobs of ours, and what is told of them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from neurogrid_marketplace.resources import Capacity
from neurogrid_node.container.job_engine import JobEngine
from neurogrid_node.container.spec import ImageInfo

_GIB: Final = 1 << 30
# A coordinator shows one line of a node.
_SUMMARY_CHARS_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, as its engine tells of it.

    Attributes:
        machine_id: the engine's.
        name: its host name.
        is_ready: it is heard of, and takes jobs.
        version: changes when its engine comes back.
        cpu_millis, memory_bytes: for jobs: all of it, less what the system keeps and, as far as that is
            known, what others have reserved.
        gpus: those that its engine tells of; none of them is offered.
        addresses: where its own programs may listen.
    """

    machine_id: str
    name: str
    is_ready: bool
    version: str
    cpu_millis: int
    memory_bytes: int
    gpus: int = 0
    addresses: tuple[str, ...] = ()


class FleetEngine(JobEngine, Protocol):
    """A `JobEngine` of several machines."""

    @property
    def advice(self) -> Mapping[str, str]:
        """What to do about a machine, by what its trial finds wrong (`trial.judged`)."""

    async def trial_image(self, reference: str) -> ImageInfo | None:
        """The image that its owner has machines tried with; None: it cannot be had."""

    async def machines(self) -> tuple[Machine, ...]:
        """All of them, by name. Raises `EngineError`: it does not answer."""


def capacity(machine: Machine, most: Capacity) -> Capacity:
    """What of a machine is offered.

    Args:
        most: what the owner lets one machine give, and the disk that all of them share.
    """
    return Capacity(
        cpu_millis=min(machine.cpu_millis, most.cpu_millis or machine.cpu_millis),
        memory_bytes=min(machine.memory_bytes, most.memory_bytes or machine.memory_bytes),
        disk_bytes=most.disk_bytes,
    )


def summary(found: Iterable[Machine], offered: Mapping[str, Capacity]) -> str:
    """One line for people: the machines that are offered, and how many are not."""
    here = [each for each in found if each.machine_id in offered]
    missing = sum(each.machine_id not in offered for each in found)
    words = [
        f"{each.name}: {offered[each.machine_id].cpu_millis / 1000:g} cores, "
        f"{offered[each.machine_id].memory_bytes / _GIB:.1f} GiB memory"
        for each in here
    ]
    if missing:
        words.append(f"{missing} not offered")
    return f"a fleet of {len(here)}: {'; '.join(words)}"[:_SUMMARY_CHARS_MAX]
