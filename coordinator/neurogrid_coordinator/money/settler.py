"""Moves the money of leases: opens escrows, sends final vouchers, sees escrows close, takes back.

What is due stands in the lease's stored `Settlement`. Each lease that needs something has a task
here, which does it until the escrow is gone and the receipt is written. Losing power at any point
loses nothing: on the next start every lease that is not closed is looked at again.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from sqlalchemy import Connection

from neurogrid_contracts.accounts import EscrowAccount
from neurogrid_marketplace import settlement
from neurogrid_marketplace.messages import Acknowledge, Message
from neurogrid_marketplace.settlement import RESEND_MS, SettlementPhase, Step
from neurogrid_marketplace.task_events import EscrowFailed, EscrowOpened, LeftUnpaid
from neurogrid_telemetry.about import about
from neurogrid_telemetry.log_lines import named
from neurogrid_telemetry.traces import OFF, Traces
from neurogrid_wallet.errors import OutboxFull, PaymentTimeout, RpcError

from ..log_events import CoordinatorEvent
from ..store import accounts, events, leases, tasks, use
from ..store.database import Database
from ..store.feed import Feed
from ..store.leases import LeaseRow
from ..tasks import steps
from ..tasks.starts import StartDesk
from .chain import EscrowRefused, EscrowTerms, OpenedEscrow
from .escrow_history import Closing
from .evidence import ReceiptDesk
from .vouchers import VoucherDesk

_log = logging.getLogger(__name__)

# A node closes its escrow within a second or two and says so, which is looked at at once; looking
# by ourselves is for the others.
_LOOK_FIRST_MS = 500
_LOOK_GROWTH = 1.5
_LOOK_MAX_MS = 10_000
# A node that came back may redeem meanwhile: taking back is never urgent.
_TAKE_BACK_MS = 5_000
_CHAIN_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class EscrowChain(Protocol):
    """What the settler needs of the chain; is a `chain.Chain`."""

    async def open(self, terms: EscrowTerms) -> OpenedEscrow:
        """Open an escrow, or find that it was opened."""

    async def escrow(self, address: str) -> EscrowAccount | None:
        """The escrow, None if it is closed."""

    async def closing(self, address: str) -> Closing | None:
        """How a closed escrow was closed."""

    async def take_back(self, lease_id: str, client: str, provider: str) -> None:
        """Do what is due to get the rest of an escrow back."""


class Settler:
    """Settles leases.

    Args:
        tell: sends a message to a node, if it is there.
        follow: performs what a committed step of a task asks for.
        traces: where escrows and settlements are recorded.
    """

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        chain: EscrowChain,
        vouchers: VoucherDesk,
        receipts: ReceiptDesk,
        starts: StartDesk,
        tell: Callable[[str, Message], None],
        follow: Callable[[steps.Step], None],
        now_ms: Callable[[], int],
        traces: Traces = OFF,
    ) -> None:
        self._database = database
        self._feed = feed
        self._chain = chain
        self._vouchers = vouchers
        self._receipts = receipts
        self._starts = starts
        self._tell = tell
        self._follow = follow
        self._now_ms = now_ms
        self._traces = traces
        self._group: asyncio.TaskGroup | None = None
        # One per lease that has a task here: set when something about it changed.
        self._changes: dict[str, asyncio.Event] = {}

    async def run(self) -> None:
        """Settle for ever; cancel it to stop."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for lease_id in await self._database.read(leases.unsettled):
                    self.changed(lease_id)
                await asyncio.Event().wait()
            finally:
                # What is still told while it stops is found by the next start.
                self._group = None

    def changed(self, lease_id: str) -> None:
        """The money of this lease may need something now. Before `run` it is found by `run`."""
        if self._group is None:
            return
        change = self._changes.get(lease_id)
        if change is not None:
            change.set()
            return
        self._changes[lease_id] = asyncio.Event()
        with about(lease=lease_id):
            self._group.create_task(self._settle(lease_id), name=f"settle {lease_id}")

    async def _settle(self, lease_id: str) -> None:
        change = self._changes[lease_id]
        failures = 0
        try:
            while True:
                change.clear()
                try:
                    if not await self._advance(lease_id, change) and not change.is_set():
                        return
                    failures = 0
                except (RpcError, PaymentTimeout, OutboxFull) as error:
                    _log.warning("lease %s waits for the chain: %s", lease_id, error)
                    await asyncio.sleep(_CHAIN_PAUSES_S[min(failures, len(_CHAIN_PAUSES_S) - 1)])
                    failures += 1
                except Exception:  # noqa: BLE001 - one lease's boundary: it is tried again
                    _log.exception("lease %s", lease_id)
                    await asyncio.sleep(_CHAIN_PAUSES_S[-1])
        finally:
            del self._changes[lease_id]

    async def _advance(self, lease_id: str, change: asyncio.Event) -> bool:
        """Do what is due for a lease; False if nothing is."""
        found = await self._database.read(_lease_and_client, lease_id)
        if found is None:
            return False
        row, client = found
        due = settlement.steps(row.settlement)
        if Step.OPEN_ESCROW in due:
            await self._open(row, client)
        elif due:
            await self._see_closed(row, client, change)
        return bool(due)

    async def _open(self, row: LeaseRow, client: str) -> None:
        timeout_s, trace = await self._database.read(_timeout_and_trace, row.task_id)
        terms = EscrowTerms(
            lease_id=row.id,
            client=client,
            provider=row.wallet,
            max_micro_usdc=row.lease.max_cost_micro_usdc,
            timeout_s=timeout_s,
            voucher_signer=self._vouchers.signer(row.id).public_key,
        )
        try:
            with self._traces.within("lease.escrow", trace, task=row.task_id, lease=row.id):
                opened = await self._chain.open(terms)
        except EscrowRefused as error:
            _log.warning("lease %s: no escrow: %s", row.id, error)
            step = await self._database.write(_store_refused, row.id, error, self._now_ms())
        else:
            step = await self._database.write(_store_opened, row.id, opened, self._now_ms())
        if step is not None:
            self._follow(step)

    async def _see_closed(self, row: LeaseRow, client: str, change: asyncio.Event) -> None:
        """Do what ends an escrow, until it has ended."""
        pause_ms: float = _LOOK_FIRST_MS
        send_at_ms = take_back_at_ms = 0
        while True:
            now_ms = self._now_ms()
            overdue = settlement.overdue(row.settlement, now_ms)
            if overdue != row.settlement:
                _log.warning("lease %s: its node does not redeem; taking back", row.id)
                await self._database.write(leases.save_settlement, overdue, now_ms)
                row = replace(row, settlement=overdue)
            due = settlement.steps(row.settlement)
            if Step.SEND_FINAL_VOUCHER in due and now_ms >= send_at_ms:
                send_at_ms = now_ms + RESEND_MS
                funded = await self._database.read(self._starts.funded_of, row.id)
                if funded is not None:
                    # Without it the node takes no voucher, nor can it give up the escrow.
                    self._tell(row.node_id, funded)
                self._tell(row.node_id, self._vouchers.voucher(row))
            if Step.REFUND in due and now_ms >= take_back_at_ms:
                take_back_at_ms = now_ms + _TAKE_BACK_MS
                await self._chain.take_back(row.id, client, row.wallet)
            if await self._chain.escrow(row.escrow) is None:
                closing = await self._chain.closing(row.escrow)
                if closing is not None:
                    await self._store_closed(row, client, closing)
                    return
            try:
                async with asyncio.timeout(pause_ms / 1000):
                    await change.wait()
            except TimeoutError:
                pause_ms = min(pause_ms * _LOOK_GROWTH, _LOOK_MAX_MS)
            else:
                change.clear()
                pause_ms = _LOOK_FIRST_MS

    async def _store_closed(self, row: LeaseRow, client: str, closing: Closing) -> None:
        now_ms = self._now_ms()
        paid = closing.paid_micro_usdc
        if paid is None:
            paid = row.settlement.signed_micro_usdc
            _log.warning(
                "lease %s: transaction %s does not show what it paid; it is at most %d micro-USDC",
                row.id,
                closing.transaction,
                paid,
            )

        def store(conn: Connection) -> LeaseRow:
            # Read again: an event may have been stored since.
            present = leases.get(conn, row.id)
            assert present is not None, "leases are never deleted"
            if present.settlement.phase is SettlementPhase.CLOSED:
                return present
            closed = settlement.closed(present.settlement, closing.transaction, paid, now_ms)
            leases.save_settlement(conn, closed, now_ms)
            unpaid = (present.settlement.due_micro_usdc or 0) - paid
            if unpaid > 0:
                # A lost node's voucher, say, that it never came back to redeem.
                steps.take(conn, row.task_id, LeftUnpaid(unpaid), now_ms)
            present = replace(present, settlement=closed)
            self._receipts.write(conn, present, client, now_ms)
            use.settled(conn, row.id)
            events.append(
                conn,
                row.task_id,
                row.account_id,
                now_ms,
                "task.settled",
                {
                    "lease_id": row.id,
                    "paid_micro_usdc": paid,
                    "transaction": closing.transaction,
                },
            )
            return present

        stored = await self._database.write(store)
        with about(task=row.task_id, lease=row.id, peer=row.node_id):
            _log.info(
                "lease %s is settled: %d micro-USDC by %s",
                *(row.id, paid, closing.transaction),
                extra=named(
                    CoordinatorEvent.LEASE_SETTLED,
                    paid_micro_usdc=paid,
                    transaction=closing.transaction,
                ),
            )
        _, trace = await self._database.read(_timeout_and_trace, row.task_id)
        self._traces.begin(
            "lease.settle",
            trace,
            row.settlement.since_ms,
            task=row.task_id,
            lease=row.id,
            paid_micro_usdc=paid,
            transaction=closing.transaction,
        ).end()
        self._feed.notify()
        done = Acknowledge(row.id, stored.events_stored, stored.log_bytes, closed=True)
        self._tell(row.node_id, done)


def _lease_and_client(conn: Connection, lease_id: str) -> tuple[LeaseRow, str] | None:
    row = leases.get(conn, lease_id)
    if row is None:
        return None
    account = accounts.get(conn, row.account_id)
    assert account is not None, "a lease refers to its account"
    return row, account.wallet


def _timeout_and_trace(conn: Connection, task_id: str) -> tuple[int, str]:
    found = tasks.state_of(conn, task_id)
    assert found is not None, "a lease refers to its task"
    return found.task.demand.timeout_s, found.task.trace


def _store_opened(
    conn: Connection, lease_id: str, opened: OpenedEscrow, now_ms: int
) -> steps.Step | None:
    """The escrow is there: the lease's money and its task learn it together."""
    row = leases.get(conn, lease_id)
    assert row is not None, "leases are never deleted"
    leases.save_escrow(conn, lease_id, opened.address, opened.sequence, opened.transaction, now_ms)
    leases.save_settlement(conn, settlement.opened(row.settlement, now_ms), now_ms)
    return steps.take(conn, row.task_id, EscrowOpened(lease_id), now_ms)


def _store_refused(
    conn: Connection, lease_id: str, refused: EscrowRefused, now_ms: int
) -> steps.Step | None:
    row = leases.get(conn, lease_id)
    assert row is not None, "leases are never deleted"
    closed = settlement.open_failed(row.settlement, now_ms)
    assert closed.phase is SettlementPhase.CLOSED, "it was never open"
    leases.save_settlement(conn, closed, now_ms)
    failed = EscrowFailed(lease_id, str(refused), refused.of_client, refused.of_node)
    return steps.take(conn, row.task_id, failed, now_ms)
