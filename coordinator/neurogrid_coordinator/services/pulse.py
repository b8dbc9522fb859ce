"""When a loop last went round: what shows whether it still does."""

import time

from .health import Details, Health

# Every loop that is looked at goes round about once a second.
_SLOW_S = 10.0
_STOPPED_S = 60.0


class Pulse:
    """Of one loop; it has not gone round yet."""

    def __init__(self) -> None:
        self._at_s: float | None = None

    def beat(self) -> None:
        """It went round."""
        self._at_s = time.monotonic()

    def look(self) -> tuple[Health, Details]:
        """Degraded: it has not gone round for ten seconds; unhealthy: for a minute, or never."""
        if self._at_s is None:
            return "unhealthy", {"last_round_seconds_ago": None}
        ago_s = time.monotonic() - self._at_s
        health: Health = "healthy"
        if ago_s > _SLOW_S:
            health = "unhealthy" if ago_s > _STOPPED_S else "degraded"
        return health, {"last_round_seconds_ago": round(ago_s, 1)}
