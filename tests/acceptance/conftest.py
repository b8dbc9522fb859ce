"""One devnet for all tests that leave it usable; it starts in some ten seconds."""

import json
from collections.abc import Iterator

import httpx
import pytest

from acceptance.network import Devnet, neurogrid
from neurogrid import Client
from neurogrid_devnet.demo.money import open_ledger
from neurogrid_devnet.network_file import read_network


@pytest.fixture(scope="session")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """Two nodes."""
    data = tmp_path_factory.mktemp("devnet") / "D"
    try:
        started = neurogrid(
            "devnet", "up", "--nodes", "2", "--detach", "--json", "--data", str(data)
        )
        assert started.returncode == 0, started.stderr
        network = read_network(data / "network.json")
        assert network is not None
        assert json.loads(started.stdout)["api_url"] == network.api_url
        with (
            Client(network=data / "network.json") as client,
            httpx.Client(
                base_url=f"{network.api_url}/api/v1",
                headers={"Authorization": f"Bearer {network.api_key}"},
                timeout=30,
            ) as http,
            open_ledger(network) as ledger,
        ):
            yield Devnet(data, client, http, ledger)
    finally:
        stopped = neurogrid("devnet", "down", "--data", str(data))
        assert stopped.returncode == 0, stopped.stderr
