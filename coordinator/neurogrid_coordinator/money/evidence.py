"""Receipts: what both sides of a lease signed, put together when its money is settled."""

import logging
from collections.abc import Callable

from solders.pubkey import Pubkey
from sqlalchemy import Connection

from neurogrid_contracts.deployment import Deployment
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.receipt import (
    Evidence,
    SettlementStatement,
    build_receipt,
    escrow_job_id,
)

from ..store import evidence, leases, use
from ..store.leases import LeaseRow
from .vouchers import VoucherDesk

_log = logging.getLogger(__name__)


class ReceiptDesk:
    """Writes receipts.

    Args:
        sign: signs with the coordinator's identity.
        network: the market's tag; coordinator: our peer id.
    """

    def __init__(
        self,
        *,
        sign: Callable[[bytes], bytes],
        network: str,
        coordinator: str,
        deployment: Deployment,
        vouchers: VoucherDesk,
    ) -> None:
        self._sign = sign
        self._network = network
        self._coordinator = coordinator
        self._deployment = deployment
        self._vouchers = vouchers

    def write(self, conn: Connection, row: LeaseRow, client: str, now_ms: int) -> None:
        """Store the receipt of a closed lease, if it ran to an end that its node reported.

        Args:
            row: with the closed settlement.
            client: the wallet that paid.
        """
        if not row.finished or not row.escrow or not row.settlement.closed_by:
            return
        found = self._evidence(conn, row)
        if found is None:
            _log.error("lease %s: its evidence is incomplete, so it has no receipt", row.id)
            return
        receipt = build_receipt(
            self._sign,
            network=self._network,
            coordinator=self._coordinator,
            task_id=row.task_id,
            lease_id=row.id,
            evidence={**found, "settlement": [self._statement(conn, row, client)]},
        )
        leases.insert_receipt(conn, row, receipt, now_ms)

    def _evidence(self, conn: Connection, row: LeaseRow) -> Evidence | None:
        auction = evidence.of(conn, row.lease.demand_id)
        demands = [item for item in auction if item.type == "demand"]
        mine = [item for item in demands if item.recipient == row.node_id]
        agreed = evidence.of(conn, row.id)
        award, accept = _last(agreed, "award"), _last(agreed, "accept")
        if not mine or award is None or accept is None:
            return None
        vouchers = evidence.vouchers_of(conn, row.id)
        return {
            "demand": mine[:1],
            "commit": [item for item in auction if item.type == "commit"],
            "reveal": [
                item for item in auction if item.type == "reveal" and item.recipient == row.node_id
            ],
            "bid": [item for item in auction if item.type == "bid"],
            "award": [award],
            "accept": [accept],
            "event": [item for item in agreed if item.type == "event"],
            "meter": evidence.meters_of(conn, row.id),
            "voucher": [*vouchers, self._vouchers.voucher(row)],
            "claimed": [
                item
                for item in agreed
                # A node may name one that the chain dropped, and claim again.
                if item.type == "claimed" and item.body["transaction"] == row.settlement.closed_by
            ],
        }

    def _statement(self, conn: Connection, row: LeaseRow, client: str) -> SettlementStatement:
        owner, state = Pubkey.from_string(client), row.settlement
        client_account = self._deployment.client(owner)
        _, bump = Pubkey.find_program_address(
            [b"escrow", bytes(client_account), escrow_job_id(row.id)],
            self._deployment.program_id,
        )
        return SettlementStatement(
            program_id=str(self._deployment.program_id),
            domain=self._vouchers.domain,
            client=client,
            client_account=str(client_account),
            escrow=row.escrow,
            escrow_bump=bump,
            escrow_sequence=row.escrow_sequence,
            voucher_signer=self._vouchers.signer(row.id).address,
            transaction=state.closed_by,
            paid_micro_usdc=state.paid_micro_usdc,
            closed_at_ms=state.since_ms,
            billed=use.of_lease(conn, row.id) if row.lease.counts_use else None,
        )


def _last(envelopes: list[Envelope], kind: str) -> Envelope | None:
    return next((item for item in reversed(envelopes) if item.type == kind), None)
