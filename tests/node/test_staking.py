"""Registering and staking on a real ledger with the real program."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trio

from neurogrid_contracts.instructions import request_unstake, stake
from neurogrid_node.money.staking import Staking
from node.chain_world import (
    MIN_STAKE,
    USDC,
    ChainWorld,
    Parties,
    chain_world,
    market_on_ledger,
    pubkey,
)

# Only ends what hangs.
_PATIENCE_S = 300


async def until_said(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Wait until the log says something."""
    with trio.fail_after(_PATIENCE_S):
        while words not in caplog.text:  # noqa: ASYNC110 - a log has no event
            await trio.sleep(0.01)


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parties]:
    with market_on_ledger(tmp_path_factory.mktemp("market")) as made:
        yield made


@pytest.fixture
async def world(tmp_path: Path, parties: Parties) -> AsyncIterator[ChainWorld]:
    async with chain_world(tmp_path, parties) as made:
        yield made


async def test_a_node_says_what_it_lacks_and_stakes_when_it_has_it(
    world: ChainWorld, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.node_outbox() as outbox, trio.open_nursery() as nursery:
        staking = Staking(world.market(), outbox, look_lacking_s=0.05)
        nursery.start_soon(staking.ensure, 10 * USDC)
        await until_said(caplog, "has 0.00 SOL")
        await world.fund(world.wallet, 0)
        await until_said(caplog, "has 0.00 USDC")
        await world.fund(world.wallet, 10 * USDC)
    warnings = [record.message for record in caplog.records if "not staked" in record.message]
    # Each reason once, however often it was looked at.
    assert len(warnings) == 2
    assert "has 0.00 SOL; send it 0.02 SOL" in warnings[0]
    assert "has 0.00 USDC; send it 10.00 USDC more to stake" in warnings[1]
    provider = await world.provider()
    assert provider is not None
    assert provider.staked_micro_usdc == staking.staked_micro_usdc == 10 * USDC
    assert provider.payout_owner == pubkey(world.wallet)
    assert await world.usdc(world.wallet) == 0


async def test_the_markets_minimum_is_staked_even_if_less_was_configured(
    world: ChainWorld,
) -> None:
    await world.fund(world.wallet, 10 * USDC)
    async with world.node_outbox() as outbox:
        await Staking(world.market(), outbox).ensure(1)
    provider = await world.provider()
    assert provider is not None
    assert provider.staked_micro_usdc == MIN_STAKE


async def test_a_restarted_node_does_not_stake_again(world: ChainWorld) -> None:
    await world.fund(world.wallet, 30 * USDC)
    for _ in range(3):
        async with world.node_outbox() as outbox:
            await Staking(world.market(), outbox).ensure(10 * USDC)
    assert await world.usdc(world.wallet) == 20 * USDC


async def test_a_node_killed_between_paying_and_hearing_of_it_pays_once(world: ChainWorld) -> None:
    await world.fund(world.wallet, 30 * USDC)
    async with world.node_outbox(running=False) as outbox, trio.open_nursery() as nursery:
        nursery.start_soon(Staking(world.market(), outbox).ensure, 10 * USDC)
        # Submitted, not even signed, when the node dies.
        with trio.fail_after(_PATIENCE_S):
            while await outbox.undecided() != 1:  # noqa: ASYNC110 - an outbox has no event for it
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    async with world.node_outbox() as outbox:
        await Staking(world.market(), outbox).ensure(10 * USDC)
    assert await world.usdc(world.wallet) == 20 * USDC


async def test_what_the_owner_took_out_is_not_staked_again(world: ChainWorld) -> None:
    await world.fund(world.wallet, 30 * USDC)
    async with world.node_outbox() as outbox:
        await Staking(world.market(), outbox).ensure(10 * USDC)
        unstake = request_unstake(
            world.deployment, owner=pubkey(world.wallet), amount_micro_usdc=10 * USDC
        )
        await outbox.submit("unstake", [unstake], pubkey(world.wallet))
        await outbox.confirmed("unstake", 10)
        await Staking(world.market(), outbox).ensure(25 * USDC)
    assert await world.usdc(world.wallet) == 20 * USDC
    provider = await world.provider()
    assert provider is not None
    assert (provider.staked_micro_usdc, provider.unbonding_micro_usdc) == (0, 10 * USDC)


async def test_a_running_node_stops_and_starts_bidding_as_its_stake_falls_and_rises(
    world: ChainWorld, caplog: pytest.LogCaptureFixture
) -> None:
    await world.fund(world.wallet, 30 * USDC)
    answers: list[bool] = []
    wallet, deployment = pubkey(world.wallet), world.deployment
    async with world.node_outbox() as outbox, trio.open_nursery() as nursery:
        staking = Staking(world.market(), outbox, look_lacking_s=0.05, look_s=0.05)
        await staking.ensure(10 * USDC)
        heard = trio.Event()

        def changed(may_work: bool) -> None:
            nonlocal heard
            answers.append(may_work)
            heard.set()
            heard = trio.Event()

        async def until(count: int) -> None:
            with trio.fail_after(_PATIENCE_S):
                while len(answers) < count:
                    await heard.wait()

        nursery.start_soon(staking.follow, changed)
        await until(1)
        unstake = request_unstake(deployment, owner=wallet, amount_micro_usdc=10 * USDC - 1)
        await outbox.submit("unstake", [unstake], wallet)
        await until(2)
        assert staking.staked_micro_usdc == 1
        assert "0.000001 USDC are staked and the market asks for 5.00" in staking.problem
        assert "neurogrid-node stake 4.999999" in staking.problem
        more = stake(
            deployment,
            funder=wallet,
            provider_owner=wallet,
            source=deployment.token_account(wallet),
            amount_micro_usdc=5 * USDC,
        )
        await outbox.submit("stake", [more], wallet)
        await until(3)
        nursery.cancel_scope.cancel()
    assert (answers, staking.problem) == ([True, False, True], "")
    assert len([record for record in caplog.records if "no new work" in record.message]) == 1


async def test_another_chain_or_no_market_is_named_and_nothing_is_paid(
    world: ChainWorld, caplog: pytest.LogCaptureFixture
) -> None:
    await world.fund(world.wallet, 10 * USDC)
    async with world.node_outbox() as outbox:
        elsewhere = world.market(genesis_hash="1" * 32)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Staking(elsewhere, outbox, look_lacking_s=0.05).ensure, 10 * USDC)
            await until_said(caplog, f"is {world.genesis_hash}, not {'1' * 32}")
            # It looks again, and pays no more then.
            await trio.sleep(0.2)
            nursery.cancel_scope.cancel()
        nowhere = world.market()
        nowhere.deployment = type(world.deployment)(
            world.deployment.program_id, world.deployment.usdc_mint, pubkey(world.wallet)
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Staking(nowhere, outbox, look_lacking_s=0.05).ensure, 10 * USDC)
            await until_said(caplog, f"no market at {nowhere.deployment.config}")
            await trio.sleep(0.2)
            nursery.cancel_scope.cancel()
        assert await outbox.undecided() == 0
    assert await world.usdc(world.wallet) == 10 * USDC
