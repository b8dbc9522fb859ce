"""What Prometheus gets: every name of the catalogue, over HTTP, and never more for more leases."""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock

from neurogrid_marketplace.bid import Decline, DeclineCode
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.messages import Event, EventKind, Result
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_node.journal import Earned
from neurogrid_node.machine.fitness import Withheld
from neurogrid_node.machine.gpu_state import GpuState
from neurogrid_node.machine.host import Disk, Host
from neurogrid_node.machine.inventory import Inventory
from neurogrid_node.market.start_history import StartTook
from neurogrid_node.metrics.catalogue import CATALOGUE
from neurogrid_node.metrics.reading import Reading, samples
from neurogrid_node.metrics.server import CONNECTIONS_MAX, answer, serve_metrics
from neurogrid_node.metrics.tally import Tally
from neurogrid_telemetry.exposition import Exposition
from neurogrid_telemetry.metrics import BUCKETS_S, Durations
from node.market import COORDINATOR, NODE, NOW_MS, TOTAL, award, demand
from node.seller import Seller

GPU = GpuState(
    index=0,
    uuid="GPU-1",
    model='NVIDIA "H200"\\',
    memory_bytes=1 << 37,
    memory_used_bytes=1 << 30,
    compute_capability="9.0",
    utilisation_percent=87,
    temperature_celsius=61,
    power_milliwatts=512_500,
    processes=(),
)
DISK = Disk("/", "/dev/sda1", "ssd", "ext4", 1 << 40, 1 << 39)
HOST = Host("", 4, 8, 1, 1 << 36, 1 << 35, (DISK,), ())


def reading(tally: Tally, leases: int = 1) -> Reading:
    return Reading(
        node_id=NODE,
        version="0.1.0",
        accepting=True,
        tally=tally,
        phases=(LeasePhase.RUNNING,) * leases,
        earned=Earned(leases=3, micro_usdc=1_234_567),
        unredeemed_micro_usdc=50,
        staked_micro_usdc=10_000_000,
        stake_problem="",
        chain_answers=True,
        total=TOTAL,
        free=TOTAL,
        inventory=Inventory(
            8, 1 << 35, 1 << 39, gpus=(GPU,), withheld=(Withheld("GPU-2", "lost", "gone", 1, 2),)
        ),
        host=HOST,
        listed={COORDINATOR: True, NODE: False},
        others_up=1,
        others_away=0,
        earnings_differ=0,
    )


def full_tally() -> Tally:
    """One of everything."""
    tally = Tally()
    tally.demands["bid"] += 2
    tally.ended["completed", "none"] += 1
    tally.leaks["files_without_lease"] += 1
    tally.started(StartTook(700, "image", pull_ms=400, pulled_bytes=1, inputs_ms=90, input_bytes=5))
    return tally


def shown(of: Reading) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every series that Prometheus reads, with its value."""
    text, _ = Exposition(CATALOGUE).render(samples(of), "")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_everything_in_the_catalogue_is_shown_with_its_labels_and_nothing_else() -> None:
    text, content_type = Exposition(CATALOGUE).render(samples(reading(full_tally())), "")
    assert content_type.startswith("text/plain")
    families = {each.name: each for each in text_string_to_metric_families(text.decode())}
    ours = {name for name in families if not name.startswith("process_")}
    assert ours == {metric.name for metric in CATALOGUE}
    assert {"process_open_fds", "process_resident_memory_bytes"} <= families.keys() - ours
    for metric in CATALOGUE:
        family = families[metric.name]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert family.samples, metric.name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), metric.name


def test_the_numbers_are_the_nodes() -> None:
    found = shown(reading(full_tally()))

    def of(name: str, **labels: str) -> float:
        return found[f"neurogrid_node_{name}", tuple(sorted(labels.items()))]

    assert of("earned_micro_usdc_total") == 1_234_567
    assert of("gpu_power_watts", gpu="GPU-1") == 512.5
    assert of("gpu_utilisation_ratio", gpu="GPU-1") == 0.87
    assert of("gpu_info", gpu="GPU-1", model=GPU.model) == 1
    assert of("gpu_withheld", gpu="GPU-2", code="lost") == 1
    assert of("coordinators", state="connected") == 2
    assert of("coordinators", state="away") == 1
    assert of("coordinator_up", coordinator=NODE) == 0
    assert of("leases", phase="running") == 1
    assert of("lease_step_seconds_bucket", step="start", le="0.5") == 0
    assert of("lease_step_seconds_bucket", step="start", le="1.0") == 1
    assert of("lease_step_seconds_sum", step="pull") == 0.4
    assert of("lease_step_seconds_count", step="run") == 0


def test_more_leases_are_no_more_series() -> None:
    few, many = Tally(), Tally()
    for tally, leases in ((few, 1), (many, 1000)):
        for number in range(leases):
            tally.started(StartTook(number, f"image-{number}"))
            tally.ended["completed", "none"] += 1
    assert shown(reading(few, 1)).keys() == shown(reading(many, 256)).keys()


def test_what_a_driver_does_not_tell_is_not_shown_as_zero() -> None:
    mute = replace(GPU, utilisation_percent=None, temperature_celsius=None, power_milliwatts=None)
    told = replace(reading(Tally()), inventory=Inventory(8, 1, 1, gpus=(mute,)), host=None)
    names = {name for name, _ in shown(told)}
    assert "neurogrid_node_gpu_memory_bytes" in names
    assert not names & {
        f"neurogrid_node_gpu_{name}"
        for name in ("utilisation_ratio", "temperature_celsius", "power_watts")
    }


@given(st.lists(st.integers(0, 10**9), max_size=50))
def test_durations_are_counted_where_they_belong(took_ms: list[int]) -> None:
    durations = Durations()
    for each in took_ms:
        durations.add(each)
    for index, bound_s in enumerate(BUCKETS_S):
        within = sum(each <= bound_s * 1000 for each in took_ms)
        assert sum(durations.counts[: index + 1]) == within
    assert sum(durations.counts) == len(took_ms)


async def test_a_seller_counts_what_it_is_asked_and_what_becomes_of_it(seller: Seller) -> None:
    tally = seller.provider.tally
    (reply,) = await seller.say(demand(max_price_micro_usdc_per_hour=1))
    assert isinstance(reply, Decline)
    assert tally.demands == {DeclineCode.PRICE_TOO_LOW: 1}
    won = await seller.take()
    await seller.say(award("0" * 64, lease_id="lease_" + "9" * 32))
    assert tally.demands["bid"] == 1
    assert tally.awards == {"taken": 1, DeclineCode.RESERVATION_EXPIRED: 1}
    runner = seller.runners[0]
    result = Result(Outcome.GPU_LOST, -1, "", metered_ms=2_000)
    runner.lease = replace(
        runner.lease,
        events=tuple(
            Event(won.lease_id, number, kind, NOW_MS, "0" * 64, of)
            for number, (kind, of) in enumerate(
                ((EventKind.STARTED, None), (EventKind.FINISHED, result))
            )
        ),
    )
    seller.now_ms = NOW_MS + 7_000
    seller.provider.forgotten(won.lease_id)
    assert tally.ended == {("gpu_lost", "infrastructure"): 1}
    assert tally.steps["run"].sum_s == 2.0
    assert tally.steps["settle"].sum_s == 7.0


# --- over HTTP --------------------------------------------------------------------------------------


async def render(accept: str) -> tuple[bytes, str]:
    return Exposition(CATALOGUE).render(samples(reading(full_tally())), accept)


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    """A server's URL."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    host, port = listeners[0].socket.getsockname()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer, listeners, render)
        yield f"http://{host}:{port}"
        nursery.cancel_scope.cancel()


async def test_prometheus_gets_what_it_asks_for() -> None:
    async with served() as url, httpx.AsyncClient(trust_env=False) as client:
        text = await client.get(f"{url}/metrics")
        assert text.status_code == 200
        assert "neurogrid_node_accepting 1.0" in text.text.splitlines()
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        metrics = await client.get(f"{url}/metrics?x=1", headers=accept)
        assert metrics.headers["content-type"].startswith("application/openmetrics-text")
        assert metrics.text.endswith("# EOF\n")
        assert (await client.head(f"{url}/metrics")).status_code == 405
        assert (await client.get(url)).status_code == 404
        assert (await client.post(f"{url}/metrics")).status_code == 405


async def test_nonsense_is_refused_and_few_are_let_in_at_a_time() -> None:
    async with served() as url:
        port = int(url.rpartition(":")[2])

        async def opened() -> trio.SocketStream:
            return await trio.open_tcp_stream("127.0.0.1", port)

        nonsense = await opened()
        await nonsense.send_all(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert (await nonsense.receive_some()).startswith(b"HTTP/1.1 400")
        long = await opened()
        await long.send_all(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 20_000)
        assert (await long.receive_some()).startswith(b"HTTP/1.1 431")
        for stream in (nonsense, long):
            await stream.aclose()
        silent = [await opened() for _ in range(CONNECTIONS_MAX)]
        await trio.testing.wait_all_tasks_blocked()
        turned_away = await opened()
        assert await turned_away.receive_some() == b""
        await silent.pop().aclose()
        await trio.testing.wait_all_tasks_blocked()
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"{url}/metrics")).status_code == 200
        for stream in (*silent, turned_away):
            await stream.aclose()


async def test_an_address_that_is_taken_is_tried_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_metrics, "127.0.0.1", port, render)
            await trio.sleep(100)
            assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 1
            other.close()
            await trio.sleep(40)
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
            await stream.aclose()
            nursery.cancel_scope.cancel()
