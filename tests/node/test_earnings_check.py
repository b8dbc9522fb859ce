"""What the journal says was earned, beside what the real program paid."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from neurogrid_node.journal import Journal, JournalThread
from neurogrid_node.money.earnings import Earnings
from neurogrid_node.money.earnings_check import EarningsCheck
from neurogrid_wallet.errors import RpcUnavailable
from neurogrid_wallet.rpc import Rpc
from node.chain_world import (
    FEE_BPS,
    ChainWorld,
    Parties,
    chain_world,
    market_on_ledger,
    now_ms,
)

AMOUNT = 100_000
NET = AMOUNT - AMOUNT * FEE_BPS // 10_000
_FINAL_S = 60.0


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parties]:
    with market_on_ledger(tmp_path_factory.mktemp("market")) as made:
        yield made


@pytest.fixture
async def world(tmp_path: Path, parties: Parties) -> AsyncIterator[ChainWorld]:
    async with chain_world(tmp_path, parties) as made:
        await made.stake()
        yield made


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.db")
    yield journal
    journal.close()


async def redeem(world: ChainWorld) -> str:
    """The transaction of a voucher that is redeemed, for ever."""
    await world.open_escrow()
    voucher = await world.voucher(AMOUNT)
    async with world.node_outbox() as outbox:
        redeemed = await Earnings(world.market(), outbox, now_ms).redeem(world.lease(), voucher)
        assert redeemed is not None
        assert redeemed.micro_usdc == NET
        await outbox.finalized(f"redeem:{world.lease().lease_id}:0", _FINAL_S)
    return redeemed.transaction


async def test_an_earning_that_the_chain_paid_is_no_difference(
    world: ChainWorld, journal: Journal
) -> None:
    journal.save_earning("lease_1", now_ms(), NET, await redeem(world))
    check = EarningsCheck(JournalThread(journal), world.market())
    await check.look(now_ms())
    assert check.problems == {}


async def test_another_amount_a_foreign_and_an_unknown_transaction_are_told_apart(
    world: ChainWorld, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    transaction = await redeem(world)
    at_ms = now_ms()
    journal.save_earning("lease_1", at_ms, NET + 1, transaction)
    journal.save_earning("lease_2", at_ms, NET, "1" * 64)
    check = EarningsCheck(JournalThread(journal), world.market())
    await check.look(now_ms())
    assert set(check.problems) == {"lease_1", "lease_2"}
    assert f"paid {NET} micro-USDC, and the journal says {NET + 1}" in check.problems["lease_1"]
    assert "knows no transaction" in check.problems["lease_2"]
    # What was compared is not compared, or logged, again.
    await check.look(now_ms())
    assert len(caplog.records) == 2


async def test_what_may_not_be_final_yet_and_an_absent_chain_are_left_for_the_next_look(
    world: ChainWorld, journal: Journal
) -> None:
    journal.save_earning("lease_1", now_ms(), NET + 1, await redeem(world))
    check = EarningsCheck(JournalThread(journal), world.market())
    await check.look(now_ms() - 3_600_000)
    assert check.problems == {}
    market = world.market()
    present = market.rpc
    async with Rpc("http://127.0.0.1:1") as nowhere:
        market.rpc = nowhere
        check = EarningsCheck(JournalThread(journal), market)
        with pytest.raises(RpcUnavailable):
            await check.look(now_ms())
    market.rpc = present
    await check.look(now_ms())
    assert set(check.problems) == {"lease_1"}


async def test_a_chain_that_knows_nothing_fills_no_memory(
    world: ChainWorld, journal: Journal
) -> None:
    at_ms = now_ms()
    for number in range(4):
        journal.save_earning(f"lease_{number}", at_ms + number, NET, "1" * 64)
    check = EarningsCheck(JournalThread(journal), world.market(), problems_kept=2)
    await check.look(at_ms + 4)
    assert list(check.problems) == ["lease_2", "lease_3"]


async def test_more_than_fits_into_one_look_is_looked_at_next(
    world: ChainWorld, journal: Journal
) -> None:
    at_ms = now_ms() - 10
    for number in range(3):
        journal.save_earning(f"lease_{number}", at_ms + number, NET, "1" * 64)
    check = EarningsCheck(JournalThread(journal), world.market(), looked_at_once=2)
    assert await check.look(now_ms())
    assert set(check.problems) == {"lease_0", "lease_1"}
    assert not await check.look(now_ms())
    assert set(check.problems) == {"lease_0", "lease_1", "lease_2"}
