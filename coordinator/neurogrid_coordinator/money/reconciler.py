"""Looks at books and chain each interval, and stores what they do not agree on.

It changes nothing but its own list of differences: whoever repairs is a person, or the settler in its
own course. The comparison itself is in `reconciliation`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from solders.pubkey import Pubkey
from sqlalchemy import Connection

from neurogrid_contracts.accounts import (
    TAG_CLIENT,
    TAG_ESCROW,
    AccountFormatError,
    ClientAccount,
    EscrowAccount,
    EscrowState,
)
from neurogrid_contracts.deployment import Deployment
from neurogrid_marketplace.receipt import escrow_job_id
from neurogrid_telemetry.log_lines import named
from neurogrid_wallet.errors import RpcError
from neurogrid_wallet.rpc import Rpc

from ..log_events import CoordinatorEvent
from ..store import accounts, differences, leases, tasks
from ..store.database import Database
from ..store.leases import LeaseRow
from .escrow_history import closing_of
from .reconciliation import (
    OF_HISTORY,
    BookedLease,
    Books,
    ChainClient,
    ChainEscrow,
    Difference,
    Kind,
    Picture,
    compare,
    compare_closing,
    confirmed,
)

_log = logging.getLogger(__name__)

# Every account of the program but a config names its market here (contracts-client/program/state.h).
_MARKET_OFFSET = 8
# Settled leases whose history is read in one look: each costs three calls or more.
AUDITS_PER_LOOK = 20
# A blockhash lives for a minute or more, and a payment may need several: longer is worth a look.
UNDECIDED_MAX_MS = 15 * 60_000
_ROWS_MAX = 1_000_000


async def nothing_undecided() -> list[str]:
    """For whoever cannot see the outbox, because the running coordinator has it."""
    return []


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look has found.

    Attributes:
        audited: settled leases whose history was read.
        unsettled: leases that are not settled.
        in_flight: leases with a transaction of ours under way.
    """

    slot: int
    found: list[Difference]
    audited: frozenset[str]
    unsettled: frozenset[str]
    in_flight: frozenset[str]

    def would_find(self, kind: Kind, subject: str) -> bool:
        """Whether this look would have found such a difference if it were still there."""
        if subject in self.in_flight:
            return False
        return kind not in OF_HISTORY or subject in self.audited | self.unsettled


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the database has for a look."""

    books: Books
    to_audit: tuple[BookedLease, ...]
    wallets: frozenset[str]


class Reconciler:
    """Compares the books with the chain.

    Args:
        operator: our wallet on the chain.
        voucher_signer: address of the key whose vouchers a lease's escrow honours.
        undecided: ids of the outbox's payments that are not decided, as `chain` made them.
        audits_per_look: how many settled leases' histories are read in one look, new ones and, as
            many, those that differed.
    """

    def __init__(
        self,
        *,
        database: Database,
        rpc: Rpc,
        deployment: Deployment,
        operator: Pubkey,
        voucher_signer: Callable[[str], str],
        undecided: Callable[[], Awaitable[list[str]]],
        now_ms: Callable[[], int],
        audits_per_look: int = AUDITS_PER_LOOK,
    ) -> None:
        self._database = database
        self._rpc = rpc
        self._deployment = deployment
        self._operator = operator
        self._voucher_signer = voucher_signer
        self._undecided = undecided
        self._now_ms = now_ms
        self._audits_per_look = audits_per_look
        # Of the look before: only what two looks in a row find is stored.
        self._before: frozenset[tuple[Kind, str]] = frozenset()
        self._undecided_since_ms: dict[str, int] = {}

    @property
    def found_something(self) -> bool:
        """Whether the latest look found a difference, stored or not."""
        return bool(self._before)

    async def run(self, interval_s: float) -> None:
        """Reconcile for ever; cancel it to stop."""
        complained = False
        while True:
            try:
                await self.reconcile()
                complained = False
            except (RpcError, AccountFormatError) as error:
                if not complained:
                    _log.warning("books and chain are not compared: %s", error)
                complained = True
            except Exception:  # noqa: BLE001 - a comparison must never end what it compares
                _log.exception("books and chain are not compared")
            await asyncio.sleep(interval_s)

    async def reconcile(self, *, audit_since_ms: int | None = None) -> list[Difference]:
        """One look; stores and returns what it and the one before, or an earlier one, have found.

        Args:
            audit_since_ms: read the history of every lease that was settled since then, read before
                or not; by default only of some that were not read yet.

        Raises:
            RpcError: the chain is away; nothing is stored.
            AccountFormatError: the program is of another version than we are; nothing is stored.
        """
        look = await self._look(audit_since_ms)
        stored = await self._database.read(differences.unresolved)
        known = {seen.difference.key for seen in stored}
        present = confirmed(self._before | known, look.found)
        self._before = frozenset(difference.key for difference in look.found)
        looked_for = {key for key in known if look.would_find(*key)}
        # One with a new difference is read again, so that a second look can confirm it. What is stored
        # is read again too, but no longer in the way of those that never were.
        unconfirmed = {found.subject for found in look.found} - {found.subject for found in present}

        def store(conn: Connection) -> list[Difference]:
            now_ms = self._now_ms()
            differences.save_audited(conn, look.audited - unconfirmed, now_ms)
            return differences.save(conn, present, looked_for, look.slot, now_ms)

        for difference in await self._database.write(store):
            _log.error(
                "books and chain differ: %s %s: booked: %s; found: %s",
                *(difference.kind, difference.subject, difference.booked, difference.found),
                extra=named(CoordinatorEvent.BOOKS_DIFFER, kind=difference.kind),
            )
        return present

    async def _look(self, audit_since_ms: int | None) -> _Look:
        """The books, the chain in one slot, and the books again."""
        before = await self._database.read(self._read, audit_since_ms)
        undecided = await self._undecided()
        picture = await self._picture(before.wallets)
        after = await self._database.read(self._read, audit_since_ms)
        # A payment's id is its purpose, its lease, and perhaps an attempt (`chain`).
        in_flight = frozenset(
            part for payment_id in undecided for part in payment_id.split(":")[1:2]
        )
        found = compare(before.books, picture, after.books, in_flight)
        for lease in before.to_audit:
            closing = await closing_of(self._rpc, self._deployment.program_id, lease.escrow)
            found += compare_closing(lease, closing)
        found += self._of_undecided(undecided)
        return _Look(
            picture.slot,
            found,
            frozenset(lease.lease_id for lease in before.to_audit),
            frozenset(lease.lease_id for lease in after.books.leases),
            in_flight,
        )

    def _read(self, conn: Connection, audit_since_ms: int | None) -> _Wanted:
        wallets = {
            account.id: account.wallet for account in accounts.list_all(conn, limit=_ROWS_MAX)
        }
        held = {wallet: tasks.held_micro_usdc(conn, wallet) for wallet in wallets.values()}
        unsettled = leases.unsettled_rows(conn)
        to_audit = {row.id: row for row in self._to_audit(conn, audit_since_ms)}
        return _Wanted(
            Books(
                {wallet: amount for wallet, amount in held.items() if amount},
                tuple(self._booked(row, wallets[row.account_id]) for row in unsettled),
            ),
            tuple(self._booked(row, wallets[row.account_id]) for row in to_audit.values()),
            frozenset(wallets.values()),
        )

    def _to_audit(self, conn: Connection, audit_since_ms: int | None) -> list[LeaseRow]:
        """Settled leases whose history is to be read: new ones, and those that differed."""
        if audit_since_ms is None:
            settled = leases.settled_rows(conn, unaudited=True, limit=self._audits_per_look)
            again_max = self._audits_per_look
        else:
            settled = leases.settled_rows(conn, since_ms=audit_since_ms, limit=_ROWS_MAX)
            again_max = _ROWS_MAX
        differing = [
            seen for seen in differences.unresolved(conn) if seen.difference.kind in OF_HISTORY
        ]
        differing.sort(key=lambda seen: seen.last_seen_at_ms)
        for seen in differing[:again_max]:
            row = leases.get(conn, seen.difference.subject)
            if row is not None and row.settlement.closed_by:
                settled.append(row)
        return settled

    def _booked(self, row: LeaseRow, client: str) -> BookedLease:
        owner = Pubkey.from_string(client)
        settlement = row.settlement
        return BookedLease(
            lease_id=row.id,
            client=client,
            provider=str(self._deployment.provider(Pubkey.from_string(row.wallet))),
            escrow=row.escrow or str(self._deployment.escrow(owner, escrow_job_id(row.id))),
            phase=settlement.phase,
            sequence=row.escrow_sequence,
            voucher_signer=self._voucher_signer(row.id),
            max_micro_usdc=settlement.max_cost_micro_usdc,
            signed_micro_usdc=settlement.signed_micro_usdc,
            paid_micro_usdc=settlement.paid_micro_usdc,
            closed_by=settlement.closed_by,
        )

    async def _picture(self, wallets: frozenset[str]) -> Picture:
        answer = await self._rpc.program_accounts(
            self._deployment.program_id,
            offset=_MARKET_OFFSET,
            data=bytes(self._deployment.config),
        )
        clients: dict[str, ChainClient] = {}
        escrows: dict[str, ChainEscrow] = {}
        for address, account in answer.accounts.items():
            # One of a version that we cannot read ends the look: it must not count as missing.
            tag = account.data[0] if account.data else None
            if tag == TAG_ESCROW:
                escrows[str(address)] = self._chain_escrow(account.data)
            elif tag == TAG_CLIENT:
                client = ClientAccount.parse(account.data)
                if str(client.owner) in wallets:
                    clients[str(client.owner)] = self._chain_client(address, client)
        return Picture(answer.slot, clients, escrows)

    def _chain_client(self, address: Pubkey, client: ClientAccount) -> ChainClient:
        return ChainClient(
            str(address),
            client.balance_micro_usdc,
            client.locked_micro_usdc,
            client.open_escrows,
            client.limit_micro_usdc(self._operator, self._now_ms() / 1000),
        )

    def _chain_escrow(self, data: bytes) -> ChainEscrow:
        escrow = EscrowAccount.parse(data)
        return ChainEscrow(
            client=str(escrow.client),
            provider=str(escrow.provider),
            sequence=escrow.sequence,
            voucher_signer=str(escrow.voucher_signer),
            max_micro_usdc=escrow.max_micro_usdc,
            released_micro_usdc=escrow.released_micro_usdc,
            is_disputed=escrow.state is EscrowState.DISPUTED,
            is_ours=escrow.rent_payer == self._operator,
        )

    def _of_undecided(self, undecided: list[str]) -> list[Difference]:
        now_ms = self._now_ms()
        self._undecided_since_ms = {
            payment_id: self._undecided_since_ms.get(payment_id, now_ms) for payment_id in undecided
        }
        return [
            Difference(
                Kind.PAYMENT_UNDECIDED,
                payment_id,
                "submitted",
                f"undecided for {(now_ms - since_ms) // 60_000} minutes",
            )
            for payment_id, since_ms in self._undecided_since_ms.items()
            if now_ms - since_ms > UNDECIDED_MAX_MS
        ]
