"""A local port that leads to a real job's, of the SDK and of the command line."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from click.testing import CliRunner

from coordinator.api_world import TASK, World
from coordinator.served import served_in_thread
from engine.job_host import JobHost, job_host
from engine.serving import SERVICE_PORT
from neurogrid import AsyncClient, Client
from neurogrid.cli.group import neurogrid
from neurogrid.errors import NeuroGridError

pytestmark = pytest.mark.engine

PATIENCE_S = 60


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobHost]:
    with job_host(tmp_path_factory.mktemp("node")) as made:
        yield made


@dataclass(frozen=True)
class Place:
    """A running task that serves, and one that does not; and who may reach them."""

    client: Client
    environment: dict[str, str]
    task_id: str
    other_id: str


@pytest.fixture
def here(host: JobHost, tmp_path: Path) -> Iterator[Place]:
    with served_in_thread(tmp_path / "api", host.open_stream) as api:
        alice = api.run(lambda world: world.customer("alice"))

        async def running(world: World) -> tuple[str, str]:
            ids = []
            for more in ({"service": {"port": SERVICE_PORT}}, {}):
                wanted = {**TASK, **more, "wait_for_node": True}
                answer = await alice.http.post("/api/v1/tasks", json=wanted)
                ids.append(answer.json()["data"]["id"])
            task = await world.start(ids[0])
            assert task.lease is not None
            host.adopt(task.lease.lease_id)
            return ids[0], ids[1]

        task_id, other_id = api.run(running)
        network = tmp_path / "network.json"
        network.write_text(json.dumps({"api_url": api.address, "api_key": alice.key, "nodes": []}))
        environment = {**os.environ, "NEUROGRID_NETWORK": str(network)}
        with Client(base_url=api.address, api_key=alice.key) as client:
            yield Place(client, environment, task_id, other_id)


def said(port: int, *pieces: bytes) -> bytes:
    """What comes back of this, until the other side ends."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        heard = b""
        while data := connection.recv(65_536):
            heard += data
        return heard


def test_connections_are_carried_each_by_itself(here: Place) -> None:
    large = os.urandom(1_000_000)
    with here.client.tasks.forward(here.task_id) as forward:
        heard: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: heard.append(said(forward.port, b"echo\n", large)))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert heard == [large + b"bye"] * 3
        with socket.create_connection(("127.0.0.1", forward.port)) as left:
            left.sendall(b"flood\n")
            assert left.recv(1) == b"\0"
        assert said(forward.port, b"close\n") == b""
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", forward.port))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_loop_goes_on_while_connections_are_carried(here: Place, backend: str) -> None:
    async def story() -> None:
        async with (
            AsyncClient(network=here.environment["NEUROGRID_NETWORK"]) as client,
            await client.tasks.forward(here.task_id) as forward,
        ):
            heard = await to_thread.run_sync(said, forward.port, b"echo\n", b"words")
            assert heard == b"wordsbye"

    anyio.run(story, backend=backend)


def test_what_can_not_be_carried_says_why(here: Place) -> None:
    errors: list[NeuroGridError] = []
    with here.client.tasks.forward(here.other_id, on_error=errors.append) as forward:
        assert said(forward.port, b"x") == b""
    assert "without a port" in str(errors[0])


def test_the_command_forwards_until_it_is_interrupted(here: Place) -> None:
    command = [sys.executable, "-m", "neurogrid", "port-forward", here.task_id, f"0:{SERVICE_PORT}"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**here.environment, "PYTHONUNBUFFERED": "1"}
    ) as running:
        assert running.stdout is not None
        line = running.stdout.readline().decode()
        assert f"leads to port {SERVICE_PORT} of {here.task_id}" in line
        port = int(line.split()[0].rpartition(":")[2])
        assert said(port, b"echo\n", b"given") == b"givenbye"
        running.terminate()
        running.wait(PATIENCE_S)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["9000:9001"], f"serves at port {SERVICE_PORT}"),
        (["x:y"], "is not [LOCAL:]PORT"),
    ],
)
def test_wrong_ports_are_refused(here: Place, arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(
        neurogrid, ["port-forward", here.task_id, *arguments], env=here.environment
    )
    assert (result.exit_code, words in result.stderr) == (2, True)
    for more, said in (("--health", "--port only"), ("--health-start", "--health only")):
        wanted = ["submit", "x", "--max-price", "1", more, "5s" if said[2] == "h" else "/x"]
        refused = CliRunner().invoke(neurogrid, wanted, env=here.environment)
        assert (refused.exit_code, said in refused.stderr) == (2, True)
    none = CliRunner().invoke(neurogrid, ["port-forward", here.other_id], env=here.environment)
    assert "without --port" in none.stderr
