"""Results that are compared by the client's own image: a task of its own, on yet another owner's node."""

from pathlib import Path

import pytest

from coordinator.crash_stories import crashes_in, outlive
from coordinator.crashing_database import CrashingDatabase
from coordinator.fake_nodes import FakeNode
from coordinator.market_world import World, world
from coordinator.on_asyncio import on_asyncio
from coordinator.test_quorum import all_ended, has_ended, kinds_of, paid
from neurogrid_coordinator.store import leases, tasks
from neurogrid_marketplace.comparator import Comparator, ComparatorKind
from neurogrid_marketplace.demand import VerifyMode
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.verification import Verdict, Verification

IMAGE = Comparator(ComparatorKind.IMAGE, image="mine/compare:1", timeout_s=60)
QUORUM_2 = Verification(VerifyMode.QUORUM, 2, IMAGE)
QUORUM_3 = Verification(VerifyMode.QUORUM, 3, IMAGE)
CHECK = Verification(VerifyMode.SPOT_CHECK, comparator=IMAGE)
# More commits than this story takes.
_COMMITS_MAX = 150


async def nodes_of(market: World, *texts: str) -> list[FakeNode]:
    """Nodes, the cheapest first: "[...]" is what one says that compares, all else an output."""
    # Three runs and more, one after the other, on a machine that may be busy.
    market.patience_s = 25
    made = []
    for number, text in enumerate(texts):
        node = market.node(f"n{number}", 1_000_000 + 100_000 * number)
        name = "agree.json" if text.startswith("[") else "out.txt"
        node.behaviour.outputs = (await market.uploaded(name, text.encode()),)
        made.append(node)
    return made


def split(rows: list[tasks.TaskRow]) -> tuple[list[tasks.TaskRow], list[tasks.TaskRow]]:
    """The group's runs, and those that compare them."""
    return (
        [row for row in rows if not row.state.compares],
        [row for row in rows if row.state.compares],
    )


@on_asyncio
async def test_the_image_decides_what_the_client_gets_and_nothing_about_anybody_else(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        made = await nodes_of(market, "wrong", "right", "correct", "[[1, 2]]")
        await market.start()
        task_id = await market.submit(verification=QUORUM_3)
        runs, comparisons = split(await all_ended(market, task_id))
        by_node = {row.node_id: row for row in runs}
        odd = by_node[made[0].node_id]
        assert odd.state.verdict is Verdict.OUTVOTED
        others = [row for row in runs if row is not odd]
        assert [row.state.verdict for row in others] == [Verdict.AGREED] * 2
        assert [row.phase for row in runs] == [Phase.COMPLETED] * 3
        own = next(row for row in runs if row.id == task_id)
        assert own.state.result is not None
        got = own.state.result.outputs[0].sha256
        assert got in {row.state.result.outputs[0].sha256 for row in others if row.state.result}
        # Whoever ran is paid, and nothing is held against, or in favour of, anybody.
        assert await paid(market, runs) == [row.cost_micro_usdc for row in runs]
        assert all(row.cost_micro_usdc for row in runs)
        assert await kinds_of(market, made) == [[], [], [], []]
        (comparison,) = comparisons
        assert comparison.node_id == made[3].node_id
        assert comparison.phase is Phase.COMPLETED
        assert comparison.job.image == "mine/compare:1"
        assert len(comparison.job.inputs) == 3
        assert await paid(market, comparisons) == [comparison.cost_micro_usdc] != [0]
        assert await market.database.read(tasks.held_micro_usdc, market.account.wallet) == 0


@on_asyncio
async def test_a_comparison_is_held_from_the_beginning_and_its_owner_has_no_run(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        made = await nodes_of(market, "a", "b", "[[0, 1]]", "[[0, 1]]")
        # The cheapest that is free then belongs to an owner who has a run.
        made[2].wallet = made[0].wallet
        owner = market.account.wallet
        await market.start()
        task_id = await market.submit(verification=QUORUM_2)
        # Two runs and a comparison, a minute at 3.60 USDC an hour each.
        assert await market.database.read(tasks.held_micro_usdc, owner) == 3 * 60_000
        runs, (comparison,) = split(await all_ended(market, task_id))
        assert comparison.node_id == made[3].node_id
        assert [row.state.verdict for row in runs] == [Verdict.AGREED] * 2
        assert await market.database.read(tasks.held_micro_usdc, owner) == 0


@on_asyncio
async def test_the_same_bytes_need_no_comparison_and_what_was_held_for_it_is_given_back(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        await nodes_of(market, "a", "a", "[]")
        await market.start()
        for wanted in (QUORUM_2, CHECK):
            rows = await all_ended(market, await market.submit(verification=wanted))
            assert [row.state.verdict for row in rows] == [Verdict.AGREED] * 2
        assert await market.database.read(tasks.held_micro_usdc, market.account.wallet) == 0


@on_asyncio
async def test_a_difference_is_decided_by_a_third_run_and_another_comparison(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        made = await nodes_of(market, "a", "b", "[[0], [1]]", "c", "[[1, 2], [0]]")
        await market.start()
        task_id = await market.submit(verification=CHECK)
        runs, comparisons = split(await all_ended(market, task_id))
        assert [row.state.verdict for row in runs] == [
            Verdict.OUTVOTED,
            Verdict.AGREED,
            Verdict.AGREED,
        ]
        assert [row.node_id for row in comparisons] == [made[2].node_id, made[4].node_id]
        assert [len(row.state.compares) for row in comparisons] == [2, 3]
        # It was paid at once, keeps what it has, and says so.
        assert runs[0].phase is Phase.COMPLETED
        assert runs[0].state.result_of == ""
        assert await kinds_of(market, made) == [[]] * 5


@on_asyncio
async def test_a_second_comparison_that_the_account_cannot_pay_is_not_made(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        await nodes_of(market, "a", "b", "[[0], [1]]", "c", "[[1, 2]]")
        # Enough for the third run, which costs as much.
        await market.start()
        task_id = await market.submit(verification=QUORUM_2)

        async def third_runs() -> bool:
            runs, _ = split(await market.group(task_id))
            return len(runs) == 3

        await market.until(third_runs, turning_ms=100)
        market.deposit_micro_usdc = 10
        runs, comparisons = split(await all_ended(market, task_id))
        assert [row.state.verdict for row in runs] == [Verdict.UNDECIDED] * 3
        assert len(comparisons) == 1
        assert runs[0].state.ending is not None
        assert "cannot pay to have them compared" in runs[0].state.ending.message
        assert all(await paid(market, runs))


@pytest.mark.parametrize("failure", ["ends with 2", "says nonsense", "finds no node"])
@on_asyncio
async def test_an_image_that_says_nothing_leaves_it_undecided_and_everybody_is_paid(
    tmp_path: Path, failure: str
) -> None:
    async with world(tmp_path) as market:
        said = () if failure == "finds no node" else ("[[0, 1, 2]]",)
        made = await nodes_of(market, "a", "b", *said)
        if failure == "ends with 2":
            made[2].behaviour.outcome, made[2].behaviour.exit_code = Outcome.EXIT_NONZERO, 2
        await market.start()
        task_id = await market.submit(verification=QUORUM_2)
        turning_ms = 5_000 if failure == "finds no node" else 100
        runs, _ = split(await all_ended(market, task_id, turning_ms=turning_ms))
        assert [row.state.verdict for row in runs] == [Verdict.UNDECIDED] * 2
        assert runs[0].state.ending is not None
        assert "the comparison failed" in runs[0].state.ending.message
        assert all(await paid(market, runs))
        assert await kinds_of(market, made) == [[]] * len(made)


@on_asyncio
async def test_cancelling_takes_the_comparison_along(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        made = await nodes_of(market, "a", "b", "[[0, 1]]")
        made[2].behaviour.run_ms = None
        life = await market.start()
        task_id = await market.submit(verification=QUORUM_2)

        async def compares() -> bool:
            _, comparisons = split(await market.group(task_id))
            return any(row.phase is Phase.RUNNING for row in comparisons)

        await market.until(compares, turning_ms=100)
        await life.orchestrator.request_cancel(task_id)
        rows = await all_ended(market, task_id)
        assert [row.phase for row in rows] == [Phase.CANCELLED] * 3
        assert await paid(market, rows) == [row.cost_micro_usdc for row in rows]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_killed_at_a_commit_it_compares_once_and_pays_nothing_twice(
    tmp_path: Path, before: bool
) -> None:
    async def story(market: World, database: CrashingDatabase) -> None:
        made = await nodes_of(market, "a", "b", "[[0, 1]]")
        await market.start(database)
        task_id = await market.submit(verification=QUORUM_2)

        async def is_settled() -> bool:
            unsettled = await market.database.read(leases.unsettled)
            return not unsettled and await has_ended(market, task_id)

        await outlive(market, database, is_settled)
        rows = await all_ended(market, task_id)
        assert [row.state.verdict for row in rows] == [Verdict.AGREED] * 2 + [Verdict.NONE]
        assert [len(node.containers_started) for node in made] == [1, 1, 1]
        assert await paid(market, rows) == [row.cost_micro_usdc for row in rows]
        assert market.chain.opens == 3
        held = await market.database.read(tasks.held_micro_usdc, market.account.wallet)
        assert held == 0

    # The first half of the story is `test_quorum`'s; each commit costs a life.
    assert crashes_in(story, tmp_path, range(14 + before, _COMMITS_MAX, 5), before=before) >= 3
