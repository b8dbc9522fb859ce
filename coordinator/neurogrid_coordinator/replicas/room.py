"""Room for a model that is asked and that no node has a place for: idle replicas of other models make it.

Which of them go says `replica_room`. Their models want them no longer until they are asked again, so the place is the waiting one's.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from neurogrid_marketplace.model_catalogue import Model
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.replica_room import Occupant, room_for
from neurogrid_marketplace.replica_scaling import Need
from neurogrid_marketplace.resources import Requirements

from .orders import ReplicaSettings, replica_submission
from .pool import Pool

_log = logging.getLogger(__name__)

# From the end of the others to the award of the one that is waited for: their servers may take their time to stop.
_MAKING_MS: Final = 60_000
# Where that was in vain, room is not what is missing.
_AGAIN_AFTER_MS: Final = 600_000


class Room:
    """See the module.

    Args:
        offers: of the nodes that are connected.
        end: lets a replica go, by its task.
    """

    def __init__(
        self,
        settings: ReplicaSettings,
        pools: Mapping[str, Pool],
        *,
        offers: Callable[[], Sequence[Offer]],
        end: Callable[[str], Awaitable[None]],
        now_ms: Callable[[], int],
    ) -> None:
        self._pools = pools
        self._offers = offers
        self._end = end
        self._now_ms = now_ms
        self._needs = {
            model_id: _needs(model, settings) for model_id, model in settings.models.items()
        }
        # By model: until when room is being made for it.
        self._made: dict[str, int] = {}

    async def look(self) -> None:
        """Say of each model whether it may have room, and make it where somebody waits."""
        now_ms = self._now_ms()
        for pool in self._pools.values():
            if any(each.takes for each in pool.replicas.values()):
                self._made.pop(pool.model_id, None)
            if not pool.is_stuck:
                pool.has_room = False
                continue
            until_ms = self._made.get(pool.model_id)
            if until_ms is not None and now_ms < until_ms + _AGAIN_AFTER_MS:
                pool.has_room = now_ms < until_ms
                continue
            going = self._going(pool, now_ms)
            pool.has_room = bool(going)
            if going and pool.waiting:
                self._made[pool.model_id] = now_ms + _MAKING_MS
                for task_id in going:
                    await self._let_go(pool, task_id)

    def _going(self, pool: Pool, now_ms: int) -> tuple[str, ...]:
        there = [
            occupant
            for other in self._pools.values()
            if other is not pool and not other.waiting
            for occupant in self._occupants(other, now_ms)
        ]
        free = {
            offer.node_id: offer.free
            for offer in self._offers()
            if offer.accepting and offer.serving is not None
        }
        return room_for(self._needs[pool.model_id], free, there)

    def _occupants(self, pool: Pool, now_ms: int) -> list[Occupant]:
        """Those of a model that it could do without."""
        there = [each for each in pool.replicas.values() if each.takes]
        found = [
            Occupant(
                *(each.task_id, each.lease.node_id, self._needs[pool.model_id]),
                ready_ms=now_ms - each.ready_at_ms,
                idle_ms=now_ms - max(each.ready_at_ms, each.worked_at_ms),
                start_ms=pool.cold_starts.expected_ms() or 0,
            )
            for each in there
            if each.lease is not None and not each.at_work
        ]
        found.sort(key=lambda each: -each.idle_ms)
        return found[: max(0, len(there) - pool.limits.least)]

    async def _let_go(self, waiting: Pool, task_id: str) -> None:
        pool = next(each for each in self._pools.values() if task_id in each.replicas)
        replica = pool.replicas[task_id]
        if replica.at_work:
            # Asked while another one was being ended.
            return
        replica.leaving = True
        # As many as stay are wanted: else it would be begun anew at once.
        staying = sum(not each.leaving for each in pool.replicas.values())
        pool.need = Need(pool.need.last_ms[:staying])
        _log.info(
            "replica %s of %s, which nobody asks, makes room for %s",
            *(task_id, pool.model_id, waiting.model_id),
        )
        await self._end(task_id)


def _needs(model: Model, settings: ReplicaSettings) -> Requirements:
    return replica_submission(model, settings).requirements
