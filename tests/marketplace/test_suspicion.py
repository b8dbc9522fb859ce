"""What checks come to: how soon somebody is found out, and how seldom an honest node is."""

import random
from math import log

import pytest

from neurogrid_marketplace.model_check import Comparison, Text
from neurogrid_marketplace.suspicion import (
    CHECKS_PER_FALSE_CHARGE,
    HONEST_BYTES,
    THRESHOLD,
    Charge,
    Suspicion,
)

RIGHT = Comparison(Text.SAME, 300)
PARTED = Comparison(Text.DIVERGED, 18)
SHORTER = Comparison(Text.SHORTER, 100)
FAR = Comparison(Text.SAME, 100, told=30, drift_nats=0.2, is_far=True)
NEAR = Comparison(Text.DIVERGED, 100, told=30, drift_nats=0.005)
MORE = Comparison(Text.SAME, 300, claims_more=True)


def until_charged(seen: Comparison, *, at_most: int = 1000) -> tuple[int, Charge | None]:
    known = Suspicion()
    for number in range(1, at_most + 1):
        known = known.after(seen, f"acct_{number % 3}")
        if known.charge is not None:
            return number, known.charge
    return at_most, None


@pytest.mark.parametrize(
    ("seen", "checks", "charge"),
    [
        (PARTED, 13, Charge.SUBSTITUTES),
        (FAR, 4, Charge.SUBSTITUTES),
        (SHORTER, 4, Charge.SHORTENS),
        (MORE, 4, Charge.OVERCOUNTS),
        (RIGHT, 1000, None),
        (NEAR, 1000, None),
    ],
)
def test_how_many_checks_find_whom(seen: Comparison, checks: int, charge: Charge | None) -> None:
    assert until_charged(seen) == (checks, charge)


@pytest.mark.parametrize("seen", [PARTED, FAR, SHORTER, MORE])
def test_one_difference_is_no_proof_nor_are_two(seen: Comparison) -> None:
    known = Suspicion().after(seen, "one").after(seen, "two")
    assert known.is_raised
    assert known.exceeds is None
    assert known.against == 2


def test_right_answers_outweigh_what_was_seen_and_nothing_is_saved_up() -> None:
    known = Suspicion().after(PARTED, "one")
    known = known.after(RIGHT, "one").after(RIGHT, "one")
    assert not known.is_raised
    assert known.accounts == ()
    for _ in range(500):
        known = known.after(RIGHT, "one")
    # Who was honest for long is found out as soon as anybody.
    for number in range(13):
        known = known.after(PARTED, f"acct_{number}")
    assert known.charge is Charge.SUBSTITUTES


def test_nothing_follows_of_itself_from_one_clients_requests() -> None:
    known = Suspicion()
    for _ in range(50):
        known = known.after(PARTED, "one")
    assert (known.exceeds, known.charge) == (Charge.SUBSTITUTES, None)
    assert known.after(PARTED, "two").charge is Charge.SUBSTITUTES


def test_the_threshold_is_one_false_charge_in_a_million_checks() -> None:
    assert pytest.approx(log(3) + log(CHECKS_PER_FALSE_CHARGE)) == THRESHOLD


def test_honest_nodes_at_the_edge_of_what_is_called_honest_are_charged_as_seldom_as_said() -> None:
    """Lorden's bound at thresholds where it can be counted: an honest node comes to h in fewer than e^-h of its checks.

    Texts part once in `HONEST_BYTES`, and one check in a hundred sees something else: worse is not called honest.
    """
    lot = random.Random(7)
    known, lower, reached, checks = Suspicion(), log(50), 0, 60_000
    for _ in range(checks):
        parts_after = int(lot.expovariate(1 / HONEST_BYTES))
        length = lot.randrange(20, 800)
        text, same = (Text.DIVERGED, parts_after) if parts_after < length else (Text.SAME, length)
        seen = Comparison(text, same, claims_more=lot.random() < 0.01)
        known = known.after(seen, "one")
        if max(known.substitutes, known.overcounts) >= lower:
            reached += 1
            known = Suspicion()
    assert 0 < reached < 2 * checks / 50
