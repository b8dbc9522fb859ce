"""The nodes that may be asked, kept so that an order's cost does not grow with their number.

`draw` gives what `matching.sample` gives of the eligible ones, without looking at all of them. It
walks the ring from the demand's place until the pool is full: that takes 64 looks where every node
fits, 6,400 where one in a hundred does. So when the walks for demands of one shape have together
looked at as many nodes as there are, those that meet the shape's standing constraints are listed,
and the list is kept up as offers change; later orders walk the list. That costs at most twice what
the best plan made in hindsight would. Heartbeats change no list: what is free now is looked at in
the walk.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

from .attributes import NodeFacts
from .constraints import is_free, meets, standing_constraints_of
from .demand import Demand
from .matching import (
    POOL_SIZE,
    SAMPLE_SIZE,
    Place,
    place_of,
    sample,
    shape_of,
    start_of,
)
from .offer import Offer
from .spreading import NOBODY, Barred
from .standing import UNKNOWN, Standing

# Shapes that have a list; each costs a look whenever a node changes its offer.
SHAPES_MAX = 256
# Shapes without one whose looks are counted.
_COUNTED_MAX = 4 * SHAPES_MAX


class Candidates:
    """Every node's offer, in the order of the ring.

    Attributes:
        looks: how many offers were held against demands so far, to be measured by.
    """

    def __init__(self, offers: Iterable[Offer] = ()) -> None:
        self._offers = {offer.node_id: offer for offer in offers}
        self._standings: dict[str, Standing] = {}
        self._ring: list[Place] = sorted(place_of(node_id) for node_id in self._offers)
        self._shapes: OrderedDict[Demand, list[Place]] = OrderedDict()
        self._counted: OrderedDict[Demand, int] = OrderedDict()
        self.looks = 0

    def __len__(self) -> int:
        return len(self._offers)

    def offers(self) -> list[Offer]:
        """All of them."""
        return list(self._offers.values())

    def put(self, offer: Offer) -> None:
        """A node offers this from now on."""
        known = self._offers.get(offer.node_id)
        self._offers[offer.node_id] = offer
        place = place_of(offer.node_id)
        if known is None:
            insort(self._ring, place)
        elif _beaten(known, offer) == offer:
            return
        self._relist(offer)

    def stand(self, node_id: str, standing: Standing) -> None:
        """This is known of a node from now on; nothing happens if it is not there."""
        offer = self._offers.get(node_id)
        if offer is not None and self._standings.get(node_id) != standing:
            self._standings[node_id] = standing
            self._relist(offer)

    def standings(self) -> Mapping[str, Standing]:
        """Node id -> what is known of it, of those of whom anything is."""
        return self._standings

    def drop(self, node_id: str) -> None:
        """A node is gone; nothing happens if it was not there."""
        if self._offers.pop(node_id, None) is None:
            return
        self._standings.pop(node_id, None)
        place = place_of(node_id)
        for places in (self._ring, *self._shapes.values()):
            _remove(places, place)

    def draw(
        self,
        demand: Demand,
        *,
        size: int = SAMPLE_SIZE,
        excluded: frozenset[str] = frozenset(),
        places: Barred = NOBODY,
        weights: Mapping[str, int] | None = None,
    ) -> list[Offer]:
        """Up to ``size`` of the nodes that meet every constraint, best draw first.

        Args:
            excluded: nodes that are not asked.
            places: where nobody is asked.
            weights: see `matching.sample`.
        """
        pool = self.pool(demand, excluded=excluded, places=places)
        return sample(pool, demand.demand_id, size=size, weights=weights)

    def pool(
        self,
        demand: Demand,
        *,
        excluded: frozenset[str] = frozenset(),
        places: Barred = NOBODY,
    ) -> list[Offer]:
        """The nodes that the draw is made among; with less than `POOL_SIZE`, all there are."""
        shape = shape_of(demand)
        listed = self._shapes.get(shape)
        # What is listed meets them already.
        standing = standing_constraints_of(demand) if listed is None else ()
        before = self.looks
        found: list[Offer] = []
        for offer in self._around(self._ring if listed is None else listed, demand):
            self.looks += 1
            if offer.node_id in excluded or places.has_offer(offer):
                continue
            facts = self._facts(offer, demand)
            if meets(facts, standing) and is_free(facts):
                found.append(offer)
                if len(found) == POOL_SIZE:
                    break
        if listed is None:
            self._count(shape, self.looks - before)
        else:
            self._shapes.move_to_end(shape)
        return found

    def _around(self, places: list[Place], demand: Demand) -> Iterator[Offer]:
        """The offers at these places, once around the ring from the demand's own."""
        start = bisect_left(places, start_of(demand.demand_id))
        for index in chain(range(start, len(places)), range(start)):
            yield self._offers[places[index][1]]

    def _count(self, shape: Demand, looks: int) -> None:
        """Note what a walk without a list has cost; list the shape when that pays."""
        counted = self._counted.pop(shape, 0) + looks
        if counted < len(self._ring):
            self._counted[shape] = counted
            _bound(self._counted, _COUNTED_MAX)
            return
        self.looks += len(self._ring)
        standing = standing_constraints_of(shape)
        self._shapes[shape] = [
            place
            for place in self._ring
            if meets(self._facts(self._offers[place[1]], shape), standing)
        ]
        _bound(self._shapes, SHAPES_MAX)

    def _relist(self, offer: Offer) -> None:
        """Enter a node in the lists of the shapes that it meets now, and in no others."""
        place = place_of(offer.node_id)
        for shape, listed in self._shapes.items():
            self.looks += 1
            _remove(listed, place)
            if meets(self._facts(offer, shape), standing_constraints_of(shape)):
                insort(listed, place)

    def _facts(self, offer: Offer, demand: Demand) -> NodeFacts:
        return NodeFacts(offer, demand, self._standings.get(offer.node_id, UNKNOWN))


def _beaten(known: Offer, offer: Offer) -> Offer:
    """The known offer with what a heartbeat changes."""
    return replace(known, free=offer.free, accepting=offer.accepting, reclaimable=offer.reclaimable)


def _bound(cache: OrderedDict[Demand, Any], size: int) -> None:
    """Forget what was used longest ago."""
    if len(cache) > size:
        cache.popitem(last=False)


def _remove(places: list[Place], place: Place) -> None:
    index = bisect_left(places, place)
    if index < len(places) and places[index] == place:
        del places[index]
