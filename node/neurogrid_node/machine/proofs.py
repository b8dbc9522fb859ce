"""What of this machine was proved, and what has to be asked again: a node offers nothing else. Pure.

A proof is a container that was really run, a link that really came up. It holds for a day, and no longer than what it
was made with: an engine that has restarted, a GPU that has failed or come back is asked again before it is offered. What
fails is tried again, later each time. An engine that is away proves nothing and disproves nothing.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from .gpu_state import GPUS_MAX

# What is proved beside GPUs, which are named by their UUIDs.
CONTAINER: Final = "container"
CHECKPOINTS: Final = "checkpoints"
GANGS: Final = "gangs"
EGRESS: Final = "egress"
ABILITIES: Final = (CONTAINER, CHECKPOINTS, GANGS, EGRESS)

HOLDS_MS: Final = 24 * 3_600_000
# A start-up that is not over in the first second is often over in the tenth. An owner who mends something waits ten
# minutes at most, and a machine that stays broken is not kept busy.
AGAIN_FIRST_MS: Final = 5_000
AGAIN_MAX_MS: Final = 600_000
_DOUBLINGS_MAX: Final = 10
_KNOWN_MAX: Final = 2 * GPUS_MAX + len(ABILITIES)
_WORDS_MAX: Final = 500

# The codes are doctor's (docs/doctor.md); this is that of what is neither proved nor disproved.
NOT_CHECKED: Final = "NOT_CHECKED"


@dataclass(frozen=True, slots=True)
class Disproof:
    """Why something is not so: a code of doctor's, and words."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of one thing.

    Attributes:
        what: one of ``ABILITIES``, or a GPU's UUID.
        proved_ms: when it was proved, Unix time; 0: it is not.
        code, message: why it is not.
        tries: since it was proved last.
        next_ms: when it is tried next, at the earliest.
    """

    what: str
    proved_ms: int
    code: str
    message: str
    tries: int
    next_ms: int

    @property
    def is_proved(self) -> bool:
        """Whether it may be offered."""
        return self.proved_ms > 0


class Proofs:
    """Everything that is to be proved. Times are Unix milliseconds.

    Args:
        kept: what an earlier life of the node has proved, and need not ask again.
    """

    def __init__(self, kept: Iterable[Proof] = ()) -> None:
        self._known = {proof.what: proof for proof in kept if proof.is_proved}

    @property
    def all(self) -> tuple[Proof, ...]:
        """What is known, of all that was ever wanted and is not forgotten."""
        return tuple(self._known.values())

    def is_proved(self, what: str) -> bool:
        """Whether it may be offered."""
        proof = self._known.get(what)
        return proof is not None and proof.is_proved

    def of(self, what: str) -> Proof:
        """What is known of it."""
        return self._known.get(what) or Proof(what, 0, NOT_CHECKED, "not proved yet", 0, 0)

    def due(self, wanted: Iterable[str], now_ms: int) -> tuple[str, ...]:
        """What of this has to be tried now; nothing else before a container holds jobs at all."""
        due = [what for what in wanted if self.of(what).next_ms <= now_ms]
        if CONTAINER in due:
            return (CONTAINER,)
        return tuple(due) if self.is_proved(CONTAINER) else ()

    def passed(self, what: str, now_ms: int) -> None:
        """It was tried, and is so."""
        self._keep(Proof(what, now_ms, "", "", 0, now_ms + HOLDS_MS))

    def failed(self, what: str, disproof: Disproof, now_ms: int) -> None:
        """It was tried, and is not so."""
        tries = self.of(what).tries + 1
        message = disproof.message[:_WORDS_MAX]
        self._keep(Proof(what, 0, disproof.code, message, tries, now_ms + _wait_ms(tries)))

    def undecided(self, what: str, now_ms: int) -> None:
        """It could not be tried: what was known of it stands."""
        known = self.of(what)
        tries = known.tries + 1
        self._keep(replace(known, tries=tries, next_ms=now_ms + _wait_ms(tries)))

    def doubt(self, whats: Collection[str], why: str, now_ms: int) -> None:
        """What was proved of these may be so no more: they are tried again before they are offered."""
        for what in whats:
            known = self._known.get(what)
            if known is not None and known.is_proved:
                self._keep(Proof(what, 0, NOT_CHECKED, why[:_WORDS_MAX], 0, now_ms))

    def _keep(self, proof: Proof) -> None:
        # What changed last is last, so that what is forgotten is what nobody has asked for in a long time.
        self._known.pop(proof.what, None)
        self._known[proof.what] = proof
        for what in [what for what in self._known if what not in ABILITIES]:
            if len(self._known) <= _KNOWN_MAX:
                break
            del self._known[what]


def _wait_ms(tries: int) -> int:
    doublings = min(tries - 1, _DOUBLINGS_MAX)
    return min(AGAIN_FIRST_MS << doublings, AGAIN_MAX_MS)
