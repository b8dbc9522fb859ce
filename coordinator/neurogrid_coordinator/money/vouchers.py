"""Signing vouchers: each lease has a key of its own, derived from one seed and never stored.

How much is signed is decided by `settlement.sign` and its kin; a voucher leaves this process only after
that is stored.
"""

from neurogrid_marketplace.identity import address_bytes
from neurogrid_marketplace.messages import VoucherLink, VoucherMessage
from neurogrid_marketplace.payment_chain import next_link
from neurogrid_marketplace.settlement import SettlementPhase
from neurogrid_marketplace.voucher import Voucher
from neurogrid_wallet.keys import KeyPair

from ..store.leases import LeaseRow

_GROWING = frozenset({SettlementPhase.NONE, SettlementPhase.OPENING, SettlementPhase.OPEN})


class VoucherDesk:
    """Signs vouchers.

    Args:
        session: the seed that the leases' keys are derived from.
        domain: of the market (`ConfigAccount.domain`).
    """

    def __init__(self, session: KeyPair, domain: int) -> None:
        self._session = session
        self.domain = domain

    def signer(self, lease_id: str) -> KeyPair:
        """The key whose vouchers the lease's escrow honours."""
        return lease_key(self._session, lease_id)

    def voucher(self, row: LeaseRow, link: VoucherLink | None = None) -> VoucherMessage:
        """A voucher over what is signed for a lease; its escrow must be known.

        Args:
            link: its place in the chain of a running lease; the final one has the last place.
        """
        amount = row.settlement.signed_micro_usdc
        statement = Voucher(self.domain, address_bytes(row.escrow), row.escrow_sequence, amount)
        final = is_final(row)
        if final:
            link = next_link(row.settlement.payments, row.event_hash)
        signature = self.signer(row.id).sign(statement.message()).hex()
        return VoucherMessage(row.id, amount, signature, final, link)


def is_final(row: LeaseRow) -> bool:
    """Whether the amount that is signed for a lease is its last."""
    return row.settlement.phase not in _GROWING


def lease_key(session: KeyPair, lease_id: str) -> KeyPair:
    """The key of one lease, derived from the coordinator's seed."""
    return session.derive(b"voucher:" + lease_id.encode())
