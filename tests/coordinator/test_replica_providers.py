"""The `provider` object of `/v1` at replicas: two nodes, of two owners, in two regions, at two prices, and each word of it chooses among them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.api_world import Customer
from coordinator.on_asyncio import on_asyncio
from coordinator.records import node_id, wallet
from coordinator.replica_world import CATALOGUE, ReplicaWorld, open_replica_world
from coordinator.test_paid_use import WHOLE, ask, events_of

ONE, TWO = node_id("one"), node_id("two")
# As the catalogue has them: a million tokens written cost 0.10 USDC at most, and node two asks a quarter.
FULL, QUARTER = "0.10", "0.025"


# The same model, which no program for tasks answers.
SERVED_ALONE = CATALOGUE.replace('price = { max_usdc_per_hour = "0.36" }', "tasks = false")


@asynccontextmanager
async def two(folder: Path, entry: str = CATALOGUE) -> AsyncIterator[tuple[ReplicaWorld, Customer]]:
    async with open_replica_world(folder, entry=entry, features=("stream",)) as here:
        here.world.share_permille["two"] = 250
        here.world.regions |= {"one": "eu-west", "two": "us-east"}
        await here.two_up(WHOLE, WHOLE)
        yield here, await here.world.customer("alice")


def by(answer: httpx.Response) -> str:
    """The node whose replica answered."""
    last = events_of(answer)[-2]
    return str(last["neurogrid"]["node_id"])


CHOICES: list[tuple[dict[str, Any], str]] = [
    ({"only": [TWO]}, TWO),
    ({"only": [wallet("one")]}, ONE),
    ({"ignore": [ONE]}, TWO),
    ({"ignore": [wallet("two")]}, ONE),
    ({"order": [TWO, ONE]}, TWO),
    ({"order": [ONE]}, ONE),
    # Somebody who is not here at all, and then anybody.
    ({"order": [node_id("gone")], "ignore": [ONE]}, TWO),
    ({"order": [TWO], "allow_fallbacks": False}, TWO),
    ({"region": "us-east"}, TWO),
    ({"region": "eu-west"}, ONE),
    ({"sort": "price"}, TWO),
    ({"max_price": {"completion": QUARTER}}, TWO),
    ({"max_price": {"completion": FULL}, "order": [ONE]}, ONE),
    # What no replica has a price for costs nothing.
    ({"max_price": {"prompt": "0"}, "order": [ONE]}, ONE),
    # Sixteen tokens at the highest price are 1.6 micro-USDC.
    ({"max_price": {"request": "0.000002"}, "order": [ONE]}, ONE),
]


@on_asyncio
async def test_each_word_of_a_request_chooses_who_answers(tmp_path: Path) -> None:
    async with two(tmp_path) as (_, alice):
        for provider, node in CHOICES:
            answer = await ask(alice, provider=provider, max_tokens=16)
            assert by(answer) == node, provider


@on_asyncio
async def test_the_quicker_one_is_had_by_sort(tmp_path: Path) -> None:
    async with two(tmp_path) as (here, alice):
        for replica in here.pool.replicas.values():
            assert replica.lease is not None
            quick = replica.lease.node_id == TWO
            # As many answers have shown it.
            replica.health = replica.health.answered(10 if quick else 500, 9_000 if quick else 100)
        for sort in ("latency", "throughput"):
            assert by(await ask(alice, provider={"sort": sort})) == TWO


REFUSED: list[tuple[dict[str, Any], dict[str, int]]] = [
    ({"only": [node_id("gone")]}, {"only": 2}),
    ({"ignore": [ONE, wallet("two")]}, {"ignore": 2}),
    ({"order": [node_id("gone")], "allow_fallbacks": False}, {"only": 2}),
    ({"order": [ONE], "only": [TWO], "allow_fallbacks": False}, {"only": 2}),
    ({"region": "mars"}, {"region": 2}),
    ({"max_price": {"completion": "0.024999"}}, {"max_price": 2}),
    ({"only": [ONE], "max_price": {"completion": QUARTER}}, {"only": 1, "max_price": 1}),
]


@pytest.mark.parametrize(("provider", "left_out"), REFUSED)
@on_asyncio
async def test_where_none_is_allowed_it_is_said_why_at_once(
    tmp_path: Path, provider: dict[str, Any], left_out: dict[str, int]
) -> None:
    async with two(tmp_path, SERVED_ALONE) as (here, alice):
        answer = await ask(alice, provider=provider)
        assert answer.status_code == 503
        assert answer.json()["error"]["neurogrid"]["details"]["left_out"] == left_out
        assert here.pool.waiting == 0


@on_asyncio
async def test_where_none_is_allowed_a_task_answers_if_one_can(tmp_path: Path) -> None:
    async with two(tmp_path) as (here, alice):
        before = here.pool.tally.requests["refused"]
        answer = await ask(alice, provider={"region": "mars"})
        # It is the auction that finds nobody there.
        assert answer.status_code == 503
        assert "left_out" not in answer.json()["error"]["neurogrid"]["details"]
        assert here.pool.tally.requests["refused"] == before + 1


@on_asyncio
async def test_a_cap_that_an_answer_could_pass_is_refused_before_anybody_is_asked(
    tmp_path: Path,
) -> None:
    async with two(tmp_path) as (here, alice):
        answer = await ask(alice, provider={"max_price": {"request": "0.000001"}}, max_tokens=16)
        assert (answer.status_code, answer.json()["error"]["param"]) == (
            400,
            "provider.max_price.request",
        )
        assert here.pool.tally.requests == {"left": 3}
