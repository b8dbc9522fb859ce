from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.on_asyncio import on_asyncio
from coordinator.places import place_in
from coordinator.records import NOW_MS, new_task, wallet
from neurogrid_coordinator.store import accounts, check_counts, findings
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.trust.spot_checks import SpotChecks
from neurogrid_marketplace.reputation import Finding, FindingKind, Tally
from neurogrid_marketplace.task import Lease
from neurogrid_marketplace.verification import commitment, draw_permille, is_drawn, share_permille

pytestmark = pytest.mark.both_databases

DAY_MS = 24 * 3_600_000
TODAY = NOW_MS // DAY_MS


def spot_checks(now_ms: int = NOW_MS, seed: bytes = b"s" * 32) -> SpotChecks:
    return SpotChecks(seed, challenges_scored=False, now_ms=lambda: now_ms)


def test_a_secret_is_told_two_days_after_and_fits_what_was_published_a_week_before() -> None:
    published = {item.day: item for item in spot_checks().commitments()}
    assert max(published) == TODAY + 7
    assert {day for day, item in published.items() if item.secret} == {
        day for day in published if day <= TODAY - 2
    }
    later = {item.day: item for item in spot_checks(NOW_MS + 9 * DAY_MS).commitments()}
    told = later[TODAY + 7]
    assert told.commitment == published[TODAY + 7].commitment
    assert told.secret is not None
    assert commitment(bytes.fromhex(told.secret)) == told.commitment
    others = {item.commitment for item in spot_checks(seed=b"t" * 32).commitments()}
    assert not others & {item.commitment for item in published.values()}


@on_asyncio
async def test_anybody_can_draw_again_with_the_secret(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as database:
        account = await database.write(accounts.create, "Ada", wallet("ada"), NOW_MS)
        drawn = []
        for number in range(60):
            lease = Lease(f"lease_{number:032x}", "node", wallet("w"), 1, 1, "demand", "b" * 64)
            task = replace(new_task(account.id).state, lease=lease, since_ms=NOW_MS)
            drawn.append(await database.write(spot_checks().is_checked, task))
        told = {item.day: item.secret for item in spot_checks(NOW_MS + 3 * DAY_MS).commitments()}
        secret = bytes.fromhex(told[TODAY] or "")
        again, unchecked = [], 0
        for n in range(60):
            draw = draw_permille(secret, f"lease_{n:032x}", "b" * 64)
            again.append(draw < share_permille(Tally(), unchecked))
            unchecked = 0 if again[-1] else unchecked + 1
        assert drawn == again
        counts = await database.read(check_counts.get)
        assert (counts.checkable, counts.redundant) == (60, 0)


def test_newcomers_are_checked_more_suspects_always_and_nobody_never() -> None:
    shares = [share_permille(Tally(verified=verified), 0) for verified in (0, 16, 32, 1000)]
    assert shares == [200, 100, 67, 50]
    proven = Tally(verified=1000)
    assert [share_permille(proven, unchecked) for unchecked in (10, 50, 500)] == [160, 600, 1000]
    assert share_permille(Tally(verified=1000, refuted=1.0), 0) == 1000


def test_beyond_a_tenth_of_all_work_only_suspects_are_checked() -> None:
    newcomer, suspect = Tally(), Tally(refuted=1.0)
    assert is_drawn(0, newcomer, 0, checkable=0, redundant=27)
    assert not is_drawn(0, newcomer, 0, checkable=0, redundant=28)
    assert is_drawn(0, newcomer, 0, checkable=1000, redundant=122)
    assert not is_drawn(0, newcomer, 0, checkable=1000, redundant=123)
    assert is_drawn(999, suspect, 0, checkable=0, redundant=28)
    assert not is_drawn(200, newcomer, 0, checkable=1000, redundant=0)


@on_asyncio
async def test_what_is_known_of_the_node_decides_its_share(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as database:
        account = await database.write(accounts.create, "Ada", wallet("ada"), NOW_MS)
        refuted = Finding(FindingKind.REFUTED, NOW_MS)
        await database.write(findings.add, "liar", refuted)
        for number in range(20):
            lease = Lease(f"lease_{number:032x}", "liar", wallet("w"), 1, 1, "demand", "b" * 64)
            task = replace(new_task(account.id).state, lease=lease, since_ms=NOW_MS)
            assert await database.write(spot_checks().is_checked, task)
