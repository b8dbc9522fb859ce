"""What an account's nodes earn, and redeeming what was signed for them."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from solders.pubkey import Pubkey
from sqlalchemy import Connection

from neurogrid_contracts.accounts import EscrowState
from neurogrid_contracts.client_money import Plan
from neurogrid_contracts.instructions import SignedVoucher
from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.messages import VoucherMessage

from ..money.provider_plans import plan_claim, plan_giving_up
from ..money.transfer import TransferKind
from ..money.vouchers import is_final
from ..money.wallet_chain import TransferChain
from ..store import accounts, earnings, leases
from ..store.accounts import Account
from ..store.database import Database
from ..store.earnings import LeasePay, NodePay, OpenPay, Paid
from ..store.leases import LeaseRow
from .errors import Conflict, NotFound
from .transfers import Asked, Transfers, Wanted

LIST_MAX = 100
# Of an account's nodes, as many are shown one by one: those that earned most.
NODES_MAX = 100
_ID = re.compile(r"lease_[0-9a-f]{32}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a wallet was paid in some time, by node as well, and what is promised to it now."""

    paid: Paid
    nodes: tuple[NodePay, ...]
    open: OpenPay


@dataclass(frozen=True, slots=True)
class PayPage:
    """Some leases; ``total`` counts all that were asked for."""

    leases: tuple[LeasePay, ...]
    total: int


class Earnings:
    """What accounts' wallets earn here as providers.

    Args:
        voucher: the last one of a lease that is over.
    """

    def __init__(
        self,
        database: Database,
        chain: TransferChain,
        transfers: Transfers,
        voucher: Callable[[LeaseRow], VoucherMessage],
    ) -> None:
        self._database = database
        self._chain = chain
        self._transfers = transfers
        self._voucher = voucher

    async def summary(self, account: Account, start_ms: int, end_ms: int) -> Summary:
        """What was paid by escrows that were closed in this time, and what is promised now."""

        def read(conn: Connection) -> Summary:
            wallet = account.wallet
            return Summary(
                earnings.paid(conn, wallet, start_ms, end_ms),
                tuple(earnings.paid_by_node(conn, wallet, start_ms, end_ms, limit=NODES_MAX)),
                earnings.promised(conn, wallet),
            )

        return await self._database.read(read)

    async def paid(
        self, account: Account, start_ms: int, end_ms: int, *, limit: int, offset: int
    ) -> PayPage:
        """Leases whose escrows were closed in this time, newest first."""
        return await self._page(account, start_ms, end_ms, limit, offset)

    async def open(self, account: Account, *, limit: int, offset: int) -> PayPage:
        """Leases whose escrows are open, newest first."""
        return await self._page(account, None, None, limit, offset)

    async def claim(self, account: Account, lease_id: str, idempotency_key: str | None) -> Asked:
        """Ask for a transaction that redeems the last voucher of a lease, or closes an escrow of which nothing (more) is due.
        The node does that by itself while it lives.

        Raises:
            NotFound: there is no such lease, or the account's wallet is not who earns by it.
            Conflict: there is nothing to redeem, or not yet; or see `Transfers.ask`.
            LacksFunds, IdempotencyMismatch, Unavailable: see `Transfers.ask`.
        """
        row, client = await self._lease(account, lease_id)
        owner = Pubkey.from_string(account.wallet)

        async def plan() -> Plan:
            _require_claimable(row)
            escrow = await self._chain.escrow(Pubkey.from_string(row.escrow))
            if escrow is None:
                settled: dict[str, Json] = {**_of(row), "settled": True}
                raise Conflict("what was signed for this lease is paid already", settled)
            if row.settlement.signed_micro_usdc <= escrow.released_micro_usdc:
                if escrow.state is EscrowState.DISPUTED:
                    raise Conflict("the escrow is disputed: its arbiter closes it", _of(row))
                return plan_giving_up(
                    owner, Pubkey.from_string(client), self._chain.deployment, escrow
                )
            standing = await self._chain.provider(owner)
            message = self._voucher(row)
            signed = SignedVoucher(
                escrow.voucher(
                    Pubkey.from_string(row.escrow), standing.terms, message.cumulative_micro_usdc
                ),
                escrow.voucher_signer,
                bytes.fromhex(message.signature),
            )
            return plan_claim(
                standing,
                owner,
                Pubkey.from_string(client),
                self._chain.deployment,
                escrow,
                signed,
            )

        wanted = Wanted(TransferKind.CLAIM, 0, of=row.id, idempotency_key=idempotency_key)
        return await self._transfers.ask(account, wanted, plan)

    async def _lease(self, account: Account, lease_id: str) -> tuple[LeaseRow, str]:
        """A lease that the account's wallet earns by, and its client's wallet."""

        def read(conn: Connection) -> tuple[LeaseRow, str] | None:
            row = leases.get(conn, lease_id)
            if row is None or row.wallet != account.wallet:
                return None
            client = accounts.get(conn, row.account_id)
            assert client is not None, "a lease refers to its account"
            return row, client.wallet

        found = await self._database.read(read) if _ID.match(lease_id) else None
        if found is None:
            raise NotFound(
                f"there is no lease {lease_id[:80]} that your wallet earns by",
                {"lease_id": lease_id[:80]},
            )
        return found

    async def _page(
        self, account: Account, start_ms: int | None, end_ms: int | None, limit: int, offset: int
    ) -> PayPage:
        def read(conn: Connection) -> PayPage:
            found, total = earnings.leases_of(
                conn,
                account.wallet,
                None if start_ms is None or end_ms is None else (start_ms, end_ms),
                limit=min(limit, LIST_MAX),
                offset=offset,
            )
            return PayPage(tuple(found), total)

        return await self._database.read(read)


def _require_claimable(row: LeaseRow) -> None:
    """Refuse to redeem what has no last voucher.

    Raises:
        Conflict: it has none.
    """
    if not row.escrow:
        raise Conflict("no escrow was opened for this lease, so nothing can be paid", _of(row))
    if not is_final(row):
        raise Conflict(
            "the job of this lease is not over: it is paid when it is. Ask again then", _of(row)
        )


def _of(row: LeaseRow) -> dict[str, Json]:
    return {"lease_id": row.id}
