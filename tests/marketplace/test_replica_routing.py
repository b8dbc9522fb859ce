from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.replica_routing import (
    ANYBODY,
    Candidate,
    Health,
    Preferences,
    objection,
    objections,
    route,
)
from neurogrid_marketplace.unit_price import ModelUnit

NOW_MS = 1_000_000


def candidate(name: str, at_work: int = 0, **changes: object) -> Candidate:
    whole = Candidate(name, f"node {name}", f"owner {name}", "eu", at_work, 4)
    return replace(whole, **changes)  # type: ignore[arg-type]  # a test's own names


A, B, C = candidate("a", 1), candidate("b"), candidate("c", 4)


def chosen(preferences: Preferences = ANYBODY, **changes: object) -> str:
    found = route([A, B, C], preferences, NOW_MS, **changes)  # type: ignore[arg-type]  # its names
    return "" if found is None else found.replica_id


def test_the_least_loaded_serves_unless_another_served_the_session_last() -> None:
    assert chosen() == "b"
    assert chosen(last="a") == "a"
    assert chosen(last="c") == "b", "it has no place free"
    assert chosen(last="gone") == "b"


def test_one_that_failed_this_request_is_asked_again_only_if_there_is_no_other() -> None:
    assert chosen(tried=frozenset({"b"})) == "a"
    assert chosen(tried=frozenset({"a", "b"})) == "b"
    assert chosen(tried=frozenset({"b"}), last="b") == "a"


@pytest.mark.parametrize(
    ("preferences", "who"),
    [
        (Preferences(order=("owner c", "node a")), "a"),
        (Preferences(only=("node a",)), "a"),
        (Preferences(only=("owner c",)), ""),
        (Preferences(ignore=("owner b",)), "a"),
        (Preferences(regions=("us",)), ""),
        (Preferences(regions=("us", "eu")), "b"),
    ],
)
def test_a_request_says_by_whom_it_may_be_served(preferences: Preferences, who: str) -> None:
    assert chosen(preferences) == who


def test_who_asks_more_than_the_request_gives_is_left_out_and_counted() -> None:
    dear = candidate("d", prices={ModelUnit.INPUT_TOKEN: 200_000, ModelUnit.OUTPUT_TOKEN: 600_000})
    cheap = candidate("e", prices={ModelUnit.INPUT_TOKEN: 100_000})
    limit = Preferences(max_prices={ModelUnit.INPUT_TOKEN: 150_000, ModelUnit.IMAGE: 1})
    assert objection(dear, limit) == "max_price"
    assert objection(cheap, limit) == ""
    assert objections([dear, cheap, A], replace(limit, only=("node d", "node e"))) == {
        "max_price": 1,
        "only": 1,
    }


@pytest.mark.parametrize(
    ("sort", "who"),
    [("price", "cheap"), ("throughput", "fast"), ("latency", "prompt"), ("", "idle")],
)
def test_a_request_says_what_counts(sort: str, who: str) -> None:
    there = [
        candidate("cheap", 1, prices={ModelUnit.INPUT_TOKEN: 1}, health=Health(first_byte_ms=900)),
        candidate("fast", 1, prices={ModelUnit.INPUT_TOKEN: 9}, health=Health(0, 0, 900, 5000)),
        candidate("prompt", 1, prices={ModelUnit.INPUT_TOKEN: 9}, health=Health(first_byte_ms=20)),
        candidate("idle", 0, prices={ModelUnit.INPUT_TOKEN: 9}, health=Health(first_byte_ms=900)),
    ]
    found = route(there, Preferences(sort=sort), NOW_MS)  # type: ignore[arg-type]  # one of the words
    assert found is not None
    assert found.replica_id == who


def test_who_failed_rests_longer_each_time_until_an_answer() -> None:
    health, rests = Health(), []
    for _ in range(9):
        health = health.failed(NOW_MS)
        rests.append(health.rests_until_ms - NOW_MS)
    assert rests == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]
    resting = replace(B, health=health)
    assert route([resting], ANYBODY, NOW_MS) is None
    assert route([resting], ANYBODY, NOW_MS + 60_000) == resting
    assert health.answered(300) == Health(first_byte_ms=300)


def test_who_is_busy_rests_as_long_as_it_says_within_bounds_and_has_not_failed() -> None:
    assert Health().busy(NOW_MS, 5_000) == Health(rests_until_ms=NOW_MS + 5_000)
    assert Health().busy(NOW_MS, 0).rests_until_ms == NOW_MS + 1_000
    assert Health().busy(NOW_MS, 10**12).rests_until_ms == NOW_MS + 60_000
    resting = Health(3, NOW_MS + 8_000)
    assert resting.busy(NOW_MS, 1_000) == resting


def test_newer_answers_count_more() -> None:
    health = Health().answered(100, 1000).answered(200)
    assert (health.first_byte_ms, health.bytes_per_s) == (120, 1000)
    assert health.answered(120, 2000).bytes_per_s == 1200


@given(
    st.lists(
        st.builds(
            Candidate,
            st.uuids().map(str),
            st.sampled_from(["n1", "n2", "n3"]),
            st.sampled_from(["w1", "w2"]),
            st.sampled_from(["eu", "us"]),
            st.integers(0, 4),
            st.just(4),
            st.builds(Health, st.integers(0, 3), st.integers(NOW_MS - 9, NOW_MS + 9)),
        ),
        max_size=6,
    ),
    st.builds(
        Preferences,
        st.lists(st.sampled_from(["n1", "w2"]), max_size=2).map(tuple),
        st.lists(st.sampled_from(["n1", "w2"]), max_size=2).map(tuple),
        st.lists(st.sampled_from(["n2", "w1"]), max_size=2).map(tuple),
        st.sampled_from(["", "price", "throughput", "latency"]),
        regions=st.lists(st.sampled_from(["eu"]), max_size=1).map(tuple),
    ),
    st.randoms(),
)
def test_whoever_is_chosen_may_serve_and_the_order_of_the_list_says_nothing(
    there: list[Candidate], preferences: Preferences, chance: object
) -> None:
    found = route(there, preferences, NOW_MS)
    fit = [
        each
        for each in there
        if each.has_place
        and each.health.rests_until_ms <= NOW_MS
        and not objection(each, preferences)
    ]
    assert (found is None) == (not fit)
    assert found is None or found in fit
    shuffled = list(there)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
    assert route(shuffled, preferences, NOW_MS) == found
