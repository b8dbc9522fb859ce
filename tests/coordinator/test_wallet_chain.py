"""Transactions that wallets sign on the real program, in a local ledger of its own process."""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from solders.pubkey import Pubkey

from coordinator.chain_parties import USDC, Parties, market, pubkey
from coordinator.fake_wallet_chain import signed_by
from coordinator.on_asyncio import on_asyncio
from neurogrid.client_review import Asked, Market, review
from neurogrid.signed_transactions import NotSigned
from neurogrid.signing import sign_message
from neurogrid_contracts.client_money import Plan
from neurogrid_contracts.instructions import SignedVoucher
from neurogrid_coordinator.money.provider_plans import plan_claim
from neurogrid_coordinator.money.transfer import Transfer, TransferKind, TransferState
from neurogrid_coordinator.money.transfer_follower import TransferFollower
from neurogrid_coordinator.money.wallet_chain import WalletChain
from neurogrid_coordinator.services.errors import Conflict, LacksFunds
from neurogrid_coordinator.services.payouts import Payouts
from neurogrid_coordinator.services.stakes import Stakes
from neurogrid_coordinator.services.transfers import Transfers, Wanted
from neurogrid_coordinator.services.wallets import SpendingLimit, Wallets
from neurogrid_coordinator.store import accounts
from neurogrid_coordinator.store.accounts import Account
from neurogrid_coordinator.store.database import Database
from neurogrid_wallet.fees import FeePolicy
from neurogrid_wallet.keys import KeyPair


@dataclass(frozen=True)
class Desk:
    """A coordinator's transfers on the real chain."""

    parties: Parties
    database: Database
    chain: WalletChain
    transfers: Transfers
    wallets: Wallets

    async def account(self, key: KeyPair) -> Account:
        """Of the wallet with this key."""
        return await self.database.write(
            lambda conn: accounts.create(conn, "somebody", key.address, 1)
        )

    async def carry_out(self, account: Account, key: KeyPair, transfer: Transfer) -> Transfer:
        """Sign it, hand it in and see it through."""
        await self.transfers.submit(account, transfer.id, signed_by(key, transfer.unsigned))
        while True:
            found = await self.transfers.get(account, transfer.id)
            if found.state not in (TransferState.SIGNED, TransferState.CONFIRMED):
                return found
            await asyncio.sleep(0.02)


@asynccontextmanager
async def desk(ledger: dict[str, Any], folder: Path) -> AsyncGenerator[Desk]:
    async with market(ledger, folder) as parties, Database.open(folder / "db") as database:
        chain = WalletChain(
            parties.rpc, parties.deployment, pubkey(parties.operator), FeePolicy(percentile=50)
        )
        follower = TransferFollower(
            database, chain, parties.chain.funds.changed, lambda: time.time_ns() // 1_000_000
        )
        transfers = Transfers(database, chain, follower.submitted)
        following = asyncio.create_task(follower.run())
        try:
            yield Desk(parties, database, chain, transfers, Wallets(database, chain, transfers))
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


@on_asyncio
async def test_a_deposit_and_a_withdrawal_move_exactly_what_they_say(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with desk(ledger, tmp_path) as coordinator:
        parties, key = coordinator.parties, coordinator.parties.client
        account = await coordinator.account(key)
        asked = await coordinator.wallets.deposit(
            account, 3 * USDC, "USDC", SpendingLimit(7 * USDC), None
        )
        done = await coordinator.carry_out(account, key, asked.transfer)
        assert (done.state, done.failure) == (TransferState.FINALIZED, "")
        funds = await parties.chain.funds.get(key.address)
        assert (funds.balance_micro_usdc, funds.wallet_micro_usdc) == (23 * USDC, 77 * USDC)
        assert funds.operator_limit_micro_usdc == 7 * USDC

        to = parties.admin.address
        asked = await coordinator.wallets.withdraw(account, 23 * USDC, "USDC", to, None)
        done = await coordinator.carry_out(account, key, asked.transfer)
        assert done.state is TransferState.FINALIZED
        standing = await coordinator.chain.standing(pubkey(key))
        assert standing.client is not None
        assert standing.client.balance_micro_usdc == 0
        admin = await coordinator.chain.standing(pubkey(parties.admin))
        assert admin.tokens_micro["USDC"] == 23 * USDC
        with pytest.raises(LacksFunds):
            await coordinator.wallets.withdraw(account, 1, "USDC", "", None)


@on_asyncio
async def test_the_sdk_signs_what_it_has_read_and_the_chain_does_that(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with desk(ledger, tmp_path) as coordinator:
        parties, key = coordinator.parties, coordinator.parties.client
        account = await coordinator.account(key)
        key_file = tmp_path / "wallet.json"
        key.write_solana_file(key_file)
        where = parties.deployment
        market = Market(str(where.program_id), str(where.usdc_mint), str(where.admin))
        limit = SpendingLimit(7 * USDC)
        wanted = Asked("deposit", 3 * USDC, "", 7 * USDC, int(time.time()) + limit.days * 86_400)
        made = await coordinator.wallets.deposit(account, 3 * USDC, "USDC", limit, None)
        message = made.transfer.unsigned[65:]
        with pytest.raises(NotSigned):
            review(replace(wanted, amount_micro=2 * USDC), message, key.address, market)
        review(wanted, message, key.address, market)
        signature = sign_message(key_file, key.address, message)
        signed = base64.b64encode(b"\x01" + signature + message).decode()
        await coordinator.transfers.submit(account, made.transfer.id, signed)
        while True:
            done = await coordinator.transfers.get(account, made.transfer.id)
            if done.state not in (TransferState.SIGNED, TransferState.CONFIRMED):
                break
            await asyncio.sleep(0.02)
        assert (done.state, done.failure) == (TransferState.FINALIZED, "")
        funds = await parties.chain.funds.get(key.address)
        assert (funds.balance_micro_usdc, funds.operator_limit_micro_usdc) == (23 * USDC, 7 * USDC)


@on_asyncio
async def test_a_new_wallets_first_deposit_opens_its_account(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with desk(ledger, tmp_path) as coordinator:
        key = KeyPair.generate()
        account = await coordinator.account(key)
        rpc = coordinator.parties.rpc
        await rpc.call("neurogrid_requestUsdc", [key.address, 5 * USDC])
        # It has USDC, and no SOL for the fee: nobody is asked to sign what can't be done.
        with pytest.raises(LacksFunds, match="SOL"):
            await coordinator.wallets.deposit(account, USDC, "USDC", None, None)
        await rpc.request_airdrop(pubkey(key), 10**9)
        while not await rpc.sol_balance(pubkey(key)):  # noqa: ASYNC110 - a chain has no event
            await asyncio.sleep(0.02)
        asked = await coordinator.wallets.deposit(account, 5 * USDC, "USDC", None, None)
        done = await coordinator.carry_out(account, key, asked.transfer)
        assert done.state is TransferState.FINALIZED, done.failure
        standing = await coordinator.chain.standing(pubkey(key))
        assert standing.client is not None
        assert standing.client.balance_micro_usdc == 5 * USDC
        record = await rpc.transaction(done.signature or "")
        assert record is not None
        assert record.fee_lamports == done.fee_lamports
        assert base64.b64encode(record.raw) == base64.b64encode(done.signed or b"")


@on_asyncio
async def test_one_that_its_wallet_undercuts_fails_and_moves_nothing(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with desk(ledger, tmp_path) as coordinator:
        key = coordinator.parties.client
        account = await coordinator.account(key)
        first, second = [
            (await coordinator.wallets.withdraw(account, 15 * USDC, "USDC", "", None)).transfer
            for _ in range(2)
        ]
        assert (await coordinator.carry_out(account, key, first)).state is TransferState.FINALIZED
        try:
            late = await coordinator.carry_out(account, key, second)
        except Conflict:
            # This chain's blocks are short; on a busy machine the second one is too old by now.
            return
        assert late.state in (TransferState.FAILED, TransferState.DEAD)
        standing = await coordinator.chain.standing(pubkey(key))
        assert standing.client is not None
        assert standing.client.balance_micro_usdc == 5 * USDC


@on_asyncio
async def test_a_provider_stakes_redeems_and_sends_on_by_its_own_signature(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with desk(ledger, tmp_path) as coordinator:
        parties, key, chain = coordinator.parties, coordinator.parties.provider, coordinator.chain
        account, owner = await coordinator.account(key), pubkey(key)
        stakes = Stakes(chain, coordinator.transfers)
        asked = await stakes.stake(account, 6 * USDC, "USDC", None)
        assert (await coordinator.carry_out(account, key, asked.transfer)).failure == ""
        opened = await parties.chain.open(parties.terms("lease_1"))
        address = Pubkey.from_string(opened.address)

        async def plan() -> Plan:
            escrow, standing = await chain.escrow(address), await chain.provider(owner)
            assert escrow is not None
            voucher = escrow.voucher(address, standing.terms, USDC)
            signature = parties.session.sign(voucher.message())
            signed = SignedVoucher(voucher, escrow.voucher_signer, signature)
            return plan_claim(
                standing, owner, pubkey(parties.client), chain.deployment, escrow, signed
            )

        claim = await coordinator.transfers.ask(account, Wanted(TransferKind.CLAIM, 0), plan)
        assert claim.transfer.amount_micro == USDC
        assert (await coordinator.carry_out(account, key, claim.transfer)).failure == ""
        assert await chain.escrow(address) is None

        asked = await stakes.unstake(account, USDC, "USDC", None)
        assert (await coordinator.carry_out(account, key, asked.transfer)).failure == ""
        with pytest.raises(Conflict, match="are unbonding until"):
            await stakes.withdraw(account, None)
        to = parties.operator.address
        payouts = Payouts(chain, coordinator.transfers)
        asked = await payouts.request(account, 2 * USDC, "USDC", to, None)
        assert (await coordinator.carry_out(account, key, asked.transfer)).failure == ""
        standing = await chain.provider(owner)
        assert standing.account is not None
        assert standing.account.staked_micro_usdc == 5 * USDC
        assert standing.account.unbonding_micro_usdc == USDC
        # Of one USDC, less the market's fee of one per cent.
        assert standing.account.earned_micro_usdc == 990_000
        assert standing.wallet_micro_usdc == (100 - 6 - 2) * USDC + 990_000
