"""A coordinator's api for the SDK and the command line, and a person who types."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coordinator.served import ServedWorld, served_in_thread
from neurogrid.cli.group import neurogrid
from sdk.typing_commands import Run


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_in_thread(tmp_path / "api") as world:
        yield world


@pytest.fixture
def network(api: ServedWorld, tmp_path: Path) -> Path:
    """The file that a devnet writes."""
    alice = api.run(lambda world: world.customer("alice"))
    path = tmp_path / "network.json"
    path.write_text(json.dumps({"api_url": api.address, "api_key": alice.key, "nodes": []}))
    return path


@pytest.fixture
def run(network: Path) -> Run:
    def run(*arguments: str, **more: str) -> Result:
        environment = {"NEUROGRID_NETWORK": str(network), **more}
        return CliRunner().invoke(neurogrid, arguments, env=environment)

    return run
