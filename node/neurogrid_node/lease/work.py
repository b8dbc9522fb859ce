"""What takes long in the life of a lease: preparing, watching, steering, collecting, redeeming.

Each is done until it is done; what it finds out is returned as an event for `executor`, which decides
what it means. Everything here may be repeated after a crash.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

import trio

from neurogrid_marketplace import snapshot_steps
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.lease import (
    ClaimConfirmed,
    Collected,
    ContainerEnded,
    ContainerRunning,
    NodeLease,
    PrepareFailed,
    Ran,
    SnapshotEnded,
)
from neurogrid_marketplace.messages import VoucherMessage
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_wallet.errors import RpcError

from ..container.errors import EngineError
from ..files.workspace import DiskError
from ..journal import Journal, JournalThread
from ..market.start_history import StartTook
from ..money.earnings import Earnings, EscrowGone, VoucherRefused
from .past import past
from .place import Place
from .preparation import PrepareError

_log = logging.getLogger(__name__)

# From the start message to a running container. Half an hour is what the coordinator waits.
PREPARE_LIMIT_MS = 35 * 60_000
# A node that was away for longer still looks: the job may have run, and ended.
_PREPARE_LEAST_MS = 60_000
# For outputs to be uploaded, a coordinator that is away included.
COLLECT_LIMIT_S = 2 * 3600
# An engine that does not answer may be restarting or upgraded; its containers may well run on.
ENGINE_PATIENCE_S = 300.0
_LOOK_AGAIN_S = 0.5
_CLEAR_AGAIN_S = 3.0
_MESSAGE_CHARS_MAX = 1000


class LeaseWork:
    """The work on one lease.

    Args:
        lease: as it is now.
        started: told how long a start took.
    """

    def __init__(
        self,
        lease: Callable[[], NodeLease],
        *,
        journal: JournalThread,
        sandbox: Place,
        earnings: Earnings,
        now_ms: Callable[[], int],
        started: Callable[[StartTook], Awaitable[None]],
    ) -> None:
        self._lease = lease
        self._journal = journal
        self._sandbox = sandbox
        self._earnings = earnings
        self._now_ms = now_ms
        self._started = started
        self._complaint = ""

    async def prepare(self, *, resumed: bool) -> ContainerRunning | PrepareFailed:
        """Get the job running.

        Args:
            resumed: an earlier try may have got anywhere.
        """
        lease = self._lease()
        assert lease.start is not None, "preparing follows the start message"
        left_ms = lease.since_ms + PREPARE_LIMIT_MS - self._now_ms()
        try:
            with trio.move_on_after(max(_PREPARE_LEAST_MS, left_ms) / 1000):
                prepared = await self._sandbox.prepare(lease, lease.start, resumed=resumed)
                if prepared.took is not None:
                    await self._started(prepared.took)
                return prepared.running
        except PrepareError as error:
            return PrepareFailed(error.outcome, str(error)[:_MESSAGE_CHARS_MAX])
        return PrepareFailed(Outcome.START_FAILED, "was not ready to start in time")

    async def watch(self) -> ContainerEnded:
        """Follow the container to its end. Unknown is not dead: an engine may stay away a while."""
        lost_at_s: float | None = None
        while True:
            began_s = trio.current_time()
            try:
                lease = self._lease()
                service = lease.start.job.service if lease.start is not None else None
                return ContainerEnded(await self._sandbox.watch(lease.lease_id, service))
            except EngineError as error:
                self._complain(error)
                now_s = trio.current_time()
                if lost_at_s is None or now_s - began_s > ENGINE_PATIENCE_S:
                    lost_at_s = now_s
                if now_s - lost_at_s > ENGINE_PATIENCE_S:
                    message = str(error)[:_MESSAGE_CHARS_MAX]
                    return ContainerEnded(Ran(Outcome.ENGINE_LOST, -1, message, self._now_ms()))
            await trio.sleep(_LOOK_AGAIN_S)

    async def steer(self) -> None:
        """Bring the container to where its phase wants it, and follow if that changes meanwhile."""
        while True:
            phase = self._lease().phase
            lease_id = self._lease().lease_id
            try:
                match phase:
                    case LeasePhase.RUNNING:
                        await self._sandbox.resume(lease_id)
                    case LeasePhase.PAUSED:
                        await self._sandbox.pause(lease_id)
                    case LeasePhase.STOPPING:
                        await self._sandbox.stop(lease_id)
            except EngineError as error:
                self._complain(error)
                await trio.sleep(_LOOK_AGAIN_S)
                continue
            if self._lease().phase is phase:
                return

    async def checkpoint(self, number: int) -> SnapshotEnded:
        """Take and upload a checkpoint of the running job."""
        lease = self._lease()
        assert lease.start is not None, "a running job has had its start"
        try:
            return SnapshotEnded(number, await self._sandbox.checkpoint(lease, lease.start, number))
        except EngineError as error:
            self._complain(error)
        # It may have been left frozen.
        await self.steer()
        return SnapshotEnded(number, None)

    async def collect(self) -> Collected:
        """Check and upload the outputs, and what is kept of an unfinished run; sum up the log."""
        lease = self._lease()
        assert lease.start is not None, "collecting follows a start"
        assert lease.ran is not None, "collecting follows the end of the run"
        keep = lease.ran.outcome in (Outcome.COMPLETED, Outcome.EXIT_NONZERO)
        with trio.move_on_after(COLLECT_LIMIT_S):
            number = snapshot_steps.final_number(lease)
            return await self._sandbox.collect(lease, lease.start, keep=keep, checkpoint=number)
        return replace(
            await self._sandbox.collect(lease, lease.start, keep=False),
            refused=Outcome.RESULT_INVALID,
            message=f"the outputs could not be uploaded in {COLLECT_LIMIT_S // 3600} hours",
        )

    async def redeem(self, voucher: VoucherMessage | None) -> ClaimConfirmed:
        """Redeem the voucher, or give the escrow up, and write down what it brought."""
        lease_id = self._lease().lease_id
        redeemed = await self._earnings.redeem(self._lease(), voucher)
        if redeemed is None:
            return ClaimConfirmed("")
        if redeemed.micro_usdc:
            await self._journal.call(
                Journal.save_earning,
                lease_id,
                self._now_ms(),
                redeemed.micro_usdc,
                redeemed.transaction,
            )
        return ClaimConfirmed(redeemed.transaction)

    async def is_good(self, voucher: VoucherMessage) -> bool:
        """Whether the chain would pay a voucher. One that is not believed comes again."""
        lease = self._lease()
        named = lease.escrow_named
        if named is None:
            # One over nothing needs no escrow to be checked against; `funded` may be heard after it.
            return not voucher.cumulative_micro_usdc
        try:
            await self._earnings.check_voucher(lease, named, voucher)
        except EscrowGone:
            return voucher.final
        except (VoucherRefused, RpcError) as error:
            self._complain(error)
            return False
        return True

    async def clear(self) -> None:
        """Remove container and files, however often it takes."""
        while True:
            try:
                await self._sandbox.clear(self._lease().lease_id)
                return
            except (EngineError, DiskError, OSError) as error:
                self._complain(error)
            await trio.sleep(_CLEAR_AGAIN_S)

    async def forget(self) -> None:
        """Remove what `clear` leaves, and the lease from the journal: the end."""
        lease_id = self._lease().lease_id
        await self._sandbox.forget(lease_id)
        self._earnings.forget(lease_id)
        await self._journal.call(Journal.forget, past(self._lease(), self._now_ms()))

    def _complain(self, error: Exception) -> None:
        """Log what stands in the way, once."""
        if str(error) != self._complaint:
            self._complaint = str(error)
            _log.warning("lease %s: %s", self._lease().lease_id, error)
