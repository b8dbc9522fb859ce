"""What a lease for use has passed on: of the answers that are over, and of those under way. Pure."""

from neurogrid_marketplace.units import NOTHING_SERVED, Units


class Tally:
    """Of one lease. What it counts while the node lives, the journal knows as of the last meter.

    Args:
        before: what the journal knows.

    Attributes:
        units: all of it.
    """

    def __init__(self, before: Units = NOTHING_SERVED) -> None:
        # Kept, and not added up anew for each piece of each answer.
        self.units = before
        self._under_way: dict[int, Units] = {}
        self._next = 0

    @property
    def at_work(self) -> int:
        """Requests that are being answered."""
        return len(self._under_way)

    def begin(self) -> int:
        """A request is taken; what it is called from here on."""
        self._next += 1
        self._under_way[self._next] = NOTHING_SERVED
        return self._next

    def with_more(self, request: int, units: Units) -> Units:
        """All of it, were so much of this answer passed on in all."""
        return (self.units - self._under_way[request]) + units

    def passed(self, request: int, units: Units) -> None:
        """So much of its answer has been passed on in all; a server's own word may be less than what was counted before it."""
        if units is not self._under_way[request]:
            self.units = self.with_more(request, units)
            self._under_way[request] = units

    def end(self, request: int) -> None:
        """There will be no more of it."""
        del self._under_way[request]
