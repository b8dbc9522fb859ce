"""Taking the machine back from preemptible jobs: for its owner, and for jobs that pay more."""

from collections.abc import Callable, Collection, Mapping

from neurogrid_marketplace.attributes import NodeFacts
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.execution import metered_ms
from neurogrid_marketplace.judgement import narrowed
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.resources import Capacity

from ..lease.executor import LeaseRunner
from .bidder import Policy
from .reclaiming import ALL, Reclaimable, choose
from .reservations import Reservations, with_inputs


class Displacing:
    """Chooses who has to go (`reclaiming`), and asks them to."""

    def __init__(
        self,
        reservations: Reservations,
        runners: Mapping[str, LeaseRunner],
        policy: Policy,
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            runners: by lease id, as they are at any time.
        """
        self._reservations = reservations
        self._runners = runners
        self._policy = policy
        self._now_ms = now_ms

    def make_room(self, lease_id: str) -> bool:
        """Ask those in whose place a lease comes to go; whether they are gone."""
        in_the_way = self._reservations.in_the_way(lease_id)
        for other in in_the_way:
            self._runners[other].reclaim()
        return not in_the_way

    def reclaim(self, what: str) -> tuple[str, ...]:
        """Ask to have the machine back from a lease, or ``ALL``; from which it can be asked and is not yet on its
        way, so that asking again until there is none has stored it."""
        wanted = [
            lease_id
            for lease_id, runner in self._runners.items()
            if what in (ALL, lease_id) and runner.lease.is_reclaimable
        ]
        for lease_id in wanted:
            self._runners[lease_id].reclaim()
        return tuple(wanted)

    def _reclaimable(self) -> list[Reclaimable]:
        """The leases that may be displaced: none in whose place somebody comes already, and no replica that is being asked."""
        if not self._policy.displaces:
            return []
        now_ms = self._now_ms()
        spared = self._reservations.spoken_for(now_ms) | self._asked_replicas()
        return [
            Reclaimable(lease_id, runner.lease.reclaim_window_s, metered_ms(runner.lease, now_ms))
            for lease_id, runner in self._runners.items()
            if runner.lease.is_reclaimable
            and lease_id not in spared
            and self._reservations.held(lease_id)
        ]

    def _asked_replicas(self) -> set[str]:
        """The replicas' leases that answer requests now: who asks them pays, too, and would get half an answer."""
        uses = (runner.lease for runner in self._runners.values())
        return {lease.use.replica for lease in uses if lease.use is not None and lease.at_work}

    def free_without_spot(self) -> Capacity | None:
        """What an ordinary job could have; None if that is what is free."""
        leases = [lease.lease_id for lease in self._reclaimable()]
        return self._reservations.free_instead_of(leases, self._now_ms()) if leases else None

    def displaced_by(self, demand: Demand, offer: Offer) -> tuple[Reclaimable, ...]:
        """Who would have to go for a demand; nobody if it fits, or can't be made to."""
        facts = NodeFacts(offer, demand)
        need = with_inputs(demand.requirements, demand.input_bytes)
        now_ms = self._now_ms()

        def fits(without: Collection[str]) -> bool:
            return narrowed(self._reservations.free_instead_of(without, now_ms), facts).has(need)

        if demand.preemptible or fits(()):
            return ()
        return choose(self._reclaimable(), fits)
