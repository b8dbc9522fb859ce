"""Leases for use on this machine: no container of their own, but a replica's that runs under another lease.

Performs what `lease.executor` asks for, as `lease.sandbox` does for jobs: its escrow is waited for, its requests are let
through by the door (`access.door`), before that is seen too as far as the owner lets them, and it ends with its replica at the latest.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from neurogrid_marketplace.checkpoint import Checkpoint
from neurogrid_marketplace.exposure import is_beyond
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job_stream import StreamRefusal
from neurogrid_marketplace.lease import Collected, ContainerRunning, NodeLease, Ran, Served
from neurogrid_marketplace.messages import Start
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_marketplace.service import Service
from neurogrid_marketplace.serving_ahead import (
    is_ahead,
    must_wait_ahead,
    never_came,
    takes_ahead,
)
from neurogrid_marketplace.units import Units
from neurogrid_marketplace.usage import LeaseUsage
from neurogrid_marketplace.use_steps import LINGER_MS, must_wait, refusal

from ..lease.preparation import Prepared, PrepareError
from ..lease.progress import Progress
from ..money.chain import EscrowUnseen
from .losses import Losses, UnpaidUse
from .tally import Tally

_LOOK_S: Final = 0.5
# A replica that stands still until it is paid for, or is about to begin again, is still there.
_THERE: Final = frozenset({LeasePhase.RUNNING, LeasePhase.PAUSED})
_NO_LOG: Final = hashlib.sha256().hexdigest()
_NO_PROFILE: Final = "0" * 64


@dataclass(slots=True)
class _Open:
    """One lease for use, while this daemon lives; ``ends``: that is decided, and nothing more is taken."""

    tally: Tally
    ends: bool = False
    stopped: trio.Event = field(default_factory=trio.Event)


class UsePlace:
    """All leases for use on this machine.

    Args:
        lease_of: the lease of this id, None if there is none.
        await_escrow: waits until a lease's escrow is there; until when it pays, Unix milliseconds.
        losses: what coordinators were served ahead of escrows that never came.
        ahead_micro_usdc: what the use of one coordinator's leases may come to before their escrows are seen.
    """

    def __init__(
        self,
        lease_of: Callable[[str], NodeLease | None],
        await_escrow: Callable[[NodeLease, Start], Awaitable[int]],
        now_ms: Callable[[], int],
        losses: Losses,
        ahead_micro_usdc: int = 0,
    ) -> None:
        self._losses = losses
        self._ahead_micro_usdc = ahead_micro_usdc
        self._lease_of = lease_of
        self._await_escrow = await_escrow
        self._now_ms = now_ms
        self._open: dict[str, _Open] = {}

    # --- what the door asks ------------------------------------------------------------------

    def replica_of(self, lease: NodeLease) -> NodeLease | None:
        """The lease of the replica that this one is for, while it is there."""
        if lease.use is None:
            return None
        replica = self._lease_of(lease.use.replica)
        if replica is None or replica.coordinator != lease.coordinator:
            return None
        return replica if replica.phase in _THERE else None

    def tally_of(self, lease: NodeLease) -> Tally:
        """What it has passed on."""
        return self._of(lease.lease_id).tally

    def refusal(self, lease: NodeLease) -> StreamRefusal | None:
        """Why it takes no request now; None if it does."""
        open_ = self._of(lease.lease_id)
        if lease.use is None or open_.ends or open_.stopped.is_set():
            return StreamRefusal.NOT_RUNNING
        if is_ahead(lease) and not takes_ahead(*self._unfunded(lease)):
            return StreamRefusal.NOT_RUNNING
        return refusal(lease, lease.use, self.tally_of(lease).units)

    def must_wait(self, lease_id: str) -> bool:
        """Whether nothing more is passed on until it is signed more."""
        lease = self._lease_of(lease_id)
        if lease is None or lease.use is None:
            return True
        if is_ahead(lease) and must_wait_ahead(*self._unfunded(lease)):
            return True
        return must_wait(lease, lease.use, self.tally_of(lease).units)

    def is_beyond(self, lease_id: str, served: Units) -> bool:
        """Whether so much is more than its escrow can pay."""
        lease = self._lease_of(lease_id)
        if lease is None or lease.use is None:
            return True
        return is_beyond(lease.use.prices, lease.use.max_cost_micro_usdc, served)

    async def until_stopped(self, lease_id: str) -> None:
        """Wait until it is being ended."""
        await self._of(lease_id).stopped.wait()

    # --- what a runner asks ------------------------------------------------------------------

    def progress(self, lease_id: str) -> Progress:
        """It has no program."""
        return Progress()

    def is_ready(self, lease_id: str) -> bool:
        """Whether its replica was well when it was looked at last, is said of that."""
        return False

    def memory_peak_bytes(self, lease_id: str) -> int:
        """Its replica's is that one's."""
        return 0

    def usage(self, lease_id: str) -> LeaseUsage | None:
        """As its memory."""
        return None

    def served(self, lease_id: str) -> Served | None:
        """What it has passed on."""
        tally = self._of(lease_id).tally
        return Served(tally.units, tally.at_work)

    def ends(self, lease_id: str) -> None:
        """Take no more requests; those under way go on until `stop`."""
        self._of(lease_id).ends = True

    def asks_for_checkpoint(self, lease_id: str) -> bool:
        """It has no work to keep."""
        return False

    async def log_grown(self, lease_id: str, beyond_bytes: int) -> None:
        """It has no log."""
        await trio.sleep_forever()

    async def read_log(self, lease_id: str, offset: int, max_bytes: int) -> str:
        """It has no log."""
        return ""

    async def prepare(self, lease: NodeLease, start: Start, *, resumed: bool) -> Prepared:
        """See its escrow, and its replica.

        Raises:
            PrepareError: with the outcome to report.
        """
        self._of(lease.lease_id)
        try:
            claim_until_ms = await self._await_escrow(lease, start)
        except EscrowUnseen as error:
            raise PrepareError(Outcome.ESCROW_UNSEEN, str(error)) from error
        if await self._is_gone(lease.lease_id):
            # Nobody's fault, and nothing to pay.
            raise PrepareError(Outcome.COMPLETED, "its replica had ended")
        return Prepared(ContainerRunning(self._now_ms(), claim_until_ms), None)

    async def watch(self, lease_id: str, service: Service | None = None) -> Ran:
        """Until its replica is gone, or it is stopped."""
        open_ = self._of(lease_id)
        while not open_.stopped.is_set():
            if await self._is_gone(lease_id):
                return Ran(Outcome.COMPLETED, 0, "its replica has ended", self._now_ms())
            with trio.move_on_after(_LOOK_S):
                await open_.stopped.wait()
        return Ran(Outcome.EXIT_NONZERO, 0, "", self._now_ms())

    async def _is_gone(self, lease_id: str) -> bool:
        """Whether its replica is, and has been for a while.

        One that was just taken up again after a restart may not be known yet; and whoever passes answers on notes a
        little later what has reached the client.
        """
        open_, lease = self._of(lease_id), self._lease_of(lease_id)
        if lease is not None and self.replica_of(lease) is not None:
            return False
        with trio.move_on_after(LINGER_MS / 1000):
            await open_.stopped.wait()
        lease = self._lease_of(lease_id)
        return lease is None or self.replica_of(lease) is None

    async def pause(self, lease_id: str) -> None:
        """It refuses requests instead."""

    async def resume(self, lease_id: str) -> None:
        """It was never paused."""

    async def warn(self, lease_id: str, stops_at_ms: int) -> None:
        """It is taken back with its replica, whose job is warned."""

    async def stop(self, lease_id: str) -> None:
        """Break off what is under way."""
        self._of(lease_id).stopped.set()

    async def checkpoint(self, lease: NodeLease, start: Start, number: int) -> Checkpoint | None:
        """It has no work to keep."""
        return None

    async def collect(
        self, lease: NodeLease, start: Start, *, keep: bool, checkpoint: int = 0
    ) -> Collected:
        """All that it has passed on."""
        open_ = self._of(lease.lease_id)
        open_.stopped.set()
        return Collected((), _NO_LOG, 0, _NO_PROFILE, served=open_.tally.units)

    async def clear(self, lease_id: str) -> None:
        """It has used nothing of the machine; what is still under way is broken off."""
        open_, lease = self._of(lease_id), self._lease_of(lease_id)
        open_.stopped.set()
        if lease is not None and lease.use is not None and never_came(lease):
            amount = lease.use.prices.cost_micro_usdc(open_.tally.units)
            await self._losses.lose(UnpaidUse(lease_id, lease.coordinator, self._now_ms(), amount))
            open_.tally = Tally()

    async def forget(self, lease_id: str) -> None:
        """Forget what it has passed on."""
        self._open.pop(lease_id, None)

    def _unfunded(self, lease: NodeLease) -> tuple[int, int, int]:
        """As `serving_ahead` counts: served to leases of its coordinator that wait for escrows, lost before, and the limit."""
        unfunded = 0
        for lease_id, open_ in self._open.items():
            other = self._lease_of(lease_id)
            if other is None or other.coordinator != lease.coordinator or not is_ahead(other):
                continue
            assert other.use is not None, "it is for use"
            unfunded += other.use.prices.cost_micro_usdc(open_.tally.units)
        lost = self._losses.at(lease.coordinator, self._now_ms())
        return unfunded, lost, self._ahead_micro_usdc

    def _of(self, lease_id: str) -> _Open:
        if lease_id not in self._open:
            lease = self._lease_of(lease_id)
            self._open[lease_id] = _Open(Tally(lease.served) if lease is not None else Tally())
        return self._open[lease_id]
