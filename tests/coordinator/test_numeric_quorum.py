"""Results that differ in their last digits, verified by numbers, with the files' real bytes."""

from pathlib import Path

import pytest

from coordinator.crash_stories import crashes_in, outlive
from coordinator.crashing_database import CrashingDatabase
from coordinator.fake_nodes import FakeNode
from coordinator.market_world import World, world
from coordinator.on_asyncio import on_asyncio
from coordinator.test_quorum import all_ended, has_ended, kinds_of, paid
from neurogrid_coordinator.store import leases
from neurogrid_coordinator.trust.comparisons import ComparisonFailed
from neurogrid_marketplace.comparator import DEFAULT_FILES, Comparator, ComparatorKind
from neurogrid_marketplace.demand import VerifyMode
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.verification import Verdict, Verification

NUMERIC = Comparator(ComparatorKind.NUMERIC, "1e-6", files=DEFAULT_FILES)
QUORUM = Verification(VerifyMode.QUORUM, 3, NUMERIC)
CHECK = Verification(VerifyMode.SPOT_CHECK, comparator=NUMERIC)
# More commits than this story takes.
_COMMITS_MAX = 120


async def nodes_of(market: World, *losses: str) -> list[FakeNode]:
    """A node for each loss that it reports, the cheapest first."""
    # Three runs and more, one after the other, on a machine that may be busy.
    market.patience_s = 25
    made = []
    for number, loss in enumerate(losses):
        node = market.node(f"n{number}", 1_000_000 + 100_000 * number)
        text = f'{{"loss": {loss}, "steps": 100}}'
        node.behaviour.outputs = (await market.uploaded("metrics.json", text.encode()),)
        made.append(node)
    return made


@on_asyncio
async def test_results_that_differ_in_the_last_digits_agree_and_a_liar_is_refuted(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        made = await nodes_of(market, "0.25", "0.9", "0.25000001")
        await market.start()
        task_id = await market.submit(verification=QUORUM)
        rows = await all_ended(market, task_id)
        assert {row.node_id: row.state.verdict for row in rows} == {
            made[0].node_id: Verdict.AGREED,
            made[1].node_id: Verdict.REFUTED,
            made[2].node_id: Verdict.AGREED,
        }
        assert await kinds_of(market, made) == [["verified"], ["refuted"], ["verified"]]
        assert await paid(market, rows) == [row.cost_micro_usdc for row in rows]


@on_asyncio
async def test_a_spot_check_goes_by_its_numbers_too(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        made = await nodes_of(market, "1e-30", "1.0000001e-30")
        await market.start()
        rows = await all_ended(market, await market.submit(verification=CHECK))
        assert [row.state.verdict for row in rows] == [Verdict.AGREED] * 2
        assert await kinds_of(market, made) == [["verified"]] * 2


@on_asyncio
async def test_a_comparison_that_fails_refutes_nobody_and_everybody_is_paid(
    tmp_path: Path,
) -> None:
    async def dies(question: bytes) -> bool:
        raise ComparisonFailed("it died")

    async with world(tmp_path) as market:
        market.compare = dies
        made = await nodes_of(market, "0.25", "0.9", "0.25000001")
        await market.start()
        task_id = await market.submit(verification=QUORUM)
        rows = await all_ended(market, task_id)
        assert [row.state.verdict for row in rows] == [Verdict.UNDECIDED] * 3
        ending = rows[0].state.ending
        assert ending is not None
        assert ending.code == "VERIFICATION_UNDECIDED"
        assert "the comparison failed: it died" in ending.message
        assert all(await paid(market, rows))
        assert await kinds_of(market, made) == [[], [], []]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_killed_at_a_commit_it_comes_to_the_same(tmp_path: Path, before: bool) -> None:
    async def story(market: World, database: CrashingDatabase) -> None:
        made = await nodes_of(market, "0.9", "0.25", "0.25000001")
        await market.start(database)
        task_id = await market.submit(verification=QUORUM)

        async def is_settled() -> bool:
            unsettled = await market.database.read(leases.unsettled)
            return not unsettled and await has_ended(market, task_id)

        await outlive(market, database, is_settled)
        rows = await all_ended(market, task_id)
        assert await kinds_of(market, made) == [["refuted"], ["verified"], ["verified"]]
        assert [len(node.containers_started) for node in made] == [1, 1, 1]
        assert await paid(market, rows) == [row.cost_micro_usdc for row in rows]
        own = next(row for row in rows if row.id == task_id)
        assert own.phase is Phase.COMPLETED

    # The steps of single runs are killed at every commit in `test_crashes`, those of a group in
    # `test_quorum`; here it is the end that matters, where the runs are compared.
    assert crashes_in(story, tmp_path, range(12 + before, _COMMITS_MAX, 12), before=before) >= 2
