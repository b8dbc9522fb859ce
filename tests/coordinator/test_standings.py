from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from coordinator.api_world import node_view
from coordinator.market_world import world
from coordinator.on_asyncio import on_asyncio
from coordinator.places import place_in
from coordinator.records import NOW_MS, node_id, wallet
from neurogrid_coordinator.market.directory import Directory
from neurogrid_coordinator.store import challenges, findings
from neurogrid_coordinator.store.challenges import Reason
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.trust.standings import Standings
from neurogrid_marketplace.challenge_answer import Mark
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.messages import Hello
from neurogrid_marketplace.reputation import Finding, FindingKind
from neurogrid_marketplace.standing import UNKNOWN, Standing
from neurogrid_marketplace.task import Phase
from neurogrid_wallet.errors import RpcUnavailable

pytestmark = pytest.mark.both_databases

VERIFIED = Finding(FindingKind.VERIFIED, NOW_MS)
STAKE = 5_000_000


class Desk:
    """Standings over a database, with stakes that do as told."""

    def __init__(self, database: Database) -> None:
        self.told: list[Mapping[str, Standing]] = []
        self.away = False
        self.asked: list[Sequence[str]] = []
        self.standings = Standings(
            database=database,
            stakes=self._stakes,
            tell=self.told.append,
            challenges_scored=False,
            now_ms=lambda: NOW_MS,
        )

    async def _stakes(self, wallets: Sequence[str]) -> Mapping[str, int]:
        self.asked.append(wallets)
        if self.away:
            raise RpcUnavailable("getMultipleAccounts", "connection refused")
        return dict.fromkeys(wallets, STAKE)


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[tuple[Desk, Database]]:
    async with Database.open(place_in(folder)) as database:
        yield Desk(database), database


@on_asyncio
async def test_the_market_is_told_of_who_joins_and_of_what_changes(tmp_path: Path) -> None:
    async with desk(tmp_path) as (made, database):
        one = node_id("one")
        await made.standings.on_node(one, "joined", node_view("one"))
        await made.standings.refresh()
        assert made.told == [{one: Standing(500, STAKE)}]
        assert made.asked == [[wallet("one")]]
        await database.write(findings.add, one, VERIFIED)
        made.standings.changed(one)
        made.standings.changed(node_id("nobody"))
        await made.standings.refresh()
        await made.standings.refresh()
        assert made.told[1:] == [{one: Standing(524, STAKE)}]
        assert made.standings.of(one) == Standing(524, STAKE)


@on_asyncio
async def test_who_passed_its_last_challenge_lately_is_known_for_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as (made, database):
        one = node_id("one")
        await made.standings.on_node(one, "joined", node_view("one"))

        async def challenged(mark: Mark, ago_ms: int) -> bool:
            asked = await database.write(challenges.ask, one, Reason.BY_HAND, 0, NOW_MS)
            await database.write(challenges.end, asked, mark, "", NOW_MS - ago_ms)
            made.standings.changed(one)
            await made.standings.refresh()
            standing = made.standings.of(one)
            assert standing is not None
            return standing.challenged

        month_ms = 30 * 24 * 3_600_000
        assert await challenged(Mark.PASSED, month_ms)
        assert not await challenged(Mark.LATE, 0)
        assert not await challenged(Mark.INCONCLUSIVE, 0)
        assert not await challenged(Mark.PASSED, month_ms + 1)
        assert await challenged(Mark.PASSED, 0)
        # What says nothing takes nothing away.
        assert await challenged(Mark.INCONCLUSIVE, 0)


@on_asyncio
async def test_who_joins_again_is_told_of_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as (made, _):
        one = node_id("one")
        for change in ("joined", "left", "joined", "joined"):
            await made.standings.on_node(one, change, node_view("one"))
            await made.standings.refresh()
        assert made.told == [{one: Standing(500, STAKE)}] * 3
        await made.standings.on_node(one, "left", node_view("one"))
        assert made.standings.of(one) is None


@on_asyncio
async def test_while_the_chain_is_away_scores_are_told_without_stakes(tmp_path: Path) -> None:
    async with desk(tmp_path) as (made, _):
        made.away = True
        await made.standings.on_node(node_id("one"), "joined", node_view("one"))
        await made.standings.refresh()
        assert made.told == [{node_id("one"): Standing(500, 0)}]


@on_asyncio
async def test_a_finding_of_a_lease_is_stored_once(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("only")
        node.behaviour.outcome = Outcome.START_FAILED
        await market.start()
        task_id = await market.submit()

        async def refused() -> bool:
            return (await market.task(task_id)).state.attempts > 0

        await market.until(refused)
        (stored,) = await market.database.read(findings.of_node, node.node_id)
        assert stored.finding == Finding(
            FindingKind.FAILED, stored.finding.at_ms, Outcome.START_FAILED
        )
        assert market.found_out == [node.node_id]
        (lease,) = await market.leases(task_id)
        again = await market.database.write(
            findings.add, node.node_id, stored.finding, lease_id=lease.id
        )
        assert not again


@on_asyncio
async def test_a_run_that_completes_and_is_not_checked_leaves_no_finding(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("only")
        await market.start()
        task_id = await market.submit()
        await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        assert await market.database.read(findings.of_node, node.node_id) == []


@on_asyncio
async def test_findings_are_counted_and_listed_by_kind(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as database:
        failed = Finding(FindingKind.CHALLENGE_FAILED, NOW_MS)
        for finding in (VERIFIED, VERIFIED, failed):
            await database.write(findings.add, "node", finding, details={"seed": 1})
        counts = await database.read(findings.count_by_kind, "node")
        assert (counts[FindingKind.VERIFIED], counts[FindingKind.REFUTED]) == (2, 0)
        only = frozenset({FindingKind.CHALLENGE_FAILED})
        (found,) = await database.read(findings.of_node, "node", kinds=only)
        assert (found.finding, found.details) == (failed, {"seed": 1})


def test_the_market_forgets_the_standing_of_who_left() -> None:
    directory = Directory()
    view = node_view("one")
    one = view.offer.node_id
    directory.stand({one: Standing(900)})
    assert directory.standing(one) == UNKNOWN
    directory.join(Hello(view.offer), NOW_MS)
    directory.stand({one: Standing(900)})
    assert (directory.weights, directory.suspended) == ({one: 900}, set())
    directory.stand({one: Standing(0)})
    assert directory.suspended == {one}
    directory.leave(one)
    assert directory.weights == {}


@pytest.mark.parametrize("count", [0, 1, 1001])
@on_asyncio
async def test_only_the_newest_thousand_findings_count(tmp_path: Path, count: int) -> None:
    async with Database.open(place_in(tmp_path)) as database:

        def add(conn: object) -> None:
            for number in range(count):
                findings.add(conn, "node", Finding(FindingKind.VERIFIED, NOW_MS + number))  # type: ignore[arg-type]  # the database's connection

        await database.write(add)
        found = await database.read(findings.of_node, "node", limit=5_000)
        assert len(found) == min(count, 1000)
