"""Notes of what has reached clients: one writer for all streams of the process, some twenty times a second.

A note says how far an answer is (`store.use`), so one that was not written in time is overtaken by the next one of its stream, and
whoever dies loses what a twentieth of a second came to: that was free.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from sqlalchemy import Connection

from neurogrid_marketplace.unit_price import ModelUnit
from neurogrid_marketplace.units import Units

from ..services.errors import Unavailable
from ..store import kept_answers, unit_counts, use
from ..store.away import OutcomeUnknown
from ..store.database import Database, Overloaded
from ..store.kept_answers import KeptAnswer
from ..store.use import Billed
from .meter import Meter, PaidBy

_log = logging.getLogger(__name__)

PAUSE_S: Final = 0.05
_AGAIN_S: Final = 0.25
# Of so many answers, two or three statements each, a note is written on the loop's own thread: in another one each statement
# would wait for the interpreter while the loop is busy, and the ends of answers with it. More would hold up the loop.
_BRIEF_MAX: Final = 16
# An answer that waits for its note waits no longer; the note is written all the same.
_LIMIT_S: Final = 30.0
_COUNTED: Final = {
    ModelUnit.INPUT_TOKEN: "input_tokens",
    ModelUnit.CACHED_INPUT_TOKEN: "cached_input_tokens",
    ModelUnit.OUTPUT_TOKEN: "output_tokens",
    ModelUnit.IMAGE: "images",
    ModelUnit.REQUEST: "requests",
}
_MS_PER_S: Final = 1000


@dataclass(frozen=True, slots=True)
class Note:
    """How far an answer is; with its last note it may be kept, too."""

    request_id: str
    paid_by: PaidBy
    units: Units
    keep: KeptAnswer | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """What became of a note: what `use.note` says, and what its answer came to, where it is kept, micro-USDC."""

    billed: Billed | None
    kept_micro_usdc: int | None = None


class UseNotes:
    """See the module."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._changed: dict[str, Meter] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._wanted = asyncio.Event()
        self._urgent = asyncio.Event()

    def changed(self, meter: Meter) -> None:
        """See `meter.Notes`."""
        self._changed[meter.request_id] = meter
        self._wanted.set()

    async def written(self, meter: Meter) -> None:
        """See `meter.Notes`.

        Raises:
            Unavailable: the database takes nothing now.
        """
        written = asyncio.get_running_loop().create_future()
        self._waiting.append(written)
        self._urgent.set()
        self.changed(meter)
        try:
            async with asyncio.timeout(_LIMIT_S):
                await written
        except TimeoutError:
            raise Unavailable("what the answer costs cannot be noted now") from None

    async def run(self) -> None:
        """Write for ever; cancel it to stop: what is known then is written."""
        try:
            while True:
                await self._wanted.wait()
                with suppress(TimeoutError):
                    async with asyncio.timeout(PAUSE_S):
                        await self._urgent.wait()
                if not await self._write():
                    await asyncio.sleep(_AGAIN_S)
        finally:
            await self._write()

    async def _write(self) -> bool:
        """Write what has changed; whether that could be done."""
        changed, self._changed = self._changed, {}
        waiting, self._waiting = self._waiting, []
        self._wanted.clear()
        self._urgent.clear()
        if not changed:
            return True
        meters = list(changed.values())
        notes = [_note(meter) for meter in meters]
        try:
            is_brief = len(notes) <= _BRIEF_MAX and all(note.keep is None for note in notes)
            write = self._database.write_briefly if is_brief else self._database.write
            found = await write(write_all, notes, self._now_ms())
        except (Overloaded, OutcomeUnknown) as error:
            # A note says how far an answer is: one that is there already changes nothing.
            _log.warning("what has reached clients is noted later: %s", error)
            self._changed = changed | self._changed
            self._waiting = waiting + self._waiting
            self._wanted.set()
            return False
        for meter, noted in zip(meters, found, strict=True):
            meter.noted(noted.billed, noted.kept_micro_usdc)
        for written in waiting:
            if not written.done():
                written.set_result(None)
        return True


def write_all(conn: Connection, notes: Sequence[Note], now_ms: int) -> list[Noted]:
    """Write notes, count as usage what they add, and keep the answers that are whole with them."""
    by_lease: dict[str, list[Note]] = {}
    for note in notes:
        by_lease.setdefault(note.paid_by.lease.lease_id, []).append(note)
    billed: dict[str, Billed] = {}
    for lease_id, of_lease in by_lease.items():
        found = use.note_all(conn, lease_id, [(each.request_id, each.units) for each in of_lease])
        if found is None:
            continue
        billed |= {each.request_id: its for each, its in zip(of_lease, found, strict=True)}
        after, before = _counted(found[-1].after), _counted(found[0].before)
        more = {unit: amount - before[unit] for unit, amount in after.items()}
        paid_by = of_lease[0].paid_by
        unit_counts.add(conn, paid_by.account_id, paid_by.model_id, now_ms, more)
    return [_noted(conn, note, billed.get(note.request_id), now_ms) for note in notes]


def _noted(conn: Connection, note: Note, billed: Billed | None, now_ms: int) -> Noted:
    """What has become of a note; its answer is kept where it is to be."""
    if note.keep is None:
        return Noted(billed, None)
    cost = 0 if billed is None else note.paid_by.cost_micro_usdc(billed)
    bill = msgspec.structs.replace(note.keep.bill, cost_micro_usdc=cost)
    return Noted(billed, kept_answers.keep(conn, replace(note.keep, bill=bill), now_ms))


def _note(meter: Meter) -> Note:
    keep = None if meter.keeping is None else meter.keeping.answer
    return Note(meter.request_id, meter.paid_by, meter.units, keep)


def _counted(units: Units) -> dict[ModelUnit, int]:
    """What a lease's units are in the counters of usage: sound in whole seconds, one that has begun among them."""
    counted = {unit: getattr(units, name) for unit, name in _COUNTED.items()}
    counted[ModelUnit.AUDIO_SECOND] = -(-units.audio_ms // _MS_PER_S)
    return counted
