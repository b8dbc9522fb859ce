"""What a coordinator counts of its tasks' steps while it runs. Pure."""

from collections import Counter
from dataclasses import dataclass, field

from neurogrid_marketplace.task import TERMINAL, Phase, Task
from neurogrid_telemetry.metrics import Durations


@dataclass
class Tally:
    """Since the api started.

    Attributes:
        ended: by phase and code.
        auctions: "node_found" or "no_node".
        awards: "taken" or "refused".
        auction, start: how long they took.
    """

    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    auctions: Counter[str] = field(default_factory=Counter)
    awards: Counter[str] = field(default_factory=Counter)
    auction: Durations = field(default_factory=Durations)
    start: Durations = field(default_factory=Durations)

    def moved(self, before: Task, after: Task) -> None:
        """A task's phase is another one now."""
        took_ms = max(0, after.since_ms - before.since_ms)
        if after.phase in TERMINAL:
            code = after.ending.code if after.ending is not None else ""
            self.ended[after.phase.value, code] += 1
        if before.phase is Phase.MATCHING and after.phase in (Phase.AWARDED, Phase.QUEUED):
            self.auctions["node_found" if after.phase is Phase.AWARDED else "no_node"] += 1
            self.auction.add(took_ms)
        if before.phase is Phase.AWARDED:
            taken = after.phase in (Phase.STARTING, Phase.RUNNING)
            self.awards["taken" if taken else "refused"] += 1
        if before.phase is Phase.STARTING and after.phase is Phase.RUNNING:
            self.start.add(took_ms)
