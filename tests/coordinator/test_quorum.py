"""Results that are verified by other nodes' runs: who is asked, who is paid, what the client gets."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from coordinator.crash_stories import crashes_in, outlive
from coordinator.crashing_database import CrashingDatabase
from coordinator.fake_nodes import FakeNode
from coordinator.market_world import World, world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.store import check_counts, findings, leases, task_lists, tasks
from neurogrid_marketplace.demand import VerifyMode
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.task import TERMINAL, Phase
from neurogrid_marketplace.verification import Verdict, Verification

QUORUM_2 = Verification(VerifyMode.QUORUM, 2)
QUORUM_3 = Verification(VerifyMode.QUORUM, 3)
CHECK = Verification(VerifyMode.SPOT_CHECK)
# More commits than any of these stories takes.
_COMMITS_MAX = 120


def leaves(text: str) -> OutputFile:
    """The job's one output."""
    return OutputFile("out.txt", hashlib.sha256(text.encode()).hexdigest(), len(text))


def nodes_of(market: World, writes: str) -> list[FakeNode]:
    """A node for each letter, the cheapest first; "w" writes what no other writes."""
    made = []
    for number, letter in enumerate(writes):
        node = market.node(f"{letter}{number}", 1_000_000 + 100_000 * number)
        node.behaviour.outputs = (leaves(f"wrong {number}" if letter == "w" else letter),)
        made.append(node)
    return made


async def has_ended(market: World, task_id: str) -> bool:
    """Whether all runs have ended and there is nothing more to say about them."""
    unsaid = (Verdict.DUE, Verdict.PENDING)
    rows = await market.group(task_id)
    return all(row.phase in TERMINAL and row.state.verdict not in unsaid for row in rows)


async def all_ended(market: World, task_id: str, *, turning_ms: int = 100) -> list[tasks.TaskRow]:
    async def ended() -> bool:
        rows = await market.group(task_id)
        return all(
            row.phase in TERMINAL and row.state.verdict not in (Verdict.DUE, Verdict.PENDING)
            for row in rows
        )

    await market.until(ended, turning_ms=turning_ms)
    await market.until_settled(task_id, turning_ms=100)
    return await market.group(task_id)


async def kinds_of(market: World, nodes: Sequence[FakeNode]) -> list[list[str]]:
    found = [await market.database.read(findings.of_node, node.node_id) for node in nodes]
    return [[stored.finding.kind.value for stored in stored_of] for stored_of in found]


async def paid(market: World, rows: list[tasks.TaskRow]) -> list[int]:
    amounts = []
    for row in rows:
        amounts.append(
            sum(lease.settlement.paid_micro_usdc for lease in await market.leases(row.id))
        )
    return amounts


@on_asyncio
async def test_a_quorum_runs_on_nodes_of_different_owners_and_all_who_agree_are_paid(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, "rrrr")
        # The two cheapest belong to one owner.
        made[1].wallet = made[0].wallet
        await market.start()
        task_id = await market.submit(verification=QUORUM_3)
        rows = await all_ended(market, task_id)
        assert [row.phase for row in rows] == [Phase.COMPLETED] * 3
        assert [row.state.verdict for row in rows] == [Verdict.AGREED] * 3
        owners = {row.state.lease.wallet for row in rows if row.state.lease}
        assert len(owners) == 3
        costs = [row.cost_micro_usdc for row in rows]
        assert await paid(market, rows) == costs
        assert all(cost > 0 for cost in costs)
        assert sorted(await kinds_of(market, made)) == [[]] + [["verified"]] * 3
        listed = await market.database.read(task_lists.list_rows, task_lists.TaskFilter())
        assert [row.id for row in listed] == [task_id]


@on_asyncio
async def test_money_is_held_for_every_run_until_its_escrow_covers_it(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        await market.start()
        owner = market.account.wallet
        await market.submit(verification=QUORUM_3)
        await market.submit(verification=CHECK)
        await market.submit()
        held = await market.database.read(tasks.held_micro_usdc, owner)
        # A minute at 3.60 USDC an hour each: three, two and one.
        assert held == 6 * 60_000


@on_asyncio
async def test_who_differs_is_refuted_by_a_third_run_and_gets_no_last_voucher(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, "rwrr")
        await market.start()
        task_id = await market.submit(verification=QUORUM_2)
        rows = await all_ended(market, task_id)
        by_node = {row.node_id: row for row in rows}
        assert len(rows) == 3
        liar = by_node[made[1].node_id]
        assert (liar.phase, liar.state.verdict) == (Phase.FAILED, Verdict.REFUTED)
        assert liar.state.ending is not None
        assert liar.state.ending.code == "RESULT_REFUTED"
        assert await paid(market, [liar]) == [0]
        honest = [row for row in rows if row is not liar]
        assert [row.phase for row in honest] == [Phase.COMPLETED] * 2
        assert await kinds_of(market, made[:2]) == [["verified"], ["refuted"]]
        assert made[1].node_id in market.found_out


@on_asyncio
async def test_a_task_whose_own_run_was_wrong_ends_with_what_the_others_came_to(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        (liar, *_) = nodes_of(market, "w")
        await market.start()
        task_id = await market.submit(verification=QUORUM_2)
        await market.until_phase(task_id, Phase.STARTING, Phase.RUNNING)
        for node in (market.node("r1", 2_000_000), market.node("r2", 2_000_000)):
            node.behaviour.outputs = (leaves("r"),)
            market.join(node)
        first, second, third = await all_ended(market, task_id)
        assert first.node_id == liar.node_id
        assert (first.phase, first.cost_micro_usdc) == (Phase.COMPLETED, 0)
        assert first.state.verdict is Verdict.REFUTED
        assert first.state.result_of == second.id
        assert first.state.result == second.state.result
        assert await paid(market, [first]) == [0]
        assert third.phase is Phase.COMPLETED


@on_asyncio
async def test_without_a_majority_nobody_is_refuted_and_everybody_is_paid(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, "wwwwww")
        await market.start()
        task_id = await market.submit(verification=QUORUM_2)
        rows = await all_ended(market, task_id)
        assert [row.state.verdict for row in rows] == [Verdict.UNDECIDED] * 4
        assert {row.state.ending.code for row in rows if row.state.ending} == {
            "VERIFICATION_UNDECIDED"
        }
        assert await paid(market, rows) == [row.cost_micro_usdc for row in rows]
        assert all(await paid(market, rows))
        assert await kinds_of(market, made) == [[]] * 6


@on_asyncio
async def test_a_further_run_that_the_account_cannot_pay_is_not_made(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, "rwr")
        market.deposit_micro_usdc = 10
        await market.start()
        task_id = await market.submit(verification=QUORUM_2)
        rows = await all_ended(market, task_id)
        assert [row.state.verdict for row in rows] == [Verdict.UNDECIDED] * 2
        assert rows[0].state.ending is not None
        assert "cannot pay" in rows[0].state.ending.message
        assert await kinds_of(market, made) == [[]] * 3


@on_asyncio
async def test_a_program_that_fails_everywhere_alike_has_failed(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, "rr")
        for node in made:
            node.behaviour.outcome, node.behaviour.exit_code = Outcome.EXIT_NONZERO, 3
        await market.start()
        task_id = await market.submit(verification=QUORUM_2)
        rows = await all_ended(market, task_id)
        assert [row.phase for row in rows] == [Phase.FAILED] * 2
        assert {row.state.ending.code for row in rows if row.state.ending} == {"EXIT_NONZERO"}
        assert await kinds_of(market, made) == [["verified"]] * 2


@on_asyncio
async def test_cancelling_ends_every_run_and_pays_what_ran(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        quick, slow = nodes_of(market, "rr")
        slow.behaviour.run_ms = None
        life = await market.start()
        task_id = await market.submit(verification=QUORUM_2)

        async def quick_waits() -> bool:
            rows = await market.group(task_id)
            return any(row.state.checked for row in rows) and all(row.started_at_ms for row in rows)

        await market.until(quick_waits, turning_ms=100)
        await life.orchestrator.request_cancel(task_id)
        rows = await all_ended(market, task_id)
        assert [row.phase for row in rows] == [Phase.CANCELLED] * 2
        assert await paid(market, rows) == [row.cost_micro_usdc for row in rows]
        assert await kinds_of(market, [quick, slow]) == [[], []]


@on_asyncio
async def test_a_task_that_ends_without_the_others_takes_them_along(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        nodes_of(market, "r")
        await market.start()
        task_id = await market.submit(verification=QUORUM_2)
        rows = await all_ended(market, task_id, turning_ms=5_000)
        # There is one owner only: the other run finds no node, and one answer is no quorum.
        assert sorted(row.phase.value for row in rows) == ["expired", "failed"]
        assert Verdict.UNDECIDED in {row.state.verdict for row in rows}


@on_asyncio
async def test_a_quorum_begins_when_what_its_job_gets_is_known(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        nodes_of(market, "rr")
        await market.start()
        needed = await market.submit()
        task_id = await market.submit_after(needed, verification=QUORUM_2)
        assert len(await market.group(task_id)) == 1
        owner = market.account.wallet
        assert await market.database.read(tasks.held_micro_usdc, owner) == 3 * 60_000
        await market.until_phase(needed, Phase.COMPLETED, turning_ms=100)

        async def begun() -> bool:
            return len(await market.group(task_id)) == 2

        await market.until(begun)
        first, second = await all_ended(market, task_id)
        assert first.state.verdict is second.state.verdict is Verdict.AGREED
        assert first.job.inputs == second.job.inputs != ()


@on_asyncio
async def test_a_spot_check_pays_at_once_and_runs_again_elsewhere(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, "rr")
        await market.start()
        task_id = await market.submit(verification=CHECK)
        first = await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        assert first.cost_micro_usdc > 0
        first, check = await all_ended(market, task_id)
        assert (first.state.verdict, check.state.verdict) == (Verdict.AGREED, Verdict.AGREED)
        assert first.node_id != check.node_id
        assert await kinds_of(market, made) == [["verified"], ["verified"]]
        assert await market.database.read(tasks.held_micro_usdc, market.account.wallet) == 0


@on_asyncio
async def test_what_is_not_drawn_is_spared_and_its_hold_given_back(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, "rr")
        market.checks = lambda _: False
        await market.start()
        task_id = await market.submit(verification=CHECK)
        (only,) = await all_ended(market, task_id)
        assert only.state.verdict is Verdict.SPARED
        assert await kinds_of(market, made) == [[], []]
        assert await market.database.read(tasks.held_micro_usdc, market.account.wallet) == 0


@on_asyncio
async def test_a_spot_check_that_differs_is_decided_by_three_who_agree(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, "wrrr")
        await market.start()
        task_id = await market.submit(verification=CHECK)
        first, *further = await all_ended(market, task_id)
        assert first.node_id == made[0].node_id
        # It was paid at once; that it was wrong is known now, and who has the right result.
        assert (first.phase, first.state.verdict) == (Phase.COMPLETED, Verdict.REFUTED)
        assert await paid(market, [first]) == [first.cost_micro_usdc]
        assert [row.state.verdict for row in further] == [Verdict.AGREED] * 3
        assert await kinds_of(market, made) == [["refuted"], *[["verified"]] * 3]


@on_asyncio
async def test_who_was_compared_counts_its_runs_anew_also_who_only_checked(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, "rrr")
        for node in made:
            await market.database.write(check_counts.set_unchecked, node.node_id, 7)
        await market.start()
        await all_ended(market, await market.submit(verification=CHECK))
        counts = [await market.database.read(check_counts.unchecked, node.node_id) for node in made]
        assert counts == [0, 0, 7]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("wanted", [QUORUM_2, CHECK], ids=["quorum", "check"])
def test_killed_at_a_commit_it_loses_nothing_and_pays_nothing_twice(
    tmp_path: Path, wanted: Verification, before: bool
) -> None:
    async def story(market: World, database: CrashingDatabase) -> None:
        # A check is sure only when three agree.
        made = nodes_of(market, "wrr" if wanted is QUORUM_2 else "wrrr")
        await market.start(database)
        task_id = await market.submit(verification=wanted)

        async def is_settled() -> bool:
            unsettled = await market.database.read(leases.unsettled)
            return not unsettled and await has_ended(market, task_id)

        await outlive(market, database, is_settled)
        rows = await all_ended(market, task_id)
        assert {row.node_id: row.state.verdict for row in rows} == {
            made[0].node_id: Verdict.REFUTED,
            **{node.node_id: Verdict.AGREED for node in made[1:]},
        }
        right = [["verified"]] * len(made[1:])
        assert await kinds_of(market, made) == [["refuted"], *right]
        assert [len(node.containers_started) for node in made] == [1] * len(made)
        assert await paid(market, rows) == [row.cost_micro_usdc for row in rows]
        assert market.chain.opens == len(made)

    # Every seventh commit, because each costs a life: the steps of a single run are killed at every
    # commit in `test_crashes`.
    assert crashes_in(story, tmp_path, range(1 + before, _COMMITS_MAX, 7), before=before) >= 3
