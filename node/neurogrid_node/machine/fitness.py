"""Which GPUs may be offered: what readings and the driver's errors say, judged. Pure.

A GPU that is gone, that its driver calls broken, or on which something else computes is withheld at
once, and offered again after a few clean readings in a row. One that fails again and again is withheld
for longer each time: a GPU that comes back for a minute would cost one job after the other.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from .gpu_state import GPUS_MAX, GpuReading, GpuState, XidEvent
from .xid import XidBlame, meaning_of

# A driver that has just been loaded answers before it is well.
CLEAN_READINGS: Final = 3
_PENALTY_FIRST_MS: Final = 10 * 60_000
PENALTY_MAX_MS: Final = 24 * 3_600_000
# Failures further apart than this have nothing to do with each other.
_FORGIVEN_MS: Final = 24 * 3_600_000
_STRIKES_MAX: Final = 16
# Parts of a GPU that is split anew get new UUIDs, so that what was seen once may never come back.
_KNOWN_MAX: Final = 2 * GPUS_MAX
_SHOWN_PIDS: Final = 4

IN_USE: Final = "in_use"
NOT_CLEAN: Final = "not_clean"
UNPROVED: Final = "unproved"
SILENT: Final = "silent"
# Of these a job takes no harm. What is unknown is not dead: a driver that does not answer us may well serve it.
_HARMLESS: Final = frozenset({IN_USE, NOT_CLEAN, SILENT, UNPROVED})


@dataclass(frozen=True, slots=True)
class Withheld:
    """A GPU that is not offered.

    Attributes:
        code: gone, lost, reset_required, unreadable, bad_memory, mig_empty, duplicate_uuid, xid, ecc,
            silent, in_use, not_clean, unproved.
        since_ms: Unix time. until_ms: not before then, and not before clean readings.
        strikes: how often it has failed, each within a day of the last.
    """

    uuid: str
    code: str
    message: str
    since_ms: int
    until_ms: int
    strikes: int = 0

    @property
    def is_broken(self) -> bool:
        """Whether a job that has it has lost it."""
        return self.code not in _HARMLESS


@dataclass(slots=True)
class _Known:
    """A GPU that was seen once.

    Attributes:
        clean: readings in a row without anything wrong.
        dirty: why a job's memory may still be in it; "" if it is not.
    """

    state: GpuState | None = None
    is_there: bool = False
    clean: int = 0
    withheld: Withheld | None = None
    strikes: int = 0
    struck_ms: int = 0
    dirty: str = ""


class Fitness:
    """Every GPU's standing, from one reading to the next.

    Args:
        withheld: what an earlier life of the node withheld.
    """

    def __init__(self, withheld: Iterable[Withheld] = ()) -> None:
        self._known: dict[str, _Known] = {
            each.uuid: _Known(
                withheld=each,
                strikes=each.strikes,
                struck_ms=each.since_ms,
                dirty=each.message if each.code == NOT_CLEAN else "",
            )
            for each in withheld
        }

    @property
    def offered(self) -> tuple[GpuState, ...]:
        """The GPUs that may be offered, as they were read last."""
        return tuple(
            known.state
            for known in self._known.values()
            if known.state is not None and known.is_there and known.withheld is None
        )

    @property
    def withheld(self) -> tuple[Withheld, ...]:
        """Those that may not."""
        return tuple(known.withheld for known in self._known.values() if known.withheld)

    def knows(self, uuid: str) -> bool:
        """Whether this GPU was ever seen."""
        return uuid in self._known

    def broken(self, uuid: str) -> str:
        """Why a job that has this GPU has lost it; "" if it has not."""
        known = self._known.get(uuid)
        if known is None or known.withheld is None or not known.withheld.is_broken:
            return ""
        return known.withheld.message

    def take(
        self, reading: GpuReading, errors: Iterable[XidEvent], ours: Collection[str], now_ms: int
    ) -> None:
        """Judge what was read.

        Args:
            errors: what the driver has reported since the last reading.
            ours: UUIDs of GPUs on which our own jobs compute, or what we start ourselves.
        """
        there = {gpu.uuid: gpu for gpu in reading.gpus}
        said = {fault.uuid: fault for fault in reading.faults if fault.uuid}
        for uuid in there:
            self._known.setdefault(uuid, _Known())
        for event in errors:
            self._take_error(event, now_ms)
        for uuid, known in self._known.items():
            if (gpu := there.get(uuid)) is not None:
                self._see(uuid, known, gpu, ours, now_ms)
            else:
                fault = said.get(uuid)
                code = fault.code if fault else "gone"
                words = fault.message if fault else reading.note or "it is not there any more"
                self._miss(uuid, known, code, words, now_ms)
        self._forget()

    def silent(self, now_ms: int) -> None:
        """The driver does not answer at all: nothing is offered, and no job is said to have lost anything."""
        for uuid, known in self._known.items():
            if known.withheld is None or not known.withheld.is_broken:
                known.clean = 0
                message = "its driver does not answer (reboot)"
                known.withheld = Withheld(uuid, SILENT, message, now_ms, now_ms, known.strikes)

    def hold_back(self, uuid: str, message: str, now_ms: int) -> None:
        """Not to be offered before it is clean: a job's memory may still be in it."""
        known = self._known.setdefault(uuid, _Known())
        known.dirty = message
        if known.withheld is None or known.withheld.code == NOT_CLEAN:
            known.withheld = _not_clean(uuid, known, now_ms)
        self._forget()

    def cleaned(self, uuid: str) -> None:
        """What it was held back for is gone."""
        known = self._known.get(uuid)
        if known is None:
            return
        known.dirty = ""
        if known.withheld is not None and known.withheld.code == NOT_CLEAN:
            known.withheld = None

    def _see(
        self, uuid: str, known: _Known, gpu: GpuState, ours: Collection[str], now_ms: int
    ) -> None:
        before, known.state, known.is_there = known.state, gpu, True
        errors = gpu.ecc_uncorrected or 0
        if before is not None and errors > (before.ecc_uncorrected or 0) and not known.withheld:
            self._strike(uuid, known, "ecc", "memory errors that cannot be corrected", now_ms, 1)
            return
        if uuid not in ours and gpu.processes:
            pids = ", ".join(str(process.pid) for process in gpu.processes[:_SHOWN_PIDS])
            known.clean = 0
            if known.withheld is None:
                message = f"something that is not ours computes on it (pid {pids})"
                known.withheld = Withheld(uuid, IN_USE, message, now_ms, now_ms, known.strikes)
            return
        known.clean += 1
        withheld = known.withheld
        if (
            withheld is not None
            and withheld.code != NOT_CLEAN
            and now_ms >= withheld.until_ms
            and known.clean >= CLEAN_READINGS
        ):
            # What was wrong with it is over; what a job left in it is not.
            known.withheld = _not_clean(uuid, known, now_ms) if known.dirty else None

    def _miss(self, uuid: str, known: _Known, code: str, message: str, now_ms: int) -> None:
        known.clean = 0
        known.is_there = False
        if known.withheld is None or not known.withheld.is_broken:
            # A first time may be the owner's doing, who has reset it or loaded another driver.
            self._strike(uuid, known, code, message, now_ms, 0)

    def _take_error(self, event: XidEvent, now_ms: int) -> None:
        meaning = meaning_of(event.xid)
        if meaning.blame is not XidBlame.GPU or not event.uuid:
            return
        for uuid, known in self._known.items():
            parent = known.state.parent_uuid if known.state else ""
            if event.uuid in (uuid, parent):
                message = f"XID {event.xid}: {meaning.meaning}"
                self._strike(uuid, known, "xid", message, now_ms, 1)

    def _strike(
        self, uuid: str, known: _Known, code: str, message: str, now_ms: int, at_once: int
    ) -> None:
        """Withhold it, longer each time; ``at_once``: 1 if already the first time costs a penalty."""
        if now_ms - known.struck_ms > _FORGIVEN_MS:
            known.strikes = 0
        known.strikes = min(known.strikes + 1, _STRIKES_MAX)
        known.struck_ms = now_ms
        doublings = known.strikes - 2 + at_once
        penalty = min(_PENALTY_FIRST_MS << doublings, PENALTY_MAX_MS) if doublings >= 0 else 0
        known.clean = 0
        until_ms = now_ms + penalty
        if known.withheld is not None and known.withheld.is_broken:
            # Errors come in crowds: the first says why, the last how long.
            known.withheld = replace(known.withheld, until_ms=until_ms, strikes=known.strikes)
        else:
            known.withheld = Withheld(uuid, code, message, now_ms, until_ms, known.strikes)

    def _forget(self) -> None:
        """Drop what is gone for longest once there is too much."""
        gone = sorted(
            (known.withheld.since_ms, uuid)
            for uuid, known in self._known.items()
            if known.withheld and not known.is_there
        )
        for _, uuid in gone[: max(0, len(self._known) - _KNOWN_MAX)]:
            del self._known[uuid]


def _not_clean(uuid: str, known: _Known, now_ms: int) -> Withheld:
    # It is cleaned or it is not: the time only has it outlive a restart.
    return Withheld(uuid, NOT_CLEAN, known.dirty, now_ms, now_ms + PENALTY_MAX_MS, known.strikes)
