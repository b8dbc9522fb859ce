"""A market on a local ledger with a client, a provider and us as the operator; `conftest` has the ledger."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import convert
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.chain_payments import open_outbox
from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions import (
    MarketTerms,
    SignedVoucher,
    claim_voucher,
    deposit,
    ed25519_instruction,
    init_config,
    open_client,
    register_provider,
    set_operator,
    stake,
)
from neurogrid_coordinator.config import ChainConfig
from neurogrid_coordinator.money.chain import Chain, EscrowTerms, OpenedEscrow
from neurogrid_coordinator.money.market_terms import load_terms
from neurogrid_marketplace.receipt import escrow_job_id
from neurogrid_marketplace.voucher import Voucher
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import FIRST_INSTRUCTION_INDEX, signers_from
from neurogrid_wallet.usdc import create_token_account

USDC = 1_000_000
GRACE_S = 100
DAY_S = 86_400
DOMAIN = 7


def pubkey(key: KeyPair) -> Pubkey:
    return Pubkey.from_bytes(key.public_key)


class Parties:
    """A new market with a client, a provider and us as the operator, and their payments."""

    def __init__(self, ledger: dict[str, Any], dispute_bond_micro_usdc: int = 0) -> None:
        self.admin, self.client, self.provider, self.operator, self.session = (
            KeyPair.generate() for _ in range(5)
        )
        self.deployment = Deployment(
            Pubkey.from_string(ledger["program_id"]),
            Pubkey.from_string(ledger["usdc_mint"]),
            pubkey(self.admin),
        )
        self._dispute_bond_micro_usdc = dispute_bond_micro_usdc
        self.rpc: Rpc
        self.outbox: Outbox
        self.chain: Chain
        self._payments = 0

    async def pay(self, payer: KeyPair, *instructions: Instruction) -> str:
        self._payments += 1
        name = f"setup {self._payments}"
        await self.outbox.submit(name, list(instructions), pubkey(payer))
        payment = await self.outbox.confirmed(name, 10)
        assert payment.signature is not None
        return payment.signature

    async def set_up(self) -> None:
        for key in (self.admin, self.client, self.provider, self.operator):
            await self.rpc.request_airdrop(pubkey(key), 10**9)
        for key in (self.client, self.provider):
            await self.rpc.call("neurogrid_requestUsdc", [key.address, 100 * USDC])
        deployment, owner, provider = self.deployment, pubkey(self.client), pubkey(self.provider)
        terms = MarketTerms(
            fee_bps=100,
            slash_bps=2000,
            min_stake_micro_usdc=5 * USDC,
            unbonding_window_s=10 * DAY_S,
            grace_window_s=GRACE_S,
            arbitration_window_s=GRACE_S,
            dispute_bond_micro_usdc=self._dispute_bond_micro_usdc,
        )
        treasury = deployment.token_account(pubkey(self.admin))
        await self.pay(
            self.admin,
            create_token_account(pubkey(self.admin), pubkey(self.admin), deployment.usdc_mint),
            init_config(
                deployment,
                treasury=treasury,
                arbiter=pubkey(self.admin),
                domain=DOMAIN,
                terms=terms,
            ),
        )
        await self.pay(
            self.client,
            open_client(deployment, owner=owner),
            deposit(
                deployment,
                funder=owner,
                client_owner=owner,
                source=deployment.token_account(owner),
                amount_micro_usdc=20 * USDC,
            ),
        )
        await self.allow(10 * USDC)
        await self.pay(
            self.provider, register_provider(deployment, owner=provider, payout_owner=provider)
        )

    async def allow(self, limit_micro_usdc: int, operator: KeyPair | None = None) -> None:
        operator = operator or self.operator
        await self.pay(
            self.client,
            set_operator(
                self.deployment,
                owner=pubkey(self.client),
                operator=pubkey(operator),
                limit_micro_usdc=limit_micro_usdc,
                expiry_unix_s=int(time.time()) + 30 * DAY_S,
            ),
        )

    async def stake(self) -> None:
        provider = pubkey(self.provider)
        await self.pay(
            self.provider,
            stake(
                self.deployment,
                funder=provider,
                provider_owner=provider,
                source=self.deployment.token_account(provider),
                amount_micro_usdc=5 * USDC,
            ),
        )

    def terms(self, lease_id: str, max_micro_usdc: int = 2 * USDC) -> EscrowTerms:
        return EscrowTerms(
            lease_id=lease_id,
            client=self.client.address,
            provider=self.provider.address,
            max_micro_usdc=max_micro_usdc,
            timeout_s=3600,
            voucher_signer=self.session.public_key,
        )

    async def claim(self, lease_id: str, opened: OpenedEscrow, amount: int) -> str:
        """The provider redeems a voucher and closes the escrow."""
        statement = Voucher(
            DOMAIN, bytes(Pubkey.from_string(opened.address)), opened.sequence, amount
        )
        signed = SignedVoucher(
            statement, pubkey(self.session), self.session.sign(statement.message())
        )
        return await self.pay(
            self.provider,
            ed25519_instruction([signed]),
            claim_voucher(
                self.deployment,
                client_owner=pubkey(self.client),
                provider_owner=pubkey(self.provider),
                job_id=escrow_job_id(lease_id),
                payout=self.deployment.token_account(pubkey(self.provider)),
                treasury=self.chain.terms.treasury,
                cumulative_micro_usdc=amount,
                ed25519_instruction_index=FIRST_INSTRUCTION_INDEX,
                close_to=pubkey(self.operator),
            ),
        )


@asynccontextmanager
async def market(
    ledger: dict[str, Any], folder: Path, *, dispute_bond_micro_usdc: int = 0, **settings: Any
) -> AsyncIterator[Parties]:
    """Give all of them one outbox, as a coordinator with these ``[chain]`` settings has it."""
    parties = Parties(ledger, dispute_bond_micro_usdc)
    endpoint = {name: ledger[name] for name in ("rpc_url", "genesis_hash")}
    config = convert({**endpoint, **parties.deployment.to_json(), **settings}, ChainConfig)
    keys = [parties.admin, parties.client, parties.provider, parties.operator]
    async with open_outbox(config, folder / "payments.db", signers_from(keys)) as (rpc, outbox):
        parties.rpc, parties.outbox = rpc, outbox
        running = asyncio.create_task(outbox.run())
        try:
            await parties.set_up()
            terms = await load_terms(rpc, parties.deployment, folder / "market.terms")
            parties.chain = Chain(
                rpc=rpc,
                outbox=outbox,
                deployment=parties.deployment,
                operator=pubkey(parties.operator),
                terms=terms,
            )
            yield parties
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
