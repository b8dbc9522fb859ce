"""How long a replica takes from being wanted to taking requests, phase by phase, and how long the next one will. Pure."""

from collections import deque
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from neurogrid_marketplace.task import Phase

from ..store.events import TaskEvent

# Queued: until its auction. Auction: until a node has taken it. Escrow: until the money is there. Start: until its container runs,
# its image fetched. Ready: until it takes requests.
PHASES: Final = ("queued", "auction", "escrow", "start", "ready")
# As many make a median that one slow node does not move.
KEPT_MAX: Final = 16


def phases(
    timeline: Sequence[TaskEvent], funded_at_ms: int, started_at_ms: int, ready_at_ms: int
) -> dict[str, int]:
    """Milliseconds of each phase of a replica's last start; what is not known of its task's timeline counts as nothing.

    Args:
        timeline: its task's milestones, oldest first.
        funded_at_ms, started_at_ms: of its lease.
    """
    at_ms: dict[str, int] = {}
    for event in timeline:
        at_ms[event.kind] = event.at_ms
    created = timeline[0].at_ms if timeline else ready_at_ms
    matching = at_ms.get(f"task.{Phase.MATCHING.value}", created)
    taken = at_ms.get(f"task.{Phase.STARTING.value}", matching)
    moments = (created, matching, taken, funded_at_ms, started_at_ms, ready_at_ms)
    found = {}
    since = moments[0]
    for name, moment in zip(PHASES, moments[1:], strict=True):
        found[name] = max(0, moment - since)
        since = max(since, moment)
    return found


def read_phases(noted: object) -> dict[str, int]:
    """What `phases` has found, as an event has it; empty where it is of another form, as of other releases."""
    if not isinstance(noted, dict) or set(noted) != set(PHASES):
        return {}
    took_ms = {name: noted[name] for name in PHASES if isinstance(noted[name], int)}
    return took_ms if len(took_ms) == len(PHASES) else {}


class ColdStarts:
    """A model's last ones."""

    def __init__(self) -> None:
        self._kept: deque[Mapping[str, int]] = deque(maxlen=KEPT_MAX)

    def add(self, took_ms: Mapping[str, int]) -> None:
        """One more, by phase."""
        self._kept.append(took_ms)

    def expected_ms(self) -> int | None:
        """How long the next one will take; None before the first."""
        if not self._kept:
            return None
        return round(median(sum(each.values()) for each in self._kept))

    def by_phase_ms(self) -> dict[str, int]:
        """How long each phase takes; empty before the first."""
        if not self._kept:
            return {}
        return {name: round(median(each[name] for each in self._kept)) for name in PHASES}
