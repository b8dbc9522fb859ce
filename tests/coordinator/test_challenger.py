from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from coordinator.challenge_world import (
    NODE,
    OTHER,
    ChallengeWorld,
    guessed,
    honest,
    open_challenge_world,
)
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.store import challenges, task_lists
from neurogrid_coordinator.store.challenges import EVIDENCE_KEPT, Reason, Stage
from neurogrid_coordinator.store.tables import challenges as challenge_table
from neurogrid_coordinator.store.task_lists import TaskFilter
from neurogrid_coordinator.trust.challenger import Challenger
from neurogrid_coordinator.trust.standings import reputation_of_node
from neurogrid_marketplace.challenge_answer import Mark
from neurogrid_marketplace.challenge_evidence import verify_evidence
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.resources import Gpu
from neurogrid_marketplace.task_events import CancelRequested

_HOUR_MS = 3_600_000


async def score(made: ChallengeWorld, *, scored: bool) -> int:
    def read(conn: Connection) -> int:
        return reputation_of_node(
            conn,
            NODE.peer_id,
            made.world.now_ms,
            challenges_scored=scored,
        ).tally.score_permille

    return await made.world.database.read(read)


@on_asyncio
async def test_who_has_what_it_offers_passes_and_anybody_can_check_it(tmp_path: Path) -> None:
    async with open_challenge_world(tmp_path) as made:
        challenger = made.challenger()
        challenge_id, challenge, task_id = await made.begun(challenger)
        await challenger.look()
        assert (await made.row(challenge_id)).state is Stage.RUNNING
        await made.finish(task_id, honest(challenge), after_ms=challenge.deadline_ms - 2000)
        await challenger.look()
        row = await made.row(challenge_id)
        assert row.state is Mark.PASSED
        (found,) = await made.findings()
        assert found.finding.kind.value == "challenge_passed"
        assert found.details["challenge_id"] == challenge_id
        assert made.found_out == [NODE.peer_id]
        data = await made.evidence(challenge_id)
        assert data is not None
        checked = verify_evidence(data, lot="7a" * 32)
        assert checked.digest == row.digest == found.details["evidence_sha256"]
        assert checked.statement.challenge == challenge
        assert checked.statement.elapsed_ms == challenge.deadline_ms


@pytest.mark.parametrize("how", ["late", "wrong", "no answer", "no memory"])
@on_asyncio
async def test_who_has_not_fails_in_shadow_mode_and_loses_score_only_beyond_it(
    tmp_path: Path, how: str
) -> None:
    async with open_challenge_world(tmp_path) as made:
        challenger = made.challenger()
        challenge_id, challenge, task_id = await made.begun(challenger)
        match how:
            case "late":
                await made.finish(task_id, honest(challenge), after_ms=challenge.deadline_ms)
            case "wrong":
                await made.finish(task_id, guessed(challenge))
            case "no answer":
                await made.finish(task_id, None)
            case "no memory":
                await made.finish(task_id, None, outcome=Outcome.EXIT_NONZERO, exit_code=4)
        await challenger.look()
        expected = {"late": Mark.LATE, "no memory": Mark.UNANSWERED}.get(how, Mark.WRONG)
        assert (await made.row(challenge_id)).state is expected
        (found,) = await made.findings()
        assert found.finding.kind.value == "challenge_failed"
        assert await score(made, scored=False) == 500
        assert await score(made, scored=True) < 500
        data = await made.evidence(challenge_id)
        assert data is not None
        assert verify_evidence(data).statement.mark is expected


@on_asyncio
async def test_a_kill_at_any_moment_leaves_one_task_and_one_finding(tmp_path: Path) -> None:
    async with open_challenge_world(tmp_path) as made:
        database = made.world.database

        async def restart() -> Challenger:
            await made.challenger().look()
            return made.challenger()

        await restart()
        challenge_id, challenge, task_id = await made.begun(await restart())
        # Killed after the task was submitted, and before that was noted.
        await database.write(
            lambda conn: conn.execute(update(challenge_table).values(state="planned", task_id=None))
        )
        await restart()
        row = await made.row(challenge_id)
        assert (row.task_id, row.challenge) == (task_id, challenge)
        await made.finish(task_id, honest(challenge))
        # Killed after the mark was worked out, and before it was stored: two work it out.
        for challenger in (await restart(), await restart()):
            await challenger.look()
        assert (await made.row(challenge_id)).state is Mark.PASSED
        assert len(await made.findings()) == 1
        assert made.found_out == [NODE.peer_id]
        which = TaskFilter(made.payer.account.id)
        assert await database.read(lambda conn: task_lists.count(conn, which)) == 1


@on_asyncio
async def test_lateness_says_nothing_where_the_coordinator_was_away(tmp_path: Path) -> None:
    async with open_challenge_world(tmp_path) as made:
        challenge_id, challenge, task_id = await made.begun(made.challenger())
        await made.finish(task_id, honest(challenge), after_ms=challenge.deadline_ms)
        await made.challenger().look()
        row = await made.row(challenge_id)
        assert (row.state, row.note) == (
            Mark.INCONCLUSIVE,
            "the coordinator was away while it ran",
        )
        assert await made.findings() == []


@on_asyncio
async def test_a_wrong_answer_says_something_wherever_the_coordinator_was(tmp_path: Path) -> None:
    async with open_challenge_world(tmp_path) as made:
        challenge_id, challenge, task_id = await made.begun(made.challenger())
        await made.finish(task_id, guessed(challenge), after_ms=challenge.deadline_ms)
        await made.challenger().look()
        assert (await made.row(challenge_id)).state is Mark.WRONG


@on_asyncio
async def test_who_is_not_here_is_not_asked(tmp_path: Path) -> None:
    async with open_challenge_world(tmp_path) as made:
        challenger = made.challenger()
        challenge_id = await made.ask(OTHER)
        await challenger.look()
        assert (await made.row(challenge_id)).state is Stage.ASKED
        made.world.now_ms += 61_000
        await challenger.look()
        row = await made.row(challenge_id)
        assert (row.state, row.note) == (Mark.INCONCLUSIVE, "it is not connected")


@on_asyncio
async def test_what_a_submission_is_refused_for_is_said(tmp_path: Path) -> None:
    async with open_challenge_world(tmp_path) as made:
        for changes, words in (
            ({"account_id": "acct_" + "0" * 32}, "trust.challenge_account"),
            ({"price_micro_usdc_per_hour": 1}, "without max_price"),
            ({"price_micro_usdc_per_hour": 10**12}, "available"),
        ):
            challenge_id = await made.ask()
            await made.challenger(**changes).look()
            row = await made.row(challenge_id)
            assert row.state is Mark.INCONCLUSIVE
            assert words.casefold() in row.note.casefold(), row.note


@on_asyncio
async def test_a_chain_that_is_away_is_waited_for(tmp_path: Path) -> None:
    async with open_challenge_world(tmp_path) as made:
        challenger = made.challenger()
        challenge_id = await made.ask()
        made.world.chain.away = True
        await challenger.look()
        assert (await made.row(challenge_id)).state is Stage.PLANNED
        made.world.chain.away = False
        await challenger.look()
        assert (await made.row(challenge_id)).state is Stage.RUNNING


@on_asyncio
async def test_a_run_that_nobody_took_or_that_was_cancelled_says_nothing(tmp_path: Path) -> None:
    async with open_challenge_world(tmp_path) as made:
        challenger = made.challenger()
        challenge_id = await made.ask()
        await challenger.look()
        task_id = (await made.row(challenge_id)).task_id
        assert task_id is not None
        await made.world.step(task_id, CancelRequested())
        await challenger.look()
        assert (await made.row(challenge_id)).state is Mark.INCONCLUSIVE
        challenge_id, _, task_id = await made.begun(challenger)
        await made.finish(task_id, None, outcome=Outcome.JOB_REFUSED)
        await challenger.look()
        assert (await made.row(challenge_id)).state is Mark.INCONCLUSIVE
        assert await made.findings() == []
        assert await made.evidence(challenge_id) is None


@on_asyncio
async def test_what_cannot_be_challenged_is_said(tmp_path: Path) -> None:
    async with open_challenge_world(tmp_path) as made:
        view = made.world.market.views[0]
        total = view.offer.total
        foreign = Gpu("0000:03:00.0", "Radeon", 1, "0.0")
        await made.join(OTHER, total=type(total)(1000, 2**30, 2**30, (foreign,)))
        challenger = made.challenger()
        challenge_id = await made.ask(OTHER)
        made.world.now_ms += 61_000
        await challenger.look()
        assert "no UUID of an NVIDIA GPU" in (await made.row(challenge_id)).note


@on_asyncio
async def test_a_node_is_challenged_when_it_is_first_seen_and_then_by_lot(tmp_path: Path) -> None:
    async with open_challenge_world(tmp_path) as made:
        # Every node is drawn whenever it may be.
        challenger = made.challenger(per_day=1440)

        async def reasons() -> list[Reason]:
            rows = await made.world.database.read(challenges.of_node, NODE.peer_id, 10)
            return [row.reason for row in rows]

        await challenger.issue()
        assert await reasons() == [Reason.NEW]
        # One at a time.
        await made.join(OTHER)
        await challenger.issue()
        assert not await made.world.database.read(challenges.of_node, OTHER.peer_id, 10)
        (row,) = await made.world.database.read(challenges.open_ones, 10)
        await made.world.database.write(challenges.end, row.id, Mark.INCONCLUSIVE, "", 1)
        await challenger.issue()
        (row,) = await made.world.database.read(challenges.of_node, OTHER.peer_id, 10)
        await made.world.database.write(challenges.end, row.id, Mark.INCONCLUSIVE, "", 1)
        await challenger.issue()
        assert await reasons() == [Reason.NEW]
        await made.world.nodes.on_node(OTHER.peer_id, "left", made.world.market.views[1])
        made.world.now_ms += _HOUR_MS
        await challenger.issue()
        assert await reasons() == [Reason.DRAWN, Reason.NEW]


@on_asyncio
async def test_a_new_node_that_cannot_be_challenged_keeps_nobody_else_from_it(
    tmp_path: Path,
) -> None:
    async with open_challenge_world(tmp_path) as made:
        total = made.world.market.views[0].offer.total
        foreign = Gpu("0000:03:00.0", "Radeon", 1, "0.0")
        await made.join(OTHER, total=type(total)(1000, 2**30, 2**30, (foreign,)))
        challenger = made.challenger(per_day=1440)
        await challenger.issue()
        (row,) = await made.world.database.read(challenges.open_ones, 10)
        assert (row.node_id, row.reason) == (NODE.peer_id, Reason.NEW)
        await made.world.database.write(challenges.end, row.id, Mark.INCONCLUSIVE, "", 1)
        made.world.now_ms += _HOUR_MS
        await challenger.issue()
        (row,) = await made.world.database.read(challenges.open_ones, 10)
        assert (row.node_id, row.reason) == (NODE.peer_id, Reason.DRAWN)


@on_asyncio
async def test_an_answer_that_was_named_and_never_came_says_nothing(tmp_path: Path) -> None:
    async with open_challenge_world(tmp_path) as made:
        challenger = made.challenger()
        challenge_id, challenge, task_id = await made.begun(challenger)
        await made.finish(task_id, honest(challenge))
        for blob in (tmp_path / "artifacts").rglob("*"):
            if blob.is_file():
                blob.unlink()
        await challenger.look()
        row = await made.row(challenge_id)
        assert (row.state, row.note) == (
            Mark.INCONCLUSIVE,
            "the answer that it named was not uploaded",
        )


@on_asyncio
async def test_the_evidence_is_of_the_image_that_ran(tmp_path: Path) -> None:
    async with open_challenge_world(tmp_path) as made:
        challenge_id, challenge, task_id = await made.begun(made.challenger())
        await made.finish(task_id, honest(challenge))
        await made.challenger(image="neurogrid/challenge:2").look()
        data = await made.evidence(challenge_id)
        assert data is not None
        assert verify_evidence(data).statement.image == "neurogrid/challenge:1"


@on_asyncio
async def test_challenges_that_nobody_asked_for_stay_within_their_budget(tmp_path: Path) -> None:
    async with open_challenge_world(tmp_path) as made:
        for changes in ({"per_day": 0}, {"account_id": ""}, {"budget_micro_usdc_per_day": 40_000}):
            await made.challenger(**changes).issue()
            assert not await made.world.database.read(challenges.open_ones, 10), changes
        # Eighty seconds at 2 USDC per hour.
        challenger = made.challenger(per_day=1440, budget_micro_usdc_per_day=100_000)
        for number in range(4):
            await challenger.issue()
            for row in await made.world.database.read(challenges.open_ones, 10):
                await made.world.database.write(challenges.end, row.id, Mark.INCONCLUSIVE, "", 1)
            rows = await made.world.database.read(challenges.of_node, NODE.peer_id, 10)
            assert len(rows) == min(number + 1, 2)
            made.world.now_ms += _HOUR_MS
        made.world.now_ms += 24 * _HOUR_MS
        await challenger.issue()
        assert len(await made.world.database.read(challenges.open_ones, 10)) == 1


@on_asyncio
async def test_the_newest_files_of_evidence_are_kept(tmp_path: Path) -> None:
    async with open_challenge_world(tmp_path) as made:
        asked = []
        for number in range(EVIDENCE_KEPT + 2):
            asked.append(await made.ask())
            data = str(number).encode()
            await made.world.database.write(
                challenges.keep_evidence, asked[-1], NODE.peer_id, "0" * 64, data
            )
        kept = [await made.evidence(challenge_id) for challenge_id in asked]
        assert kept[:2] == [None, None]
        assert all(data is not None for data in kept[2:])


@on_asyncio
async def test_anybody_gets_the_evidence_without_a_key(tmp_path: Path) -> None:
    async with open_challenge_world(tmp_path) as made:
        challenger = made.challenger()
        challenge_id, challenge, task_id = await made.begun(challenger)
        await made.finish(task_id, honest(challenge))
        await challenger.look()
        anybody = made.world.client()
        listed = await anybody.get(f"/api/v1/nodes/{NODE.peer_id}/evidence")
        (item,) = listed.json()["data"]["evidence"]
        assert item["kind"] == "challenge_passed"
        file = await anybody.get(f"/api/v1/challenges/{challenge_id}/evidence")
        assert file.content == await made.evidence(challenge_id)
        assert file.headers["content-disposition"].endswith(f'evidence-{challenge_id}.json"')
        missing = await anybody.get("/api/v1/challenges/challenge_0/evidence")
        assert missing.json()["error"]["code"] == "NOT_FOUND"
