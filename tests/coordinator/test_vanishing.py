"""Whoever vanishes, everybody ends up with what they are owed.

The coordinator's loops with their real chain, a node's rules and its real earnings, and the real
program in a real virtual machine, whose clock is moved. What is asserted is every balance there is.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import trio

from contracts.ledger_process import LedgerProcess
from coordinator.chain_parties import USDC, Parties, market, pubkey
from coordinator.fake_nodes import FakeNode
from coordinator.market_world import World, world
from neurogrid_contracts.accounts import ClientAccount, EscrowState, ProviderAccount
from neurogrid_contracts.instructions import dispute, refund
from neurogrid_coordinator.store import accounts
from neurogrid_coordinator.store.leases import LeaseRow
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_marketplace.receipt import escrow_job_id
from neurogrid_marketplace.settlement import SettlementPhase
from neurogrid_marketplace.task import Phase
from neurogrid_node.money.chain import Market as NodeMarket
from neurogrid_node.money.earnings import Earnings, Redeemed
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import signers_from
from neurogrid_wallet.usdc import usdc_balance

BOND = USDC // 2
# 600 s at 7.20 USDC an hour.
PRICE, TIMEOUT_S, MAX_COST = 7_200_000, 600, 1_200_000
# Only ends what hangs: how long a story takes is the machine's affair.
_LIMIT_S = 300.0


@dataclass(frozen=True)
class Money:
    """Every balance of the market, micro-USDC. It starts as below; its sum never changes."""

    client_wallet: int = 80 * USDC
    deposit: int = 20 * USDC
    locked: int = 0
    provider_wallet: int = 95 * USDC
    staked: int = 5 * USDC
    bonded: int = 0
    treasury: int = 0

    def paid(self, amount: int) -> "Money":
        """After the client paid so much to the provider; the fee is 1 %."""
        fee = amount // 100
        return replace(
            self,
            deposit=self.deposit - amount,
            provider_wallet=self.provider_wallet + amount - fee,
            treasury=self.treasury + fee,
        )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A chain for each story, because its clock is moved by hours and daemons go by the machine's."""
    data = tmp_path / "ledger"
    with LedgerProcess(data, "--slot-ms", "10", "--no-fsync") as process:
        yield {**process.info, "control_key": (data / "control.key").read_text().strip()}


class Story:
    """One client with a running job on one node that holds a voucher. Made by `story`."""

    def __init__(
        self, ledger: dict[str, Any], folder: Path, parties: Parties, market: World, node: FakeNode
    ) -> None:
        self.parties = parties
        self.market = market
        self.node = node
        self.task_id = ""
        self._ledger = ledger
        self._folder = folder

    async def begin(self) -> None:
        """Run the job until the node holds a voucher."""
        await self.market.start()
        self.task_id = await self.market.submit(
            price_micro_usdc_per_hour=PRICE, timeout_s=TIMEOUT_S
        )
        await self.market.until_phase(self.task_id, Phase.RUNNING)

        async def signed() -> bool:
            return self.held > 0

        await self.market.until(signed, turning_ms=500)

    @property
    def lease(self) -> NodeLease:
        """As the node knows it."""
        (lease,) = self.node.leases.values()
        return lease

    @property
    def held(self) -> int:
        """What the node's voucher is worth."""
        return self.lease.unredeemed_micro_usdc

    async def row(self) -> LeaseRow:
        """As the coordinator knows it."""
        (row,) = await self.market.leases(self.task_id)
        return row

    async def escrow_state(self) -> EscrowState | None:
        escrow = await self.parties.chain.escrow((await self.row()).escrow)
        return escrow.state if escrow else None

    async def node_redeems(self) -> Redeemed | None:
        """What the node's daemon does once its rules say so, with its own outbox."""
        lease, parties = self.lease, self.parties

        async def redeem() -> Redeemed | None:
            signers = signers_from([parties.provider])
            async with (
                Rpc(parties.rpc.url) as rpc,
                Outbox(self._folder / "node.db", rpc=rpc, signers=signers) as outbox,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(outbox.run)
                chain = NodeMarket(
                    rpc,
                    parties.deployment,
                    pubkey(parties.provider),
                    self._ledger["genesis_hash"],
                )
                redeemed = await Earnings(chain, outbox, lambda: 0).redeem(lease, lease.voucher)
                nursery.cancel_scope.cancel()
            return redeemed

        return await asyncio.to_thread(trio.run, redeem)

    async def until_node_claims(self) -> None:
        """Let a node to which nobody speaks any more follow its rules."""

        async def claims() -> bool:
            return self.lease.phase is LeasePhase.CLAIMING

        await self.market.until(claims, turning_ms=600_000)

    async def until_given_up(self) -> None:
        """Let the coordinator find that the node is lost."""

        async def given_up() -> bool:
            return (await self.row()).settlement.phase is SettlementPhase.RELEASING

        await self.market.until(given_up, turning_ms=2_000)

    async def until_refund_waits(self) -> None:
        """Let the coordinator declare that no more will come; the grace window runs."""

        async def waits() -> bool:
            escrow = await self.parties.chain.escrow((await self.row()).escrow)
            assert escrow is not None
            return escrow.claim_until_unix_s < escrow.deadline_unix_s

        await self.market.until(waits, turning_ms=2_000)

    async def settled(self) -> LeaseRow:
        (row,) = await self.market.until_settled(self.task_id, turning_ms=2_000)
        assert row.settlement.phase is SettlementPhase.CLOSED
        return row

    async def warp_past_refund(self) -> None:
        """Move the chain's clock to where anybody may refund."""
        escrow = await self.parties.chain.escrow((await self.row()).escrow)
        assert escrow is not None
        clock = await self.parties.rpc.call("neurogrid_warp", [self._bent(0)])
        await self.parties.rpc.call(
            "neurogrid_warp", [self._bent(escrow.refund_after_unix_s - clock["unix_time"] + 1)]
        )

    def _bent(self, seconds: int) -> dict[str, Any]:
        return {"key": self._ledger["control_key"], "seconds": seconds}

    async def dispute(self, *, by_provider: bool) -> None:
        parties = self.parties
        party = parties.provider if by_provider else parties.client
        await parties.pay(
            party,
            dispute(
                parties.deployment,
                party=pubkey(party),
                client_owner=pubkey(parties.client),
                provider_owner=pubkey(parties.provider),
                job_id=escrow_job_id((await self.row()).id),
            ),
        )

    async def refunded_by(self, anybody: Any) -> None:
        """Somebody without any right but to pay a fee ends the escrow."""
        parties = self.parties
        await parties.pay(
            anybody,
            refund(
                parties.deployment,
                client_owner=pubkey(parties.client),
                provider_owner=pubkey(parties.provider),
                job_id=escrow_job_id((await self.row()).id),
                rent_payer=pubkey(parties.operator),
            ),
        )

    async def money(self) -> Money:
        """Every balance, from the chain."""
        parties = self.parties
        deployment, rpc = parties.deployment, parties.rpc
        client, provider = pubkey(parties.client), pubkey(parties.provider)
        client_data, provider_data = await rpc.get_accounts(
            [deployment.client(client), deployment.provider(provider)]
        )
        assert client_data is not None
        assert provider_data is not None
        deposit = ClientAccount.parse(client_data.data)
        stake = ProviderAccount.parse(provider_data.data)
        mint = deployment.usdc_mint
        return Money(
            client_wallet=await usdc_balance(rpc, mint, client),
            deposit=deposit.balance_micro_usdc,
            locked=deposit.locked_micro_usdc,
            provider_wallet=await usdc_balance(rpc, mint, provider),
            staked=stake.staked_micro_usdc,
            bonded=stake.bonded_micro_usdc,
            treasury=await usdc_balance(rpc, mint, pubkey(parties.admin)),
        )


@asynccontextmanager
async def story(ledger: dict[str, Any], folder: Path) -> AsyncIterator[Story]:
    (folder / "chain").mkdir()
    async with (
        market(ledger, folder / "chain", dispute_bond_micro_usdc=BOND) as parties,
        world(folder) as made,
    ):
        await parties.stake()
        made.patience_s = _LIMIT_S
        made.chain = parties.chain  # type: ignore[assignment]  # the real one
        made.account = await made.database.write(
            accounts.create, "Grace", parties.client.address, made.clock()
        )
        node = made.node("only", PRICE)
        node.wallet = parties.provider.address
        node.behaviour.run_ms = None
        # Its rules run here; what they ask of the chain is `node_redeems`.
        node.behaviour.redeems = False
        told = Story(ledger, folder, parties, made, node)
        await told.begin()
        assert await told.money() == Money(locked=MAX_COST)
        yield told


def told(test: Callable[[Story], Coroutine[Any, Any, None]]) -> Callable[[Any, Path], None]:
    """Runs a test of a story on asyncio."""

    @functools.wraps(test)
    def run(ledger: dict[str, Any], tmp_path: Path) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(_LIMIT_S), story(ledger, tmp_path) as made:
                await test(made)

        asyncio.run(bounded())

    # Else pytest would take the story for a fixture.
    del run.__wrapped__
    return run


@told
async def test_a_client_that_vanishes_owes_what_it_signed_and_keeps_the_rest(story: Story) -> None:
    """Nobody signs for it any more: the node stops, redeems what it holds, and closes the escrow."""
    signed = story.held
    await story.market.stop()
    await story.until_node_claims()
    assert story.held == signed
    redeemed = await story.node_redeems()
    assert redeemed is not None
    assert redeemed.micro_usdc == signed - signed // 100
    assert await story.money() == Money().paid(signed)


@told
async def test_a_provider_that_vanishes_is_paid_nothing_more_and_the_client_gets_its_money(
    story: Story,
) -> None:
    """Even what was signed comes back, once nobody has redeemed it in the grace window."""
    story.node.behaviour.deaf = True
    await story.until_given_up()
    await story.until_refund_waits()
    assert await story.money() == Money(locked=MAX_COST)
    await story.warp_past_refund()
    row = await story.settled()
    assert row.settlement.paid_micro_usdc == 0
    assert await story.money() == Money()


@told
async def test_a_provider_that_comes_back_in_the_grace_window_is_paid_what_was_signed(
    story: Story,
) -> None:
    signed = story.held
    story.node.behaviour.deaf = True
    await story.until_given_up()
    await story.until_refund_waits()
    assert await story.node_redeems() is not None
    row = await story.settled()
    assert row.settlement.paid_micro_usdc == signed
    assert await story.money() == Money().paid(signed)


@told
async def test_a_coordinator_that_vanishes_with_the_node_leaves_the_client_its_money(
    story: Story,
) -> None:
    """The client ends the escrow by itself; a coordinator that comes back finds how it ended."""
    await story.market.stop()
    story.node.behaviour.deaf = True
    assert await story.escrow_state() is EscrowState.OPEN
    await story.warp_past_refund()
    await story.refunded_by(story.parties.client)
    assert await story.money() == Money()
    await story.market.start()
    row = await story.settled()
    assert row.settlement.paid_micro_usdc == 0


@told
async def test_an_arbiter_that_never_answers_holds_nobodys_money(story: Story) -> None:
    """The client's dispute lapses: vouchers are paid meanwhile, the rest and the bond come back."""
    signed = story.held
    await story.dispute(by_provider=False)
    assert await story.money() == Money(locked=MAX_COST + BOND)
    story.node.behaviour.deaf = True
    # What was signed is not in dispute.
    assert await story.node_redeems() is not None
    owed = Money().paid(signed)
    assert await story.money() == replace(owed, locked=MAX_COST - signed + BOND)
    await story.until_given_up()
    assert await story.escrow_state() is EscrowState.DISPUTED
    await story.warp_past_refund()
    row = await story.settled()
    assert row.settlement.paid_micro_usdc == signed
    assert await story.money() == owed


@told
async def test_neither_does_one_that_a_provider_has_asked(story: Story) -> None:
    """Client and coordinator are gone, and the arbiter never answers the provider's dispute."""
    signed = story.held
    await story.market.stop()
    await story.dispute(by_provider=True)
    assert await story.money() == Money(locked=MAX_COST, bonded=BOND)
    assert await story.node_redeems() is not None
    await story.warp_past_refund()
    await story.refunded_by(story.parties.provider)
    assert await story.money() == Money().paid(signed)


@told
async def test_a_node_without_a_voucher_gives_the_escrow_up_at_once(story: Story) -> None:
    """The client's money does not wait for the escrow's end where the node has nothing to claim."""
    await story.market.stop()
    (lease_id,) = story.node.leases
    story.node.leases[lease_id] = replace(story.lease, voucher=None)
    assert await story.node_redeems() is not None
    assert await story.money() == Money()
