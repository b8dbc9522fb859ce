"""A running node's numbers as Prometheus gets them, and a task's trace as a collector does."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from acceptance.network import JOB_IMAGE, Devnet, until
from neurogrid import NeuroGridError
from neurogrid_node.metrics.catalogue import CATALOGUE
from telemetry.collector import Collector, collecting

pytestmark = [pytest.mark.processes, pytest.mark.engine]

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PAGE = (Path(__file__).parents[2] / "docs/telemetry.md").read_text()


def scrape(address: str) -> dict[str, float] | None:
    """Every series by its name and labels; None while nobody answers."""
    try:
        answer = httpx.get(f"http://{address}/metrics", trust_env=False, timeout=5)
    except httpx.HTTPError:
        return None
    assert answer.status_code == 200, answer.text
    return {
        f"{sample.name}{sorted(sample.labels.values()) or ''}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def answers(devnet: Devnet) -> bool:
    """Whether the coordinator does."""
    try:
        devnet.client.nodes.list()
    except NeuroGridError:
        return False
    return True


def set_key(config: Path, section: str, key: str, value: str) -> None:
    """Change what stands empty in a configuration."""
    empty = re.compile(rf'(?<=^\[{section}\]\n)((?:#.*\n)*){key} = ""', re.MULTILINE)
    text, replaced = empty.subn(rf'\1{key} = "{value}"', config.read_text())
    assert replaced == 1, section
    config.write_text(text)


@pytest.fixture(scope="module")
def watched(devnet: Devnet) -> Iterator[tuple[Collector, str, str]]:
    """The devnet's coordinator and first node, watched: where spans arrive, and where the numbers of the node
    and the coordinator are."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        address, market = (f"127.0.0.1:{free.getsockname()[1]}" for free in (one, two))
    node = devnet.network.nodes[0]
    with collecting() as collector:
        set_key(Path(node.data) / "node.toml", "metrics", "listen", address)
        set_key(Path(node.data) / "node.toml", "traces", "endpoint", collector.url)
        coordinator = devnet.data / "coordinator" / "coordinator.toml"
        set_key(coordinator, "traces", "endpoint", collector.url)
        set_key(coordinator, "metrics", "listen", market)
        killed = {name: devnet.kill(name) for name in (node.name, "api")}
        for name, before in killed.items():
            devnet.until_restarted(name, before)
        until(lambda: scrape(address), "the node shows its numbers")
        until(lambda: answers(devnet), "the coordinator answers")
        devnet.until_idle()
        yield collector, address, market


def test_a_node_says_what_it_did_and_a_task_leaves_one_trace(
    devnet: Devnet, watched: tuple[Collector, str, str]
) -> None:
    collector, address, market = watched
    node, other = devnet.network.nodes
    first = scrape(address)
    assert first is not None
    names = {re.split(r"_bucket|_total|_count|_sum|\[", name)[0] for name in first}
    # Without a GPU, and when nothing has gone wrong, there is nothing to say of these.
    lacking = {metric.name for metric in CATALOGUE} - names
    assert all(re.search(r"_gpu_|_leaks|_leases_over|_disk_", name) for name in lacking), lacking

    body = {
        "type": "cpu",
        "docker_image": JOB_IMAGE,
        "command": ["sh", "-c", "echo 1 > /outputs/one"],
        "max_price_per_hour": "1.00",
        "timeout_seconds": 60,
        "resource_requirements": {"cpu_cores": 0.5, "ram_gb": 0.2, "storage_gb": 0.05},
        "avoid": {"nodes": [other.peer_id]},
    }
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    answer = devnet.http.post("/tasks", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    task = devnet.until_settled(answer.json()["data"]["id"])
    assert (task.status, task.node_id) == ("completed", node.peer_id)

    over = "neurogrid_node_leases_over_total['completed', 'none']"
    numbers = until(lambda: (n := scrape(address)) and over in n and n, "the lease is over")
    assert numbers[over] == 1
    assert numbers["neurogrid_node_awards_total['taken']"] == 1
    assert numbers["neurogrid_node_lease_step_seconds_count['start']"] == 1
    earned = "neurogrid_node_earned_micro_usdc_total"
    assert numbers[earned] > first[earned]
    for name in ("accepting", "engine_up", "chain_up", "stake_sufficient"):
        assert numbers[f"neurogrid_node_{name}"] == 1, name
    assert numbers["process_open_fds"] > 0

    of_market = scrape(market)
    assert of_market is not None
    prefix = "neurogrid_coordinator_"
    # Of this api process: it was killed before the task came.
    assert of_market[f"{prefix}tasks_ended_total['COMPLETED', 'completed']"] == 1
    assert of_market[f"{prefix}awards_total['taken']"] == 1
    assert of_market[f"{prefix}start_seconds_count"] == 1
    assert of_market[f"{prefix}market_up"] == 1
    assert of_market[f"{prefix}nodes"] == 2

    section = PAGE.partition("## Traces\n")[2]
    listed = set(re.findall(r"^\| `([a-z.]+)` \|", section, re.MULTILINE))
    # No image was pulled, no input fetched, and it was no workflow.
    expected = listed - {"lease.pull", "lease.inputs", "workflow.submit"}

    def arrived() -> bool:
        return expected <= {span.name for span in collector.spans if span.trace_id == TRACE}

    until(arrived, f"spans of {expected}")
    spans = [span for span in collector.spans if span.trace_id == TRACE]
    assert {span.name for span in spans} == expected
    (submitted,) = (span for span in spans if span.name == "task.submit")
    assert submitted.parent_id == SPAN
    assert submitted.attributes["task"] == task.id
    (lease,) = task.leases
    for span in spans:
        assert span.began_ns <= span.ended_ns, span.name
        if span is not submitted:
            assert span.parent_id == submitted.span_id, span.name
        if span.name.startswith("lease."):
            assert span.attributes["lease"] == lease.id, span.name
    by_service = {span.name: (span.service, span.instance) for span in spans}
    coordinator = devnet.network.coordinator.p2p_address.rpartition("/")[2]
    for name, who in by_service.items():
        of_node = name in ("lease.prepare", "lease.run", "lease.outputs", "lease.redeem")
        assert who == (
            ("neurogrid-node", node.peer_id) if of_node else ("neurogrid-coordinator", coordinator)
        ), name
