"""A market on a real local ledger with the real program: a client with a deposit, and a provider.

The ledger and the market are made once for a test file; each test has a provider's wallet and a lease
of its own, and whatever a node keeps on its disk.
"""

import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import trio
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from contracts.ledger_process import LedgerProcess
from neurogrid_contracts.accounts import EscrowAccount, ProviderAccount
from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions import (
    MarketTerms,
    deposit,
    dispute,
    init_config,
    open_client,
    open_escrow,
)
from neurogrid_marketplace.execution import accept
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import Start, VoucherMessage
from neurogrid_marketplace.receipt import escrow_job_id
from neurogrid_node.money.chain import Market
from neurogrid_node.money.earnings import Earnings
from neurogrid_node.money.staking import Staking
from neurogrid_wallet.fees import FeePolicy
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Outbox, OutboxPolicy
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import signers_from
from neurogrid_wallet.usdc import create_token_account, usdc_balance
from node.market import COORDINATOR, award, demand, start

USDC = 1_000_000
DAY_S = 86_400
FEE_BPS = 200
MIN_STAKE = 5 * USDC
TERMS = MarketTerms(
    fee_bps=FEE_BPS,
    slash_bps=2_000,
    min_stake_micro_usdc=MIN_STAKE,
    unbonding_window_s=7 * DAY_S,
    grace_window_s=60,
    arbitration_window_s=60,
)
# What the test's award may cost: one USDC an hour for ten minutes.
MAX_COST = 166_667
_CONFIRM_S = 20.0


@dataclass(frozen=True)
class Parties:
    """Whose market it is, and who buys there."""

    ledger: LedgerProcess
    admin: KeyPair
    client: KeyPair


@contextmanager
def market_on_ledger(data: Path) -> Iterator[Parties]:
    """Start a ledger, with short slots because every payment waits for one, and make the market."""
    with LedgerProcess(data / "ledger", "--slot-ms", "50", "--no-fsync") as ledger:
        parties = Parties(ledger, KeyPair.generate(), KeyPair.generate())

        async def create() -> None:
            async with chain_world(data, parties) as world:
                await world.create()

        trio.run(create)
        yield parties


def pubkey(key: KeyPair) -> Pubkey:
    return Pubkey.from_bytes(key.public_key)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class ChainWorld:
    """See the module. Made by `chain_world`."""

    def __init__(self, directory: Path, parties: Parties, rpc: Rpc, outbox: Outbox) -> None:
        info = parties.ledger.info
        self.rpc = rpc
        self.directory = directory
        self.genesis_hash = str(info["genesis_hash"])
        self.admin, self.client = parties.admin, parties.client
        # The provider's wallet, and the client's key for this lease's vouchers.
        self.wallet, self.session = KeyPair.generate(), KeyPair.generate()
        self.lease_id = f"lease_{os.urandom(16).hex()}"
        self.deployment = Deployment(
            Pubkey.from_string(info["program_id"]),
            Pubkey.from_string(info["usdc_mint"]),
            pubkey(self.admin),
        )
        self._outbox = outbox

    # --- the others ---------------------------------------------------------------------------

    async def pay(self, payer: KeyPair, *instructions: Instruction) -> None:
        """Have somebody else do something."""
        name = os.urandom(8).hex()
        await self._outbox.submit(name, instructions, pubkey(payer))
        await self._outbox.confirmed(name, _CONFIRM_S)

    async def fund(self, key: KeyPair, micro_usdc: int) -> None:
        """SOL, and USDC if any, from the faucet."""
        await self.rpc.request_airdrop(pubkey(key), 10**9)
        if micro_usdc:
            await self.rpc.call("neurogrid_requestUsdc", [key.address, micro_usdc])
        with trio.fail_after(_CONFIRM_S):
            while await self.rpc.sol_balance(pubkey(key)) == 0:  # noqa: ASYNC110 - a chain has no event
                await trio.sleep(0.02)
            while await self.usdc(key) < micro_usdc:  # noqa: ASYNC110 - nor here
                await trio.sleep(0.02)

    async def create(self) -> None:
        """The market and the client."""
        d = self.deployment
        await self.fund(self.admin, 0)
        await self.fund(self.client, 100 * USDC)
        await self.pay(
            self.admin,
            create_token_account(d.admin, d.admin, d.usdc_mint),
            init_config(
                d, treasury=d.token_account(d.admin), arbiter=d.admin, domain=7, terms=TERMS
            ),
        )
        owner = pubkey(self.client)
        await self.pay(
            self.client,
            open_client(d, owner=owner),
            deposit(
                d,
                funder=owner,
                client_owner=owner,
                source=d.token_account(owner),
                amount_micro_usdc=100 * USDC,
            ),
        )

    async def open_escrow(
        self,
        *,
        maximum: int = MAX_COST,
        lasts_s: int = 4 * 3600,
        provider: KeyPair | None = None,
        voucher_signer: KeyPair | None = None,
        needs_acceptance: bool = False,
    ) -> None:
        """The client promises a lease's money."""
        await self.pay(
            self.client,
            open_escrow(
                self.deployment,
                authority=pubkey(self.client),
                client_owner=pubkey(self.client),
                provider_owner=pubkey(provider or self.wallet),
                job_id=self._job_id,
                max_micro_usdc=maximum,
                deadline_unix_s=int(time.time()) + lasts_s,
                voucher_signer=pubkey(voucher_signer or self.session),
                needs_acceptance=needs_acceptance,
            ),
        )

    async def dispute(self) -> None:
        """The client disputes the escrow."""
        await self.pay(
            self.client,
            dispute(
                self.deployment,
                party=pubkey(self.client),
                client_owner=pubkey(self.client),
                provider_owner=pubkey(self.wallet),
                job_id=self._job_id,
            ),
        )

    async def voucher(
        self, amount: int, *, signer: KeyPair | None = None, final: bool = True
    ) -> VoucherMessage:
        """What the client's session key signs."""
        escrow = await self.escrow()
        assert escrow is not None, "vouchers are of open escrows"
        terms = await self.market().terms()
        statement = escrow.voucher(self.escrow_address, terms, amount)
        signature = (signer or self.session).sign(statement.message()).hex()
        return VoucherMessage(self.lease_id, amount, signature, final)

    # --- the node's parts ---------------------------------------------------------------------

    def market(self, *, wallet: KeyPair | None = None, genesis_hash: str = "") -> Market:
        return Market(
            self.rpc,
            self.deployment,
            pubkey(wallet or self.wallet),
            genesis_hash or self.genesis_hash,
        )

    @asynccontextmanager
    async def node_outbox(
        self, *, running: bool = True, fees: FeePolicy | None = None
    ) -> AsyncIterator[Outbox]:
        """The node's payments; leaving it is the node's death."""
        policy = OutboxPolicy(check_interval_s=0.2, fees=fees or FeePolicy())
        path = self.directory / "payments.db"
        signers = signers_from([self.wallet])
        async with (
            Outbox(path, rpc=self.rpc, signers=signers, policy=policy) as outbox,
            trio.open_nursery() as nursery,
        ):
            if running:
                nursery.start_soon(outbox.run)
            yield outbox
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def earnings(self) -> AsyncIterator[Earnings]:
        """The node's earnings, as a daemon has them that was just started."""
        async with self.node_outbox() as outbox:
            yield Earnings(self.market(), outbox, now_ms)

    async def stake(self) -> None:
        """Make the node's wallet a provider."""
        await self.fund(self.wallet, 10 * USDC)
        async with self.node_outbox() as outbox:
            await Staking(self.market(), outbox).ensure(10 * USDC)

    def lease(self, **changes: object) -> NodeLease:
        """An accepted and started lease."""
        terms = demand(timeout_s=600)
        won = award("0" * 64, terms, lease_id=self.lease_id)
        accepted = accept(won, COORDINATOR, 60_000, now_ms())
        return replace(accepted, start=self.start(**changes))

    def start(self, **changes: object) -> Start:
        return start(
            **{
                "lease_id": self.lease_id,
                "client": self.client.address,
                "escrow": str(self.escrow_address),
                "voucher_signer": self.session.address,
                **changes,
            }
        )

    # --- what can be seen ---------------------------------------------------------------------

    @property
    def _job_id(self) -> bytes:
        return escrow_job_id(self.lease_id)

    @property
    def escrow_address(self) -> Pubkey:
        return self.deployment.escrow(pubkey(self.client), self._job_id)

    async def escrow(self) -> EscrowAccount | None:
        found = await self.rpc.get_account(self.escrow_address)
        return EscrowAccount.parse(found.data) if found else None

    async def provider(self) -> ProviderAccount | None:
        return await self.market().provider()

    async def usdc(self, key: KeyPair) -> int:
        return await usdc_balance(self.rpc, self.deployment.usdc_mint, pubkey(key))


@asynccontextmanager
async def chain_world(directory: Path, parties: Parties) -> AsyncIterator[ChainWorld]:
    """One test's."""
    signers = signers_from([parties.admin, parties.client])
    policy = OutboxPolicy(check_interval_s=0.2)
    async with (
        Rpc(parties.ledger.url) as rpc,
        Outbox(directory / "others.db", rpc=rpc, signers=signers, policy=policy) as outbox,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(outbox.run)
        yield ChainWorld(directory, parties, rpc, outbox)
        nursery.cancel_scope.cancel()
