"""The small market's chain: escrows in dictionaries, by the program's rules."""

import asyncio
import hashlib
from dataclasses import replace

from solders.pubkey import Pubkey

from coordinator.fake_parties import DEPLOYMENT, DOMAIN, Clock
from neurogrid_contracts.accounts import DisputeOpener, EscrowAccount, EscrowState
from neurogrid_coordinator.money.chain import EscrowRefused, EscrowTerms, OpenedEscrow
from neurogrid_coordinator.money.escrow_history import Closing
from neurogrid_marketplace import base58
from neurogrid_marketplace.identity import address_bytes, check_signature
from neurogrid_marketplace.messages import VoucherMessage
from neurogrid_marketplace.receipt import escrow_job_id
from neurogrid_marketplace.voucher import Voucher


def transaction(name: str) -> str:
    """A signature's form, made from a name."""
    return base58.encode(hashlib.sha512(name.encode()).digest())


class FakeChain:
    """Escrows in a dictionary; is a `settler.EscrowChain`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.open_escrows: dict[str, EscrowAccount] = {}
        self.closings: dict[str, Closing] = {}
        self.opened: dict[str, OpenedEscrow] = {}
        self.opens = 0
        self.refuse: EscrowRefused | None = None
        self.opens_max = 1_000
        # By all escrows that were ever closed, also where one was opened again at the same address.
        self.paid_micro_usdc = 0

    @staticmethod
    def address(client: str, lease_id: str) -> str:
        return str(DEPLOYMENT.escrow(Pubkey.from_string(client), escrow_job_id(lease_id)))

    async def open(self, terms: EscrowTerms) -> OpenedEscrow:
        await asyncio.sleep(0.001)
        known = self.opened.get(terms.lease_id)
        if known is not None:
            return known
        if self.refuse is not None:
            raise self.refuse
        if self.opens >= self.opens_max:
            raise EscrowRefused("no more is deposited", of_client=True)
        self.opens += 1
        address = self.address(terms.client, terms.lease_id)
        opened = OpenedEscrow(address, self.opens, transaction(f"open {terms.lease_id}"))
        self.open_escrows[address] = EscrowAccount(
            bump=255,
            state=EscrowState.OPEN,
            fee_bps=0,
            slash_bps=0,
            config=DEPLOYMENT.config,
            client=DEPLOYMENT.client(Pubkey.from_string(terms.client)),
            provider=DEPLOYMENT.provider(Pubkey.from_string(terms.provider)),
            job_id=escrow_job_id(terms.lease_id),
            rent_payer=DEPLOYMENT.admin,
            voucher_signer=Pubkey(terms.voucher_signer),
            sequence=self.opens,
            max_micro_usdc=terms.max_micro_usdc,
            released_micro_usdc=0,
            opened_unix_s=self._clock() // 1000,
            deadline_unix_s=self._clock() // 1000 + 3600,
            claim_until_unix_s=self._clock() // 1000 + 7200,
            grace_window_s=3600,
            arbitration_window_s=3600,
            dispute_bond_micro_usdc=0,
            slashed_micro_usdc=0,
            operator_charge_micro_usdc=terms.max_micro_usdc,
            operator_grant=1,
            opened_by_operator=True,
            dispute_opener=DisputeOpener.NOBODY,
            client_complains=False,
        )
        self.opened[terms.lease_id] = opened
        return opened

    async def escrow(self, address: str) -> EscrowAccount | None:
        await asyncio.sleep(0)
        return self.open_escrows.get(address)

    async def closing(self, address: str) -> Closing | None:
        return self.closings.get(address)

    async def take_back(self, lease_id: str, client: str, provider: str) -> None:
        address = self.address(client, lease_id)
        escrow = self.open_escrows.get(address)
        if escrow is None:
            return
        now_s = self._clock() // 1000
        if escrow.claim_until_unix_s > now_s + 60:
            self.open_escrows[address] = replace(escrow, claim_until_unix_s=now_s + 60)
        elif now_s > escrow.claim_until_unix_s:
            self._close(address, transaction(f"refund {lease_id}"), 0)

    def redeem(self, lease_id: str, address: str, voucher: VoucherMessage | None) -> str:
        """What a node does: close the escrow with a voucher, or give it up."""
        escrow = self.open_escrows.get(address)
        if escrow is None:
            return ""
        amount = voucher.cumulative_micro_usdc if voucher else 0
        if voucher is not None:
            statement = Voucher(DOMAIN, address_bytes(address), escrow.sequence, amount)
            signature = bytes.fromhex(voucher.signature)
            check_signature(bytes(escrow.voucher_signer), statement.message(), signature)
        assert amount <= escrow.max_micro_usdc
        self._close(address, transaction(f"redeem {lease_id}"), amount)
        return self.closings[address].transaction

    def _close(self, address: str, by: str, paid: int) -> None:
        del self.open_escrows[address]
        self.closings[address] = Closing(by, paid)
        self.paid_micro_usdc += paid
