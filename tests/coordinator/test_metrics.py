"""What Prometheus gets of a coordinator: every name of the catalogue, and never more for more tasks."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import httpx
import pytest
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.market.reports import Traffic
from neurogrid_coordinator.metrics.catalogue import CATALOGUE
from neurogrid_coordinator.metrics.reading import MarketReading, PassedOn, Reading, samples
from neurogrid_coordinator.metrics.serving import serve_metrics
from neurogrid_coordinator.metrics.tally import Tally
from neurogrid_coordinator.replicas.pool import Pool
from neurogrid_coordinator.replicas.status import status_of
from neurogrid_marketplace.replica_scaling import ReplicaLimits
from neurogrid_marketplace.submission import submit
from neurogrid_marketplace.task import Ending, Phase, Task
from neurogrid_telemetry.exposition import Exposition
from node.market import demand
from ports import reserved_port

MODEL_POOL = Pool("small", ReplicaLimits(least=1), lambda: 0)


def task(phase: Phase, since_ms: int, number: int = 0) -> Task:
    made = submit(f"task_{number:032x}", demand(), 0, 1000)
    ended = Ending("EXIT_NONZERO", "") if phase is Phase.FAILED else None
    return replace(made, phase=phase, since_ms=since_ms, ending=ended)


def tally_of(tasks: int) -> Tally:
    """Of tasks that found no node, then one that refused, then one that ran them, and failed."""
    tally = Tally()
    path = [
        (Phase.MATCHING, 0),
        (Phase.QUEUED, 250),
        (Phase.MATCHING, 1_000),
        (Phase.AWARDED, 1_100),
        (Phase.QUEUED, 2_000),
        (Phase.MATCHING, 3_000),
        (Phase.AWARDED, 3_050),
        (Phase.STARTING, 3_100),
        (Phase.RUNNING, 5_100),
        (Phase.VERIFYING, 9_000),
        (Phase.FAILED, 9_100),
    ]
    for number in range(tasks):
        for (before, began_ms), (after, at_ms) in pairwise(path):
            tally.moved(task(before, began_ms, number), task(after, at_ms, number))
    return tally


def reading(tasks: int = 1) -> Reading:
    return Reading(
        peer_id="12D3Koo",
        version="0.1.0",
        market=MarketReading(
            tally=tally_of(tasks),
            is_up=True,
            nodes=3,
            traffic=Traffic(5, 2, {"handshake": 7}),
            payments_undecided=1,
            pruned={"logs": 6},
        ),
        tasks={Phase.RUNNING: tasks},
        books_differ=0,
        database_bytes=8192,
        api_connections=4,
        passed_on=PassedOn(answered=3, unanswered=1),
        models=[(status_of(MODEL_POOL, 0), MODEL_POOL.tally)],
    )


def shown(of: Reading) -> dict[str, float]:
    text, _ = Exposition(CATALOGUE).render(samples(of), "")
    return {
        f"{sample.name}{sorted(sample.labels.values()) or ''}": sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_everything_in_the_catalogue_is_shown_with_its_labels_and_nothing_else() -> None:
    text, _ = Exposition(CATALOGUE).render(samples(reading()), "")
    families = {each.name: each for each in text_string_to_metric_families(text.decode())}
    assert {name for name in families if not name.startswith("process_")} == {
        metric.name for metric in CATALOGUE
    }
    for metric in CATALOGUE:
        family = families[metric.name]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert family.samples, metric.name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), metric.name


def test_the_numbers_are_the_markets() -> None:
    found = shown(reading())
    prefix = "neurogrid_coordinator_"
    assert found[f"{prefix}auctions_total['no_node']"] == 1
    assert found[f"{prefix}auctions_total['node_found']"] == 2
    assert found[f"{prefix}awards_total['refused']"] == 1
    assert found[f"{prefix}awards_total['taken']"] == 1
    assert found[f"{prefix}tasks_ended_total['EXIT_NONZERO', 'failed']"] == 1
    assert found[f"{prefix}start_seconds_sum"] == 2.0
    assert found[f"{prefix}auction_seconds_count"] == 3
    assert found[f"{prefix}refused_total['handshake']"] == 7
    assert found[f"{prefix}tasks['running']"] == 1
    assert found[f"{prefix}pruned_total['logs']"] == 6
    assert found[f"{prefix}pruned_total['evidence']"] == 0


def test_one_that_does_not_lead_says_so_and_what_it_knows_and_nothing_of_the_market() -> None:
    prefix = "neurogrid_coordinator_"
    assert shown(reading())[f"{prefix}leads"] == 1
    found = shown(replace(reading(), market=None))
    assert found[f"{prefix}leads"] == 0
    assert found[f"{prefix}tasks['running']"] == 1
    assert found[f"{prefix}api_connections"] == 4
    assert found[f"{prefix}passed_on_total['answered']"] == 3
    assert found[f"{prefix}passed_on_total['unanswered']"] == 1
    # A market of no nodes and one that is not known are not the same.
    assert not [name for name in found if "nodes" in name or "market_up" in name]


def test_more_tasks_are_no_more_series() -> None:
    assert shown(reading(1)).keys() == shown(reading(500)).keys()


@on_asyncio
async def test_prometheus_is_answered_once_the_address_can_be_had(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def read() -> Reading:
        return reading()

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        serving = asyncio.create_task(serve_metrics("127.0.0.1", port, read, again_s=0.01))
        while "trying again" not in caplog.text:  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.01)
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                answer = await client.get(f"http://127.0.0.1:{port}/metrics")
            except httpx.ConnectError:
                await asyncio.sleep(0.01)
            else:
                break
        assert answer.status_code == 200
        assert "neurogrid_coordinator_market_up 1.0" in answer.text.splitlines()
        assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 404
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_begins_to_lead_is_asked_from_then_on_at_the_same_address(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def leads(client: httpx.AsyncClient, port: int) -> float:
        while True:
            try:
                answer = await client.get(f"http://127.0.0.1:{port}/metrics")
            except httpx.TransportError:
                await asyncio.sleep(0.01)
            else:
                return float(answer.text.partition("\nneurogrid_coordinator_leads ")[2].split()[0])

    async def take_over(port: int) -> None:
        async def standing_by() -> Reading:
            return replace(reading(), market=None)

        async def leading() -> Reading:
            return reading()

        # The connection stays open, as a busy Prometheus keeps it.
        async with asyncio.timeout(100), httpx.AsyncClient(trust_env=False) as client:
            for read, said in ((standing_by, 0), (leading, 1)):
                serving = asyncio.create_task(serve_metrics("127.0.0.1", port, read, again_s=0.01))
                assert await leads(client, port) == said
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)

    with reserved_port() as port, asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(take_over(port))
