"""What a node counts of itself while it runs. Pure, and there whether anybody asks for it or not."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from neurogrid_marketplace.faults import CONSEQUENCES, Outcome
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import EventKind
from neurogrid_telemetry.metrics import Durations

from ..market.start_history import StartTook

# A lease that ended before its job was sent has no outcome.
NEVER_SENT: Final = "never_sent"
STEPS: Final = ("pull", "inputs", "start", "run", "settle")


@dataclass
class Tally:
    """Since the daemon started.

    Attributes:
        demands: by how they were answered: "bid", or the code of the decline.
        awards: "taken", or the code of the refusal.
        ended: by outcome (`NEVER_SENT` without one) and whose doing it was.
        steps: by `STEPS`.
        leaks: by what did not agree.
        engine_answers: whether it did when it was asked last.
    """

    demands: Counter[str] = field(default_factory=Counter)
    awards: Counter[str] = field(default_factory=Counter)
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    steps: dict[str, Durations] = field(
        default_factory=lambda: {step: Durations() for step in STEPS}
    )
    leaks: Counter[str] = field(default_factory=Counter)
    engine_answers: bool = True

    def started(self, took: StartTook) -> None:
        """A container started."""
        self.steps["start"].add(took.total_ms)
        if took.pull_ms:
            self.steps["pull"].add(took.pull_ms)
        if took.input_bytes:
            self.steps["inputs"].add(took.inputs_ms)

    def over(self, lease: NodeLease, now_ms: int) -> None:
        """All of a lease is done, its money too."""
        last = lease.events[-1] if lease.events else None
        if last is None or last.result is None:
            outcome = lease.stop_reason
        else:
            outcome = last.result.outcome
            if any(event.kind is EventKind.STARTED for event in lease.events):
                self.steps["run"].add(last.result.metered_ms)
            self.steps["settle"].add(max(0, now_ms - last.at_ms))
        self.ended[_named(outcome)] += 1


def _named(outcome: Outcome | None) -> tuple[str, str]:
    if outcome is None:
        return NEVER_SENT, "none"
    return outcome.value, CONSEQUENCES[outcome].fault.value
