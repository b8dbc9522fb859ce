"""The coordinator's chain on the real program, in a local ledger of its own process."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from coordinator.on_asyncio import on_asyncio
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
    relinquish,
    set_operator,
    stake,
)
from neurogrid_coordinator.chain import Chain, EscrowRefused, EscrowTerms, OpenedEscrow
from neurogrid_coordinator.client_funds import FundsReader
from neurogrid_coordinator.market_terms import load_terms
from neurogrid_marketplace.receipt import escrow_job_id
from neurogrid_marketplace.voucher import Voucher
from neurogrid_wallet.errors import RpcUnavailable
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.rpc import Account, Rpc
from neurogrid_wallet.transactions import signers_from
from neurogrid_wallet.usdc import create_token_account

USDC = 1_000_000
GRACE_S = 100
DAY_S = 86_400
DOMAIN = 7
_START_TIMEOUT_S = 30


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A ledger whose clock can be moved; gives what its ``ledger.json`` says."""
    data = tmp_path_factory.mktemp("ledger")
    command = [sys.executable, "-m", "neurogrid_contracts.ledger", "start", "--data", str(data)]
    command += ["--port", "0", "--slot-ms", "10", "--allow-warp", "--no-fsync"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "ready" in process.stdout.readline()
            yield json.loads((data / "ledger.json").read_text())
        finally:
            process.terminate()
            process.wait(_START_TIMEOUT_S)


def pubkey(key: KeyPair) -> Pubkey:
    return Pubkey.from_bytes(key.public_key)


class Parties:
    """A new market with a client, a provider and us as the operator, and their payments."""

    def __init__(self, ledger: dict[str, Any], rpc: Rpc) -> None:
        self.admin, self.client, self.provider, self.operator, self.session = (
            KeyPair.generate() for _ in range(5)
        )
        self.deployment = Deployment(
            Pubkey.from_string(ledger["program_id"]),
            Pubkey.from_string(ledger["usdc_mint"]),
            pubkey(self.admin),
        )
        self.rpc = rpc
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
            domain=DOMAIN,
        )
        treasury = deployment.token_account(pubkey(self.admin))
        await self.pay(
            self.admin,
            create_token_account(pubkey(self.admin), pubkey(self.admin), deployment.usdc_mint),
            init_config(deployment, treasury=treasury, arbiter=pubkey(self.admin), terms=terms),
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
                # The outbox puts one compute budget instruction in front.
                ed25519_instruction_index=1,
                close_to=pubkey(self.operator),
            ),
        )


@asynccontextmanager
async def market(ledger: dict[str, Any], folder: Path) -> AsyncIterator[Parties]:
    async with Rpc(ledger["rpc_url"]) as rpc:
        parties = Parties(ledger, rpc)
        keys = [parties.admin, parties.client, parties.provider, parties.operator]
        async with Outbox(folder / "payments.db", rpc=rpc, signers=signers_from(keys)) as outbox:
            parties.outbox = outbox
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


@on_asyncio
async def test_an_escrow_opens_once_and_locks_the_clients_money(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with market(ledger, tmp_path) as parties:
        await parties.stake()
        chain, client = parties.chain, parties.client.address
        before = await chain.funds.get(client)
        assert (before.balance_micro_usdc, before.locked_micro_usdc) == (20 * USDC, 0)
        assert before.operator_limit_micro_usdc == 10 * USDC
        assert before.wallet_micro_usdc == 80 * USDC

        first, again = await asyncio.gather(
            chain.open(parties.terms("lease_1")), chain.open(parties.terms("lease_1"))
        )
        assert first == again == await chain.open(parties.terms("lease_1"))
        assert first.address == chain.escrow_address(client, "lease_1")
        escrow = await chain.escrow(first.address)
        assert escrow is not None
        assert (escrow.max_micro_usdc, escrow.sequence) == (2 * USDC, first.sequence)
        after = await chain.funds.get(client)
        assert after.locked_micro_usdc == 2 * USDC
        assert after.operator_limit_micro_usdc == 8 * USDC


@on_asyncio
async def test_a_refusal_says_whose_it_is(ledger: dict[str, Any], tmp_path: Path) -> None:
    async with market(ledger, tmp_path) as parties:
        chain = parties.chain

        async def refusal(terms: EscrowTerms) -> EscrowRefused:
            with pytest.raises(EscrowRefused) as caught:
                await chain.open(terms)
            return caught.value

        unstaked = await refusal(parties.terms("lease_1"))
        assert (unstaked.of_client, unstaked.of_node) == (False, True)
        assert "staked 0.00 USDC" in str(unstaked)
        await parties.stake()

        poor = await refusal(parties.terms("lease_2", max_micro_usdc=11 * USDC))
        assert (poor.of_client, poor.of_node) == (True, False)
        assert "11.00 USDC" in str(poor)

        long = await refusal(replace(parties.terms("lease_3"), timeout_s=11 * DAY_S))
        assert long.of_client

        nobody = replace(parties.terms("lease_4"), client=parties.session.address)
        assert "deposited nothing" in str(await refusal(nobody))

        await parties.allow(10 * USDC, operator=parties.admin)
        dismissed = await refusal(parties.terms("lease_5"))
        assert dismissed.of_client
        assert parties.operator.address in str(dismissed)
        chain.funds.changed(parties.client.address)
        assert (await chain.funds.get(parties.client.address)).operator_limit_micro_usdc == 0


@on_asyncio
async def test_what_a_closed_escrow_paid_is_read_from_its_transactions(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with market(ledger, tmp_path) as parties:
        await parties.stake()
        chain = parties.chain
        redeemed = await chain.open(parties.terms("lease_1"))
        given_up = await chain.open(parties.terms("lease_2"))
        assert await chain.closing(redeemed.address) is None

        by = await parties.claim("lease_1", redeemed, 1_500_000)
        assert await chain.escrow(redeemed.address) is None
        closing = await chain.closing(redeemed.address)
        assert closing is not None
        assert (closing.transaction, closing.paid_micro_usdc) == (by, 1_500_000)

        by = await parties.pay(
            parties.provider,
            relinquish(
                parties.deployment,
                client_owner=pubkey(parties.client),
                provider_owner=pubkey(parties.provider),
                job_id=escrow_job_id("lease_2"),
                rent_payer=pubkey(parties.operator),
            ),
        )
        closing = await chain.closing(given_up.address)
        assert closing is not None
        assert (closing.transaction, closing.paid_micro_usdc) == (by, 0)


@on_asyncio
async def test_a_lost_nodes_escrow_is_released_then_refunded(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with market(ledger, tmp_path) as parties:
        await parties.stake()
        chain, client, provider = parties.chain, parties.client.address, parties.provider.address
        opened = await chain.open(parties.terms("lease_1"))
        escrow = await chain.escrow(opened.address)
        assert escrow is not None
        assert escrow.claim_until_unix_s > time.time() + 3600

        for _ in range(2):
            await chain.take_back("lease_1", client, provider)
            challenged = await chain.escrow(opened.address)
            assert challenged is not None
            assert challenged.claim_until_unix_s < escrow.claim_until_unix_s
        await parties.rpc.call("neurogrid_warp", [GRACE_S + 5])
        await chain.take_back("lease_1", client, provider)
        await chain.take_back("lease_1", client, provider)
        assert await chain.escrow(opened.address) is None
        closing = await chain.closing(opened.address)
        assert closing is not None
        assert closing.paid_micro_usdc == 0
        funds = await chain.funds.get(client)
        assert (funds.balance_micro_usdc, funds.locked_micro_usdc) == (20 * USDC, 0)


class Line:
    """An RPC endpoint that can be cut off; has what `FundsReader` uses."""

    def __init__(self, rpc: Rpc) -> None:
        self.is_cut = False
        self._rpc = rpc

    async def get_accounts(self, addresses: Sequence[Pubkey]) -> list[Account | None]:
        if self.is_cut:
            raise RpcUnavailable("getMultipleAccounts", "cut off")
        return await self._rpc.get_accounts(addresses)


@on_asyncio
async def test_terms_and_funds_outlive_a_chain_that_is_away(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with market(ledger, tmp_path) as parties:
        async with Rpc("http://127.0.0.1:1") as nowhere:
            cached = tmp_path / "market.terms"
            terms = await load_terms(nowhere, parties.deployment, cached)
            assert terms == parties.chain.terms
            with pytest.raises(RpcUnavailable):
                await load_terms(nowhere, parties.deployment, tmp_path / "none")

        line: Any = Line(parties.rpc)
        funds = FundsReader(line, parties.deployment, pubkey(parties.operator))
        known = await funds.get(parties.client.address)
        assert known.balance_micro_usdc == 20 * USDC
        line.is_cut = True
        funds.changed(parties.client.address)
        assert await funds.get(parties.client.address) == known
        with pytest.raises(RpcUnavailable):
            await funds.get(parties.provider.address)
