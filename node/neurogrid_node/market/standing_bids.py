"""What this machine has bid and may still be held to. No I/O, no clock."""

from collections import OrderedDict

from neurogrid_marketplace.asked import Asked
from neurogrid_marketplace.demand import Demand

from .reservations import BidName

# Demands whose award may still come; each is a few hundred bytes and is answered within seconds.
_DEMANDS_KEPT = 1024


class StandingBids:
    """The newest of them, by coordinator and demand."""

    def __init__(self) -> None:
        self._asked: OrderedDict[BidName, Asked] = OrderedDict()

    def find(self, name: BidName, now_ms: int) -> Asked | None:
        """What stands under this name; None of one that is no longer valid."""
        asked = self._asked.get(name)
        return asked if asked is not None and asked.bid.valid_until_ms > now_ms else None

    def of_demand(self, name: BidName, demand: Demand, now_ms: int) -> Asked | None:
        """What stands for a demand that is asked again: a lost answer gets the same one."""
        asked = self.find(name, now_ms)
        return asked if asked is not None and asked.demand == demand else None

    def keep(self, name: BidName, asked: Asked) -> None:
        """Let it stand; the oldest one makes room."""
        self._asked[name] = asked
        while len(self._asked) > _DEMANDS_KEPT:
            self._asked.popitem(last=False)

    def forget(self, name: BidName) -> None:
        """It stands no more."""
        self._asked.pop(name, None)
