"""What an outbox does about payments of which the chain does not say what became of them."""

import pytest

from neurogrid_wallet.errors import PaymentTimeout
from neurogrid_wallet.outbox import Outbox
from wallet.fake_chain import BLOCKHASH_LIFE_BLOCKS, FakeChain, Fate
from wallet.outbox_world import PATIENT, PAYER, World, attempts, pay
from wallet.stuck import waits_because


def _first_send_then_expiry(world: World, fate: Fate) -> None:
    """The first send has this fate, and then its blockhash expires; later ones land."""

    def first() -> Fate:
        world.chain.fate = lambda: Fate.LANDS
        # After this transaction, whatever becomes of it.
        world.chain.height_after_send = world.chain.height + BLOCKHASH_LIFE_BLOCKS + 100
        return fate

    world.chain.fate = first


@pytest.mark.parametrize("fate", [Fate.VANISHES, Fate.NEVER_ARRIVES])
def test_what_has_expired_unseen_is_signed_again(world: World, fate: Fate) -> None:
    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", pay("a"), PAYER)
        assert (await outbox.finalized("id", PATIENT)).attempts == 2

    _first_send_then_expiry(world, fate)
    world.live(life)
    assert world.chain.executed == {b"a": 1}


def test_what_expired_may_still_have_landed(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", pay("a"), PAYER)
        assert (await outbox.finalized("id", PATIENT)).attempts == 1

    _first_send_then_expiry(world, Fate.LANDS_UNHEARD)
    world.live(life)
    assert world.chain.executed == {b"a": 1}


async def _is_stuck(outbox: Outbox, chain: FakeChain, problem: str) -> None:
    await outbox.submit("id", pay("a"), PAYER)
    await waits_because(outbox, "id", problem)
    # And stays so, over many checks.
    with pytest.raises(PaymentTimeout, match=problem):
        await outbox.finalized("id", 0.2)
    assert attempts(chain) == 1


def test_a_node_that_forgot_proves_nothing(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        world.chain.history_from_slot = 10**6
        await _is_stuck(outbox, world.chain, "cannot prove")
        world.chain.history_from_slot = 0
        assert (await outbox.finalized("id", PATIENT)).attempts == 2

    _first_send_then_expiry(world, Fate.VANISHES)
    world.live(life)
    assert world.chain.executed == {b"a": 1}


def test_a_node_without_history_proves_nothing_and_stops_nobody_else(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        world.chain.refused_methods = {"getFirstAvailableBlock"}
        await _is_stuck(outbox, world.chain, "nobody can tell")
        await outbox.submit("another", pay("b"), PAYER)
        await outbox.finalized("another", PATIENT)
        world.chain.refused_methods = set()
        assert (await outbox.finalized("id", PATIENT)).attempts == 2

    _first_send_then_expiry(world, Fate.VANISHES)
    world.live(life)
    assert world.chain.executed == {b"a": 1, b"b": 1}


def test_a_block_that_was_confirmed_and_dropped_is_made_up_for(world: World) -> None:
    world.chain.blocks_to_finality = 50

    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", pay("a"), PAYER)
        confirmed = await outbox.confirmed("id", PATIENT)
        assert confirmed.signature is not None
        world.chain.drop(confirmed.signature)
        # Its bytes never arrive again, and then they expire.
        _first_send_then_expiry(world, Fate.VANISHES)
        final = await outbox.finalized("id", PATIENT)
        assert (final.attempts, final.signature == confirmed.signature) == (2, False)

    world.live(life)
    assert world.chain.executed == {b"a": 1}
