"""How fast somebody may go on: a token bucket, without a clock."""


class Allowance:
    """So many units per second on average, twice that in a burst.

    Args:
        now: seconds, of any clock that `take` is given the time of, too.
    """

    def __init__(self, per_second: float, now: float) -> None:
        self._per_second = per_second
        self._units = 2 * per_second
        self._at = now

    def take(self, units: float, now: float) -> float:
        """Take ``units`` and return how many seconds to wait before the next."""
        refill = (now - self._at) * self._per_second
        self._units = min(2 * self._per_second, self._units + refill) - units
        self._at = now
        return max(0.0, -self._units / self._per_second)
