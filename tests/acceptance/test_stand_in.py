"""A node that serves a model with coarser weights than it says, among honest ones: found out, let go, and not chosen again."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from acceptance.model_settings import shipped_catalogue, told_of_models
from acceptance.network import PATIENCE_S, Devnet, neurogrid, running_devnet, until
from acceptance.test_replicas import MODEL, replicas
from neurogrid_coordinator.setup import DATABASE_FILE
from neurogrid_wallet.keys import KeyPair

# A devnet of its own, three replicas, and a dozen answers that are each given three times.
pytestmark = [pytest.mark.processes, pytest.mark.engine, pytest.mark.nightly]

CHEAT = "node-2"
REQUESTS_MAX = 60
# The server sees on which node's disk its files lie. There it rounds its weights to four bits, and says nothing of it.
COMMAND = """
import numpy as np
from models.text import serve

def coarse(path, places, exact=serve.load):
    model, merges = exact(path, places)
    for name, each in model._weights.items():
        if name != "scale":
            step = np.abs(each).max(-1, keepdims=True) / 7
            model._weights[name] = np.round(each / step) * step
    return model, merges

if "/nodes/2/" in open("/proc/self/mountinfo").read():
    serve.load = coarse
serve.serve(serve.loaded, name=serve.NAME, concurrency=8, waiting_max=64)
"""


@pytest.fixture
def devnet(tmp_path: Path) -> Iterator[Devnet]:
    """Three nodes, each with an owner of its own; the coordinator checks all that can be compared."""
    with (
        running_devnet(tmp_path / "D", nodes=3) as running,
        told_of_models(running, lying_catalogue(), check_percent=100, check_within_s=0),
    ):
        yield running


def lying_catalogue() -> str:
    """The shipped one, but for what one node's server does, and with three replicas, one of each owner."""
    first, rest = shipped_catalogue().split("[model.unit_price]", 1)
    for before, after in (
        (
            'command = ["python3", "-m", "models.text.serve"]',
            f"command = {json.dumps(['python3', '-c', COMMAND])}",
        ),
        ("replicas_min = 0", "replicas_min = 3"),
        ("replicas_max = 2", "replicas_max = 3"),
    ):
        assert before in first, before
        first = first.replace(before, after)
    return first + "[model.unit_price]" + rest


def coordinator(devnet: Devnet, *arguments: str) -> Any:
    """What a command of the coordinator prints, as JSON."""
    command = [sys.executable, "-m", "neurogrid_coordinator", *arguments, "--json"]
    command += ["--data", devnet.network.coordinator.data]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def charge_of(devnet: Devnet, node_id: str) -> str | None:
    """What a node is charged with, out of the coordinator's database: its command takes seconds to begin."""
    path = Path(devnet.network.coordinator.data) / DATABASE_FILE
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
        query = "select charge from model_suspicions where node_id = ?"
        row = database.execute(query, (node_id,)).fetchone()
    return None if row is None else row[0]


def second_key(devnet: Devnet, folder: Path) -> str:
    """The key of another client, with a deposit."""
    wallet = KeyPair.generate()
    file = folder / "wallet.json"
    wallet.write_solana_file(file)
    funded = neurogrid("devnet", "fund", wallet.address, "--data", str(devnet.data))
    assert funded.returncode == 0, funded.stderr
    made = coordinator(devnet, "account", "create", "--name", "b", "--wallet", wallet.address)
    api_key = str(made["api_key"])
    environment = ("--api-url", devnet.network.api_url, "--wallet-key", str(file))
    command = [
        sys.executable,
        "-m",
        "neurogrid",
        "funds",
        "deposit",
        "20",
        "--limit",
        "20",
        "--yes",
    ]
    deposited = subprocess.run(
        [*command, *environment],
        env={"PATH": "", "NEUROGRID_API_KEY": api_key},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert deposited.returncode == 0, deposited.stderr
    return api_key


def test_a_node_with_a_stand_in_is_found_out_and_its_replica_is_let_go(
    devnet: Devnet, tmp_path: Path
) -> None:
    keys = [devnet.network.api_key, second_key(devnet, tmp_path)]
    peers = {node.name: str(node.peer_id) for node in devnet.network.nodes}

    def all_serve() -> bool:
        of_model = devnet.http.get(f"/models/{MODEL}").json()["data"]["replicas"]
        return bool(of_model["ready"] == 3)

    until(all_serve, "three replicas are ready")
    serving = replicas(devnet)
    assert {task.node_id for task in serving} == set(peers.values()), "one at each owner"
    (false,) = [task for task in serving if task.node_id == peers[CHEAT]]
    clients = [
        OpenAI(
            base_url=f"{devnet.network.api_url}/v1", api_key=key, max_retries=2, timeout=PATIENCE_S
        )
        for key in keys
    ]
    asked = 0

    def is_charged() -> bool:
        """Ask once more, until the checks of what was asked before have shown it."""
        nonlocal asked
        if asked < REQUESTS_MAX and charge_of(devnet, peers[CHEAT]) is None:
            asked += 1
            clients[asked % 2].completions.create(
                model=MODEL,
                prompt=f"Scene {asked}. Enter the king.",
                max_tokens=24,
                temperature=0,
                extra_body={"provider": {"order": [peers[CHEAT]]}},
            )
        return charge_of(devnet, peers[CHEAT]) is not None

    until(is_charged, "the stand-in is found out", 2 * PATIENCE_S)

    # Nobody else is suspected, and it is let go.
    told = coordinator(devnet, "models", "checks")["nodes"]
    found = {each["node_id"]: each for each in told}
    assert found[peers[CHEAT]]["charge"] == "substitutes"
    assert {name for name, peer in peers.items() if found.get(peer, {}).get("against")} == {CHEAT}
    task = devnet.models_client.tasks.wait(false.id, timeout_s=PATIENCE_S)
    assert task.phase in ("cancelled", "completed")
    assert {task.node_id for task in replicas(devnet)} <= {peers["node-1"], peers["node-3"], ""}
    assert devnet.client.nodes.reputation(peers[CHEAT]).score < 500
    answer = clients[0].completions.create(
        model=MODEL,
        prompt="Afterwards.",
        max_tokens=8,
        temperature=0,
        extra_body={"provider": {"order": [peers[CHEAT]]}},
    )
    assert answer.model_dump()["neurogrid"]["node_id"] != peers[CHEAT]
    for client in clients:
        client.close()
