"""Every half minute: who has what of this machine, compared, and mended where it does not agree.

Nothing should ever be found. What is found is a defect, or somebody else's hand (an owner who removed a
container), and is logged with its code and shown by ``neurogrid-node status``.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from neurogrid_telemetry.log_lines import named

from ..container.errors import EngineError
from ..container.job_engine import JobEngine
from ..files.workspace import DiskError, Workspaces
from ..journal import Journal, JournalError, JournalThread
from ..log_events import NodeEvent
from .ledger_check import Difference, Leak, Look, Mended, differences
from .provider import Provider
from .reservations import Reservation, Reservations

_log = logging.getLogger(__name__)

INTERVAL_S: Final = 30.0
_SHOWN: Final = 16


class Reconciler:
    """See the module. One per daemon.

    Attributes:
        mended: what was found lately, the newest last.
    """

    def __init__(
        self,
        provider: Provider,
        reservations: Reservations,
        journal: JournalThread,
        engine: JobEngine,
        workspaces: Workspaces,
        now_ms: Callable[[], int],
    ) -> None:
        self.mended: deque[Mended] = deque(maxlen=_SHOWN)
        self._provider = provider
        self._reservations = reservations
        self._journal = journal
        self._engine = engine
        self._workspaces = workspaces
        self._now_ms = now_ms
        self._seen: frozenset[Difference] = frozenset()

    async def run(self) -> None:
        """Compare until this is cancelled."""
        while True:
            await trio.sleep(INTERVAL_S)
            try:
                await self.compare()
            except Exception:  # noqa: BLE001 - the task's boundary: who only looks ends no daemon
                _log.exception("what is promised of the machine could not be compared")

    async def compare(self) -> None:
        """Look once; mend what the look before has seen, too."""
        look = await self._look()
        found = differences(look)
        for difference in sorted(found & self._seen, key=lambda each: (each.leak, each.about)):
            await self._mend(difference)
        self._seen = found

    async def _look(self) -> Look:
        journal = await self._saved()
        try:
            containers = frozenset(each.lease_id for each in await self._engine.list_leases())
        except EngineError as error:
            _log.debug("the engine cannot be compared with: %s", error)
            containers = None
        try:
            files = frozenset(await self._workspaces.list())
        except OSError as error:
            _log.debug("the files cannot be compared with: %s", error)
            files = None
        # Last, and at once: whatever was there before may have gone by now, not the other way.
        return Look(
            reserved=self._reservations.leases(self._now_ms()),
            leases={id_: each.lease.phase for id_, each in self._provider.runners.items()},
            uses=frozenset(
                id_ for id_, each in self._provider.runners.items() if each.lease.use is not None
            ),
            journal=None if journal is None else frozenset(journal),
            containers=containers,
            files=files,
        )

    async def _saved(self) -> dict[str, Reservation] | None:
        try:
            saved = await self._journal.call(Journal.load)
        except JournalError as error:
            _log.debug("the journal cannot be compared with: %s", error)
            return None
        return {lease.lease_id: held for lease, held in saved}

    async def _mend(self, difference: Difference) -> None:
        leak = difference.leak.value
        self._provider.tally.leaks[leak] += 1
        _log.error("%s: %s", leak, difference.about, extra=named(NodeEvent.LEAK_FOUND, leak=leak))
        self.mended.append(Mended(self._now_ms(), difference.leak.value, difference.about))
        about = difference.about
        try:
            match difference.leak:
                case Leak.RESERVATION_WITHOUT_LEASE:
                    self._provider.cleared(about)
                case Leak.LEASE_WITHOUT_RESERVATION:
                    await self._hold_again(about)
                case Leak.CONTAINER_WITHOUT_LEASE:
                    await self._remove(about)
                case Leak.LEASE_WITHOUT_CONTAINER:
                    if runner := self._provider.runners.get(about):
                        runner.look_again()
                case Leak.FILES_WITHOUT_LEASE:
                    await self._workspaces.destroy(about)
                case Leak.LEASE_WITHOUT_RUNNER:
                    await self._take_up(about)
                case Leak.PROMISED_TWICE:
                    pass  # whom to end for it, nobody can say
        except (EngineError, DiskError, JournalError, OSError) as error:
            _log.warning("%s: %s could not be mended: %s", difference.leak.value, about, error)

    async def _hold_again(self, lease_id: str) -> None:
        held = (await self._saved() or {}).get(lease_id)
        if held is not None and lease_id in self._provider.runners:
            self._reservations.restore(lease_id, held)

    async def _remove(self, lease_id: str) -> None:
        for found in await self._engine.list_leases():
            if found.lease_id == lease_id:
                await self._engine.remove(found.container_id)

    async def _take_up(self, lease_id: str) -> None:
        saved = await self._journal.call(Journal.load)
        for lease, held in saved:
            if lease.lease_id == lease_id:
                self._provider.take_up(lease, held)
