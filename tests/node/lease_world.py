"""One lease with its runner, over fakes that outlive it, on a clock that only passes when idle."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar, cast

import trio
import trio.lowlevel

from neurogrid_marketplace.execution import accept
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.lease import Boot, NodeLease
from neurogrid_marketplace.messages import Acknowledge, Log, Result, Start, Stop, VoucherMessage
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_marketplace.serving import Use
from neurogrid_node.journal import Journal
from neurogrid_node.lease.executor import LeaseRunner, Reports
from neurogrid_node.lease.sandbox import Sandbox
from neurogrid_node.market.reservations import Reservation
from neurogrid_node.market.start_history import StartTook
from neurogrid_node.money.earnings import Earnings
from neurogrid_node.use.losses import Losses
from neurogrid_node.use.place import UsePlace
from node.fakes import (
    GOOD_SIGNATURE,
    GRANT_BYTES,
    FakeEarnings,
    FakeSandbox,
    FakeStream,
    InlineJournal,
)
from node.market import COORDINATOR, JOB, LEASE, NEED, NOW_MS, award, demand, start

M = TypeVar("M")

# 1 USDC per hour: 278 micro-USDC a second.
PRICE = 1_000_000
HELD = Reservation(NEED, (), None)


class LeaseWorld:
    """See the module. Made by `lease_world`.

    Attributes:
        set_ahead_ms: how far somebody has set the machine's clock ahead.
        boot_id: another one after a reboot.
    """

    def __init__(
        self,
        journal: Journal,
        nursery: trio.Nursery,
        max_unpaid_ms: int,
        reclaim_window_s: int,
        job: Job,
        use: Use | None = None,
        uses: UsePlace | None = None,
        coordinator: str = COORDINATOR,
    ) -> None:
        self.job = job
        self.journal = InlineJournal(journal)
        self.set_ahead_ms = 0
        self.boot_id = "first"
        self.sandbox = FakeSandbox(self.now_ms)
        self.earnings = FakeEarnings()
        self.replica: NodeLease | None = None
        self.ahead_micro_usdc = 0
        self.uses = uses or self._new_uses()
        self.link = FakeStream()
        self.started: list[StartTook] = []
        self.cleared: list[str] = []
        self.forgotten: list[str] = []
        self._nursery = nursery
        self._life = trio.CancelScope()
        asked = demand(timeout_s=600)
        if use is not None:
            asked = demand(timeout_s=600, max_price_micro_usdc_per_hour=0, use=use)
        lease = accept(
            award("0" * 64, asked, job_hash=job.hash()),
            coordinator,
            max_unpaid_ms,
            self.now_ms(),
            reclaim_window_s=reclaim_window_s,
            use=use,
            max_unpaid_micro_usdc=100,
        )
        journal.add(lease, HELD)
        self.runner = self._run(lease, resumed=False)

    def now_ms(self) -> int:
        """The mock clock as Unix time."""
        return NOW_MS + round(trio.current_time() * 1000) + self.set_ahead_ms

    @property
    def lease(self) -> NodeLease:
        """As the runner has it."""
        return self.runner.lease

    @property
    def phase(self) -> LeasePhase:
        return self.runner.lease.phase

    def saved(self) -> NodeLease:
        """As the journal has it."""
        ((lease, _),) = self.journal.inline.load()
        return lease

    @property
    def starts(self) -> int:
        """How often the job's program was started."""
        return sum(container.starts for container in self.sandbox.containers.values())

    @property
    def is_dead(self) -> bool:
        """Whether the daemon was killed, and not started again."""
        return self._life.cancel_called

    # --- what happens to it -------------------------------------------------------------------

    def die(self) -> None:
        """kill -9 of the daemon: nothing of it is left but what was saved."""
        self._life.cancel()

    async def crash(self) -> None:
        """As `die`, and it is gone when this returns."""
        self.die()
        await trio.sleep(0.001)

    async def restart(self) -> None:
        """kill -9 and a new daemon."""
        await self.crash()
        self.uses = self._new_uses()
        for lease, _ in self.journal.inline.load():
            self.runner = self._run(lease, resumed=True)

    def start(self, **changes: object) -> None:
        """The coordinator sends the start message."""
        self.runner.received(start(**{"job": self.job, **changes}))

    def stop(self) -> None:
        """The coordinator's client cancels."""
        self.runner.received(Stop(LEASE, Outcome.CANCELLED))

    def stored(self, events: int, log_bytes: int) -> None:
        """The coordinator says that it has stored so much."""
        limit_bytes = min(log_bytes + GRANT_BYTES, 2**53 - 1)
        self.runner.received(Acknowledge(LEASE, events, log_bytes, False, limit_bytes))

    def voucher(self, amount: int, *, final: bool = False, signature: str = GOOD_SIGNATURE) -> None:
        """The coordinator sends a voucher."""
        self.runner.received(VoucherMessage(LEASE, amount, signature, final))

    def acknowledge(self, *, closed: bool = False) -> None:
        """The coordinator has stored all that was sent."""
        self.runner.received(self.link.acknowledgement(closed=closed))

    async def acknowledge_always(self) -> None:
        """A coordinator that stores everything at once, until it is cancelled."""
        seen = 0
        while True:
            await trio.sleep(0.05)
            if len(self.link.sent) != seen:
                seen = len(self.link.sent)
                self.acknowledge()

    # --- what can be seen of it ---------------------------------------------------------------

    def all_sent(self, kind: type[M]) -> list[M]:
        return [message for message in self.link.sent if isinstance(message, kind)]

    def log_sent(self) -> str:
        """The log as a coordinator puts it together; pieces that leave a gap are not taken."""
        data = b""
        for piece in self.all_sent(Log):
            if piece.offset <= len(data):
                data = data[: piece.offset] + piece.text.encode()
        return data.decode()

    def result(self) -> Result:
        """The end as it was reported."""
        result = self.lease.events[-1].result
        assert result is not None, "not reported yet"
        return result

    async def until(self, is_so: Callable[[], bool], limit_s: float = 3600.0) -> None:
        with trio.fail_after(limit_s):
            while not is_so():  # noqa: ASYNC110 - what is waited for has no event
                await trio.sleep(0.05)

    async def until_phase(self, phase: LeasePhase, limit_s: float = 3600.0) -> None:
        try:
            await self.until(lambda: self.phase is phase, limit_s)
        except trio.TooSlowError:
            raise AssertionError(f"{self.phase}, not {phase}") from None

    async def settle(self) -> None:
        """Let the coordinator pay and close; the lease is forgotten then."""
        with trio.fail_after(3600):
            while not self.lease.claim_transaction:
                self.acknowledge()
                self.voucher(7, final=True)
                await trio.sleep(1)
        self.acknowledge(closed=True)
        await self.until(lambda: bool(self.forgotten))

    def _new_uses(self) -> UsePlace:
        async def await_escrow(lease: NodeLease, start: Start) -> int:
            await self.earnings.await_escrow(lease, start)
            return 0

        losses = Losses((), lambda lost: self.journal.call(Journal.add_unpaid_use, lost))
        return UsePlace(self._lease_of, await_escrow, self.now_ms, losses, self.ahead_micro_usdc)

    def _lease_of(self, lease_id: str) -> NodeLease | None:
        return self.lease if lease_id == LEASE else self.replica

    async def _note_start(self, took: StartTook) -> None:
        self.started.append(took)

    def _run(self, lease: NodeLease, *, resumed: bool) -> LeaseRunner:
        runner = LeaseRunner(
            lease,
            journal=self.journal,
            sandbox=cast(Sandbox, self.sandbox) if lease.use is None else self.uses,
            earnings=cast(Earnings, self.earnings),
            link=self.link,
            now_ms=self.now_ms,
            boot=lambda: Boot(self.boot_id, NOW_MS + self.set_ahead_ms),
            reports=Reports(self._note_start, self.cleared.append, self.forgotten.append),
        )
        life = self._life = trio.CancelScope()

        async def live() -> None:
            with life:
                await runner.run(resumed=resumed)

        self._nursery.start_soon(live)
        return runner


@asynccontextmanager
async def lease_world(
    directory: Path,
    *,
    max_unpaid_ms: int = 10**9,
    reclaim_window_s: int = 0,
    job: Job = JOB,
    use: Use | None = None,
    uses: UsePlace | None = None,
    coordinator: str = COORDINATOR,
) -> AsyncIterator[LeaseWorld]:
    """An accepted lease whose runner runs."""
    journal = Journal(directory / "journal.db")
    try:
        async with trio.open_nursery() as nursery:
            yield LeaseWorld(
                journal, nursery, max_unpaid_ms, reclaim_window_s, job, use, uses, coordinator
            )
            nursery.cancel_scope.cancel()
    finally:
        journal.close()
