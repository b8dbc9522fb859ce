"""A devnet of one's own: started, refused, stopped, killed, started again; nothing is left."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from acceptance.network import JOB_IMAGE, neurogrid, until
from neurogrid import Client
from neurogrid_devnet.engine import mounts_below
from neurogrid_devnet.network_file import Network, read_network

pytestmark = [pytest.mark.processes, pytest.mark.engine]


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "D"
    yield folder
    neurogrid("devnet", "down", "--data", str(folder))


def up(data: Path, *options: str) -> Network:
    run = neurogrid("devnet", "up", "--nodes", "1", "--detach", "--data", str(data), *options)
    assert run.returncode == 0, run.stderr
    network = read_network(data / "network.json")
    assert network is not None
    return network


def processes_of(data: Path) -> list[psutil.Process]:
    """Everything that was started with this directory on its command line, or works in it."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(data) in word for word in process.info["cmdline"] or ()):
            found.append(process)
    return found


def containers_of(network: Network) -> list[str]:
    """Ids of the nodes' containers, running or not."""
    listed: list[str] = []
    for node in network.nodes:
        label = f"label=io.neurogrid.node={node.peer_id}"
        command = ["docker", "ps", "--all", "--quiet", "--filter", label]
        listed += subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return listed


def ports_of(network: Network) -> list[int]:
    return [int(url.rpartition(":")[2]) for url in (network.api_url, network.ledger_url)]


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def assert_nothing_is_left(data: Path, network: Network) -> None:
    assert processes_of(data) == []
    assert containers_of(network) == []
    assert mounts_below(data) == []
    assert not any(is_open(port) for port in ports_of(network))
    assert not any(path.is_socket() for path in data.rglob("*"))


def start_job(network: Network) -> str:
    with Client(network.api_key, network.api_url) as client:
        task = client.tasks.create(
            docker_image=JOB_IMAGE,
            command=["sleep", "300"],
            max_price_per_hour="1.00",
            timeout_seconds=600,
            resource_requirements={"storage_gb": 0.05},
        )
        until(lambda: client.tasks.get(task.id).phase == "running", "the job runs")
    return task.id


def test_a_devnet_is_stopped_in_mid_job_and_goes_on_later(data: Path) -> None:
    network = up(data)
    assert network.job_image == JOB_IMAGE
    assert (data / "network.json").stat().st_mode & 0o077 == 0
    again = neurogrid("devnet", "up", "--detach", "--data", str(data))
    assert again.returncode == 1
    assert f"devnet down --data {data}" in again.stderr
    start_job(network)
    assert containers_of(network)
    for _ in range(2):  # a second time there is nothing to do, which is no error
        down = neurogrid("devnet", "down", "--data", str(data))
        assert down.returncode == 0, down.stderr
        assert_nothing_is_left(data, network)
    assert neurogrid("devnet", "status", "--data", str(data)).returncode == 3
    # The same market, the same account, the same key, the same ports.
    resumed = up(data)
    assert (resumed.api_url, resumed.api_key) == (network.api_url, network.api_key)
    assert [node.peer_id for node in resumed.nodes] == [node.peer_id for node in network.nodes]
    with Client(resumed.api_key, resumed.api_url) as client:
        assert client.tasks.list().total == 1


def test_what_a_killed_supervisor_left_is_found_and_stopped(data: Path) -> None:
    network = up(data)
    start_job(network)
    os.kill(network.supervisor_pid, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(network.supervisor_pid), "the supervisor is gone")
    assert psutil.pid_exists(network.coordinator.api_pid), "nobody else dies with it"
    assert neurogrid("devnet", "status", "--data", str(data)).returncode == 3
    down = neurogrid("devnet", "down", "--data", str(data))
    assert down.returncode == 0, down.stderr
    assert_nothing_is_left(data, network)


def test_a_port_that_is_taken_is_named_and_nothing_is_started(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        run = neurogrid("devnet", "up", "--detach", "--data", str(data), "--port", str(port))
    assert run.returncode == 1
    assert run.stderr == (
        f"neurogrid devnet: port {port} is in use: choose another one with --port, "
        "or --port 0 for any\n"
    )
    assert processes_of(data) == []


def test_without_an_engine_it_says_what_to_do_and_leaves_nothing(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    run = neurogrid("devnet", "up", "--nodes", "1", "--detach", "--data", str(data))
    assert run.returncode == 1
    assert "container engine" in run.stderr
    assert "docker" in run.stderr
    assert "Traceback" not in run.stderr
    assert processes_of(data) == []


def test_a_start_that_is_interrupted_leaves_nothing(data: Path) -> None:
    # A shell that runs the tests in the background has SIGINT ignored, and so would its children.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "neurogrid", "devnet", "up"]
    command += ["--detach", "--data", str(data)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as starting:
        until(lambda: (data / "logs" / "coordinator.log").exists(), "the coordinator is started")
        starting.send_signal(signal.SIGINT)
        assert starting.wait(timeout=30) != 0
        assert starting.stderr is not None
        assert "Traceback" not in starting.stderr.read()
    assert processes_of(data) == []
    assert mounts_below(data) == []
