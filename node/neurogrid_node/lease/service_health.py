"""Whether a job's service is well: what each look at it means, and when it is given up. Pure.

Without a health path a service is only looked at: it is ready once it takes connections, and never ended.
"""

from dataclasses import dataclass, replace
from typing import Final

from neurogrid_marketplace.service import Service

# Somebody waits for the first one; later ones cost the job a request each.
_UNTIL_READY_S: Final = 1.0
_WHILE_READY_S: Final = 5.0
# Twelve looks: a garbage collection or a full queue is not the end, and nobody pays for an hour of nothing.
GIVEN_UP_AFTER_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of a service.

    Attributes:
        since_s: from when on it has not been well: its start, at first.
        is_ready: whether it was well when it was looked at last.
        has_been_ready: whether it ever was.
        ending: why it is to be ended; "" while it is not.
    """

    since_s: float
    is_ready: bool = False
    has_been_ready: bool = False
    ending: str = ""

    @property
    def next_look_s(self) -> float:
        """How long until it is looked at again."""
        return _WHILE_READY_S if self.has_been_ready else _UNTIL_READY_S

    def well(self, now_s: float) -> "Health":
        """It was found well."""
        return Health(now_s, is_ready=True, has_been_ready=True)

    def unwell(self, service: Service, why: str, now_s: float) -> "Health":
        """It was not."""
        found = replace(self, is_ready=False)
        if not service.health:
            return found
        allowed_s = GIVEN_UP_AFTER_S if self.has_been_ready else service.start_s
        if now_s - self.since_s < allowed_s:
            return found
        when = "was not well" if self.has_been_ready else "did not become ready"
        return replace(
            found, ending=f"its service {when} for {allowed_s:.0f} s: GET {service.health}: {why}"
        )

    def stood_still(self, now_s: float) -> "Health":
        """It was paused, and so could not be looked at: that time does not count."""
        return replace(self, since_s=now_s)
