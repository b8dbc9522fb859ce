from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_coordinator.store.findings import FINDINGS_MAX
from neurogrid_marketplace.faults import CONSEQUENCES, Fault, Outcome
from neurogrid_marketplace.reputation import (
    CLEARED_AFTER,
    HALF_LIFE_MS,
    ITEM_EFFECT_MAX_PERMILLE,
    SHADOW_KINDS,
    Finding,
    FindingKind,
    Tally,
    explain_reputation,
    tally_of,
)

NOW_MS = 1_800_000_000_000
DAY_MS = 24 * 3_600_000

OUTCOMES = st.sampled_from([None, *Outcome])
FINDINGS = st.builds(
    Finding,
    kind=st.sampled_from(FindingKind),
    at_ms=st.integers(NOW_MS - 400 * DAY_MS, NOW_MS),
    outcome=OUTCOMES,
    bid_start_ms=st.integers(0, 60_000),
    start_ms=st.integers(0, 600_000),
)


def verified(count: int, at_ms: int = NOW_MS) -> list[Finding]:
    return [Finding(FindingKind.VERIFIED, at_ms)] * count


def score(findings: list[Finding], now_ms: int = NOW_MS) -> int:
    return tally_of(findings, now_ms, challenges_scored=True).score_permille


def test_a_newcomer_stands_in_the_middle_and_verified_work_lifts_it() -> None:
    assert Tally().score_permille == 500
    assert [score(verified(n)) for n in (1, 20, 180, 1000)] == [524, 750, 950, 990]


@pytest.mark.parametrize("outcome", [o for o in Outcome if CONSEQUENCES[o].fault is not Fault.NODE])
def test_what_the_user_or_the_infrastructure_did_lowers_no_score(outcome: Outcome) -> None:
    failed = [Finding(FindingKind.FAILED, NOW_MS, outcome)] * 100
    assert score([*verified(5), *failed]) == score(verified(5))


@given(st.lists(FINDINGS, max_size=60), FINDINGS)
def test_one_finding_ruins_nobody(before: list[Finding], one: Finding) -> None:
    tally = tally_of(before, NOW_MS, challenges_scored=True)
    after = tally.after(one)
    if not tally.suspended and not after.suspended:
        assert abs(after.score_permille - tally.score_permille) < ITEM_EFFECT_MAX_PERMILLE
    if not tally.suspected:
        assert not after.suspended


def test_two_refutations_suspend_and_time_heals() -> None:
    wrong = [Finding(FindingKind.REFUTED, NOW_MS)] * 2
    good = verified(300)
    tally = tally_of([*good, *wrong], NOW_MS, challenges_scored=False)
    assert (tally.suspended, tally.score_permille) == (True, 0)
    later = tally.at(NOW_MS + HALF_LIFE_MS)
    assert not later.suspended
    assert later.suspected
    assert not tally.at(NOW_MS + 3 * HALF_LIFE_MS).suspected


def test_a_suspect_is_cleared_by_runs_that_agree_and_its_score_keeps_what_was_proven() -> None:
    wrong = Finding(FindingKind.REFUTED, NOW_MS)

    def known(right: int) -> Tally:
        return tally_of([wrong, *verified(right, NOW_MS + 1)], NOW_MS + 1, challenges_scored=False)

    suspect, cleared = known(CLEARED_AFTER - 1), known(CLEARED_AFTER)
    assert suspect.suspected
    assert suspect.after(replace(wrong, at_ms=NOW_MS + 2)).suspended
    assert not cleared.suspected
    again = cleared.after(replace(wrong, at_ms=NOW_MS + 2))
    assert (again.suspected, again.suspended) == (True, False)
    assert cleared.bad == suspect.bad == pytest.approx(4.0)


def test_one_refuted_again_before_it_is_cleared_begins_to_count_anew() -> None:
    tally = Tally(NOW_MS)
    for _ in range(2):
        for _ in range(CLEARED_AFTER - 1):
            tally = tally.after(Finding(FindingKind.VERIFIED, NOW_MS))
        tally = tally.after(Finding(FindingKind.REFUTED, NOW_MS))
    assert (tally.right, tally.suspended) == (0, True)
    # What runs that were under way still say does not end a suspension early.
    assert tally.after(Finding(FindingKind.VERIFIED, NOW_MS)).suspended


def test_as_many_findings_count_as_it_takes_to_be_cleared() -> None:
    """Else a refutation would be forgotten by what is stored, not by the rule."""
    assert FINDINGS_MAX > CLEARED_AFTER


@given(st.lists(FINDINGS, max_size=30), st.integers(0, 400 * DAY_MS))
def test_every_score_is_within_bounds_and_returns_to_the_middle(
    findings: list[Finding], later_ms: int
) -> None:
    assert 0 <= score(findings, NOW_MS + later_ms) <= 1000
    assert abs(score(findings, NOW_MS + 40 * HALF_LIFE_MS) - 500) <= 1


def test_points_halve_in_thirty_days() -> None:
    assert score(verified(40), NOW_MS + HALF_LIFE_MS) == score(verified(20))


@given(st.lists(FINDINGS, max_size=30))
def test_the_order_in_which_findings_arrive_does_not_matter(findings: list[Finding]) -> None:
    one_by_one = Tally()
    for finding in findings:
        one_by_one = one_by_one.after(finding)
    assert one_by_one.at(NOW_MS).good == pytest.approx(
        tally_of(findings, NOW_MS, challenges_scored=True).good
    )


def test_a_start_that_was_later_than_bid_earns_half() -> None:
    late = Finding(FindingKind.VERIFIED, NOW_MS, bid_start_ms=5_000, start_ms=20_001)
    slow_but_said = Finding(FindingKind.VERIFIED, NOW_MS, bid_start_ms=60_000, start_ms=90_000)
    assert score([late] * 2) == score(verified(1))
    assert score([slow_but_said]) == score(verified(1))


def test_challenges_are_recorded_and_not_scored_until_the_operator_says_so() -> None:
    findings = [Finding(kind, NOW_MS) for kind in SHADOW_KINDS]
    shadow = explain_reputation(findings, NOW_MS, challenges_scored=False)
    assert shadow.tally.score_permille == 500
    assert [(line.effect_permille, line.scored) for line in shadow.lines] == [(0, False)] * 3
    scored = explain_reputation(findings, NOW_MS, challenges_scored=True)
    assert scored.tally.score_permille < 500


@given(st.lists(FINDINGS, min_size=1, max_size=20))
def test_each_line_says_what_the_score_would_be_without_it(findings: list[Finding]) -> None:
    explained = explain_reputation(findings, NOW_MS, challenges_scored=True)
    assert [line.finding.at_ms for line in explained.lines] == sorted(
        (finding.at_ms for finding in findings), reverse=True
    )
    newest = explained.lines[0]
    rest = tally_of([line.finding for line in explained.lines[1:]], NOW_MS, challenges_scored=True)
    if not explained.tally.suspended and not rest.suspended:
        difference = explained.tally.score_permille - rest.score_permille
        # Both scores are rounded.
        assert abs(newest.effect_permille - difference) <= 1


def test_a_clock_that_goes_back_forgets_nothing_and_invents_nothing() -> None:
    tally = Tally().after(Finding(FindingKind.VERIFIED, NOW_MS))
    assert tally.at(NOW_MS - DAY_MS).good == 1.0
