"""Watches this machine's GPUs while the node runs: who may be offered, who is lost, how busy all are.

One thread reads at a time. A driver that hangs keeps that thread, and no other is started behind it: the
node goes on, takes the GPUs out of its offer, and hears it when the driver answers again.
"""

import logging
import math
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

import psutil
import trio

from neurogrid_marketplace.resources import Gpu
from neurogrid_telemetry.log_lines import named

from ..log_events import NodeEvent
from .devices import DeviceGone, GpuDevices, gpu_devices
from .fitness import CLEAN_READINGS, UNPROVED, Fitness, Withheld
from .gpu_state import GpuReading, GpuState, XidEvent
from .history import FILE_NAME, MINUTE_MS, History
from .host import Host, read_host
from .inventory import Inventory
from .minute import Minute
from .nvidia import NO_ANSWER
from .proofs import Proofs
from .xid import XidBlame, meaning_of

T = TypeVar("T")

_log = logging.getLogger(__name__)

READ_INTERVAL_S: Final = 5.0
# A driver with many GPUs takes seconds; one that takes this long has stopped.
SILENCE_S: Final = 30.0
# An error is heard, and a reading that is wanted sooner begun, within this time.
_SLICE_S: Final = 0.5
_PAUSE_S: Final = 0.1
_ERRORS_KEPT: Final = 256
# What slows a GPU down for longer than a moment is said once, and again when it was over.
_THROTTLED_READINGS: Final = 6


class Reader(Protocol):
    """A `gpu.GpuReader`."""

    def read(self) -> GpuReading:
        """Every GPU now. Blocks, perhaps for ever."""

    def wait(self, timeout_ms: int) -> tuple[XidEvent, ...]:
        """What the driver reports within this time; at once where it can report nothing."""


class Monitor:
    """See the module. One per daemon.

    Attributes:
        inventory: the machine with its GPUs as they were read last.
        host: the rest of it; None before it was read.
        changed: called when other GPUs may be offered than before.
    """

    def __init__(
        self,
        reader: Reader | None,
        first: Inventory,
        directory: Path,
        now_ms: Callable[[], int],
        ours: Callable[[], Collection[str]],
        proofs: Proofs | None = None,
        *,
        interval_s: float = READ_INTERVAL_S,
        silence_s: float = SILENCE_S,
    ) -> None:
        """
        Args:
            reader: None where the owner offers no GPUs; then only the machine itself is watched.
            first: the machine at the start.
            directory: for the history's file.
            ours: UUIDs of the GPUs that our jobs have now.
            proofs: GPUs that are not proved are withheld; None: none has to be.
            interval_s: from one reading to the next.
            silence_s: a driver that takes this long has stopped.
        """
        self.host: Host | None = None
        self.changed: Callable[[Inventory], Awaitable[None]] = _nobody
        self._reader = reader
        self._now_ms = now_ms
        self._ours = ours
        self._proofs = proofs
        self._interval_s = interval_s
        self._silence_s = silence_s
        self._rounds = 0
        self._used: list[str] = []
        self._history = History(directory / FILE_NAME)
        self._fitness = Fitness(self._withheld_before())
        self._saved: tuple[Withheld, ...] = ()
        self._minute = Minute()
        self._host_at_ms = 0
        self._errors: deque[tuple[int, XidEvent]] = deque(maxlen=_ERRORS_KEPT)
        self._throttled: dict[str, int] = {}
        self._idle: dict[str, int] = {}
        self._judged = trio.Event()
        self._wanted = trio.Event()
        self._limiter = trio.CapacityLimiter(1)
        self._is_silent = False
        self._answered_at_s = math.inf
        self._fitness.take(first.reading, (), self._computing(), now_ms())
        self.inventory = first.with_gpus(first.reading, self._withheld())
        self._said = self.inventory.offered_gpus()

    # --- what others ask -------------------------------------------------------------------------

    def devices(self, held: Iterable[Gpu]) -> GpuDevices:
        """How GPUs are given to a container.

        Raises:
            DeviceGone: one of them is lost.
        """
        wanted = tuple(held)
        if problem := self.lost([gpu.uuid for gpu in wanted]):
            raise DeviceGone(problem)
        return gpu_devices(wanted, self.inventory.gpus)

    def states(self, uuids: Collection[str]) -> tuple[GpuState, ...]:
        """These GPUs as they were read last, as far as they are there."""
        return tuple(gpu for gpu in self.inventory.gpus if gpu.uuid in uuids)

    def lost(self, uuids: Collection[str]) -> str:
        """Why one of these GPUs has failed; "" if none has."""
        for uuid in uuids:
            if problem := self._fitness.broken(uuid):
                return f"{uuid}: {problem}"
            # Of an earlier life of the node; a driver that has just been loaded may need a moment.
            if self._rounds >= CLEAN_READINGS and not self._fitness.knows(uuid):
                return f"{uuid}: it is not there any more"
        return ""

    async def until_lost(self, uuids: Collection[str]) -> str:
        """Wait until one of these GPUs fails; why."""
        while not (problem := self.lost(uuids)):
            await self._judged.wait()
        return problem

    async def until_read(self) -> None:
        """Wait for the next reading, or judgement; it is read soon."""
        self._wanted.set()
        await self._judged.wait()

    def idle_bytes(self, uuid: str) -> int | None:
        """The least of a GPU's memory that was in use while nothing computed on it; None: not seen."""
        return self._idle.get(uuid)

    def errors_of(self, uuids: Collection[str], since_ms: int) -> str:
        """What the driver has reported of a program's own doing on these GPUs; "" if nothing."""
        whole = set(uuids) | {gpu.parent_uuid for gpu in self.states(uuids)}
        numbers = sorted(
            {
                event.xid
                for at_ms, event in self._errors
                if at_ms >= since_ms
                and event.uuid in whole
                and meaning_of(event.xid).blame is XidBlame.JOB
            }
        )
        return "; ".join(f"XID {number}: {meaning_of(number).meaning}" for number in numbers)

    @contextmanager
    def using(self, uuids: Collection[str]) -> Iterator[None]:
        """What computes on these GPUs meanwhile is ours: a probe, or what cleans them."""
        self._used.extend(uuids)
        try:
            yield
        finally:
            for uuid in uuids:
                self._used.remove(uuid)

    async def hold_back(self, problems: Mapping[str, str]) -> None:
        """Do not offer these GPUs, by UUID why, until `cleaned`: a job's memory may be in them."""
        for uuid, message in problems.items():
            _log.error("GPU %s is withheld: %s", uuid, message)
            self._fitness.hold_back(uuid, message, self._now_ms())
        await self._tell()

    async def cleaned(self, uuids: Collection[str]) -> None:
        """What these were held back for is gone."""
        for uuid in uuids:
            self._fitness.cleaned(uuid)
        await self._tell()

    def fit(self) -> tuple[GpuState, ...]:
        """The GPUs with nothing wrong, proved or not."""
        return self._fitness.offered

    def broken(self) -> frozenset[str]:
        """The UUIDs of GPUs that a job would have lost."""
        return frozenset(each.uuid for each in self._fitness.withheld if each.is_broken)

    async def proved(self) -> None:
        """What was proved has changed."""
        await self._tell()

    # --- reading -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Watch until this is cancelled."""
        self._answered_at_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_on)
            if self._reader is not None:
                nursery.start_soon(self._mind_silence)

    async def _read_on(self) -> None:
        while True:
            try:
                await self._read_once()
            except Exception:  # noqa: BLE001 - the task's boundary: who only looks ends no daemon
                _log.exception("the machine could not be read")
                await trio.sleep(self._interval_s)
            # A driver that reports without end is not read without end.
            await trio.sleep(min(_PAUSE_S, self._interval_s))

    async def _read_once(self) -> None:
        errors = await self._errors_until(trio.current_time() + self._interval_s)
        self._wanted = trio.Event()
        reading = self.inventory.reading
        if self._reader is not None:
            reading = await self._in_thread(self._reader.read)
        if self.host is None or self._now_ms() - self._host_at_ms >= MINUTE_MS:
            self.host = await self._in_thread(read_host)
            self._host_at_ms = self._now_ms()
        self._answered_at_s = trio.current_time()
        await self._take(reading, errors)

    async def _errors_until(self, due_s: float) -> tuple[XidEvent, ...]:
        """What the driver reports until then, or until a reading is wanted sooner."""
        errors: tuple[XidEvent, ...] = ()
        while True:
            left_s = max(0.0, due_s - trio.current_time())
            is_due = not left_s or self._wanted.is_set()
            began_s = trio.current_time()
            slice_s = 0.0 if is_due else min(left_s, _SLICE_S)
            if self._reader is not None:
                wait = partial(self._reader.wait, round(slice_s * 1000))
                errors = await self._in_thread(wait)
            if errors or is_due:
                return errors
            # It returns at once where nothing can be waited for.
            was_waiting = trio.current_time() - began_s > slice_s / 2
            with trio.move_on_at(due_s if not was_waiting else trio.current_time() + _PAUSE_S):
                await self._wanted.wait()

    async def _in_thread(self, call: Callable[[], T]) -> T:
        # Abandoned when we stop: a thread inside a sick driver may never come back.
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._limiter)

    async def _mind_silence(self) -> None:
        while True:
            await trio.sleep_until(self._answered_at_s + self._silence_s)
            if trio.current_time() - self._answered_at_s < self._silence_s:
                continue
            if not self._is_silent:
                self._is_silent = True
                _log.error("the GPUs' driver has not answered for %g s", self._silence_s)
                self._fitness.silent(self._now_ms())
                await self._tell()
            await trio.sleep(self._silence_s)

    async def _take(self, reading: GpuReading, errors: tuple[XidEvent, ...]) -> None:
        now_ms = self._now_ms()
        if reading.note == NO_ANSWER:
            # Of a thread that an earlier call has left in the driver: nothing is known, so nothing is gone.
            self._fitness.silent(now_ms)
            await self._tell()
            return
        if self._is_silent:
            self._is_silent = False
            _log.warning("the GPUs' driver answers again")
        for event in errors:
            meaning = meaning_of(event.xid)
            self._errors.append((now_ms, event))
            _log.warning(
                "GPU %s: XID %d: %s",
                event.uuid or "?",
                event.xid,
                meaning.meaning,
                extra=named(NodeEvent.GPU_ERROR, gpu=event.uuid or "", xid=event.xid),
            )
        self._rounds += 1
        self._fitness.take(reading, errors, self._computing(), now_ms)
        self.inventory = self.inventory.with_gpus(reading, self._withheld())
        self._note_throttling(reading.gpus)
        self._note_idle(reading.gpus)
        memory = psutil.virtual_memory()
        ended = self._minute.take(
            reading.gpus,
            round(min(100.0, max(0.0, psutil.cpu_percent()))),
            memory.total - memory.available,
            now_ms,
        )
        await self._tell()
        if ended:
            await self._store(lambda: self._history.add(ended, now_ms))

    def _withheld_before(self) -> list[Withheld]:
        """What an earlier life of the node withheld, as far as that can be read."""
        try:
            return self._history.withheld(self._now_ms())
        except sqlite3.Error as error:
            _log.warning("the history cannot be read: %s", error)
            return []

    def _withheld(self) -> tuple[Withheld, ...]:
        """What is not well, and what nobody has tried yet."""
        if self._proofs is None:
            return self._fitness.withheld
        unproved = [
            Withheld(gpu.uuid, UNPROVED, f"{proof.message} ({proof.code})", 0, proof.next_ms)
            for gpu in self._fitness.offered
            if not (proof := self._proofs.of(gpu.uuid)).is_proved
        ]
        return (*self._fitness.withheld, *unproved)

    def _computing(self) -> frozenset[str]:
        return frozenset(self._ours()) | frozenset(self._used)

    async def _tell(self) -> None:
        """Let everybody know what was judged."""
        self.inventory = replace(self.inventory, withheld=self._withheld())
        withheld = self._fitness.withheld
        if withheld != self._saved:
            before = {each.uuid: each for each in self._saved}
            for each in withheld:
                if each.uuid not in before:
                    _log.warning(
                        "GPU %s is not offered: %s (%s)",
                        each.uuid,
                        each.message,
                        each.code,
                        extra=named(NodeEvent.GPU_WITHHELD, gpu=each.uuid, code=each.code),
                    )
            for uuid in before.keys() - {each.uuid for each in withheld}:
                _log.info("GPU %s is well again", uuid, extra=named(NodeEvent.GPU_WELL, gpu=uuid))
            self._saved = withheld
            await self._store(lambda: self._history.save_withheld(withheld))
        judged, self._judged = self._judged, trio.Event()
        judged.set()
        offered = self.inventory.offered_gpus()
        if offered != self._said:
            self._said = offered
            await self.changed(self.inventory)

    async def _store(self, store: Callable[[], None]) -> None:
        try:
            await trio.to_thread.run_sync(store)
        except sqlite3.Error as error:
            _log.warning("the history is not kept: %s", error)

    def _note_idle(self, gpus: Iterable[GpuState]) -> None:
        """What the driver takes for itself differs from card to card, and from driver to driver."""
        computing = self._computing()
        before, self._idle = self._idle, {}
        for gpu in gpus:
            least = before.get(gpu.uuid)
            if not gpu.processes and gpu.uuid not in computing:
                used = gpu.memory_used_bytes
                least = used if least is None else min(used, least)
            if least is not None:
                self._idle[gpu.uuid] = least

    def _note_throttling(self, gpus: Iterable[GpuState]) -> None:
        for gpu in gpus:
            slow = self._throttled.get(gpu.uuid, 0) + 1 if gpu.throttle else 0
            self._throttled[gpu.uuid] = min(slow, _THROTTLED_READINGS + 1)
            if slow == _THROTTLED_READINGS:
                why = ", ".join(gpu.throttle)
                _log.warning("GPU %s runs slower than it could: %s", gpu.uuid, why)
        there = {gpu.uuid for gpu in gpus}
        self._throttled = {uuid: n for uuid, n in self._throttled.items() if uuid in there}


async def _nobody(inventory: Inventory) -> None:
    return None
