"""Which idle replicas of other models go, so that one that is waited for has a place. Pure.

A model whose first replica no node has room for takes the place of those that have been idle longest, of models that nobody waits
for. So that two models do not take turns at one place, each replica stays for ten of its own starts, and half a minute at least: whatever
is asked, no more than one part in eleven of a place's time goes into starts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .resources import Capacity, Requirements

# From its first request on; in units of what its start has taken.
_STARTS: Final = 10
_STAY_MS: Final = 30_000
# A client that asks one question after the other pauses between them.
_IDLE_MS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Occupant:
    """A replica of another model that answers nobody now, and of which nobody waits for another.

    Attributes:
        has: what it was given of its node.
        ready_ms: for how long it has taken requests; idle_ms: since it has answered one.
        start_ms: what its model's starts take; 0: that is not known.
    """

    replica_id: str
    node_id: str
    has: Requirements
    ready_ms: int
    idle_ms: int
    start_ms: int = 0

    @property
    def may_go(self) -> bool:
        """Whether it has stayed long enough."""
        return self.idle_ms >= _IDLE_MS and self.ready_ms >= max(_STAY_MS, _STARTS * self.start_ms)


def room_for(
    need: Requirements, free: Mapping[str, Capacity], there: Sequence[Occupant]
) -> tuple[str, ...]:
    """Who goes: on one node, as few as can be, those that are idle longest. Nobody where that makes no room.

    Args:
        free: what each node has left.
    """
    choices = []
    for node_id, left in free.items():
        if _fits(need, left, ()):
            # That it was not taken there has another reason.
            continue
        going: list[Occupant] = []
        may_go = sorted(
            (each for each in there if each.node_id == node_id and each.may_go),
            key=lambda each: (-each.idle_ms, each.replica_id),
        )
        for each in may_go:
            going.append(each)
            if _fits(need, left, going):
                choices.append(_without_vain(need, left, going))
                break
    if not choices:
        return ()
    best = min(choices, key=lambda each: (len(each), -min(one.idle_ms for one in each)))
    return tuple(each.replica_id for each in best)


def _without_vain(
    need: Requirements, left: Capacity, going: Sequence[Occupant]
) -> Sequence[Occupant]:
    """The same without those that need not go; the last one to be idle is asked first."""
    kept = list(going)
    for each in reversed(going):
        fewer = [one for one in kept if one is not each]
        if _fits(need, left, fewer):
            kept = fewer
    return kept


def _fits(need: Requirements, left: Capacity, gone: Sequence[Occupant]) -> bool:
    gpus = left.largest_gpu_group(need) if need.gpu_count else 0
    # Which GPUs one has its node alone knows; that they are large enough is known of those that it was asked for.
    gpus += sum(
        each.has.gpu_count
        for each in gone
        if each.has.gpu_memory_bytes >= need.gpu_memory_bytes
        and need.compute_capability in ("0.0", each.has.compute_capability)
    )
    return (
        left.cpu_millis + sum(each.has.cpu_millis for each in gone) >= need.cpu_millis
        and left.memory_bytes + sum(each.has.memory_bytes for each in gone) >= need.memory_bytes
        and left.disk_bytes + sum(each.has.disk_bytes for each in gone) >= need.disk_bytes
        and gpus >= need.gpu_count
    )
