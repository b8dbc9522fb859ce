"""The account's files in the SDK and in ``neurogrid artifacts``, against the real api."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coordinator.api_world import TASK
from coordinator.served import ServedWorld
from neurogrid import Client
from neurogrid.cli.group import neurogrid
from neurogrid.errors import ConflictError, NotFoundError


def test_files_are_deleted_by_their_hash_unless_something_needs_them(
    api: ServedWorld, tmp_path: Path
) -> None:
    alice = api.run(lambda world: world.customer("alice"))
    environment = {"NEUROGRID_API_URL": api.address, "NEUROGRID_API_KEY": alice.key}

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(neurogrid, ("artifacts", "delete", *arguments), env=environment)

    with Client(alice.key, api.address, retries_max=2) as client:
        hashes = []
        for name in ("one", "two", "three"):
            file = tmp_path / name
            file.write_text(name)
            hashes.append(client.artifacts.upload(file).sha256)
        one, two, three = hashes
        client.artifacts.delete(one)
        with pytest.raises(NotFoundError):
            client.artifacts.delete(one)
        body = {**TASK, "inputs": [{"path": "three", "sha256": three}]}
        assert api.run(lambda _: alice.http.post("/api/v1/tasks", json=body)).is_success
        with pytest.raises(ConflictError, match="has not ended"):
            client.artifacts.delete(three)
        wrong = run(two, "three")
        assert (wrong.exit_code, "no hash" in wrong.stderr) == (2, True)
        shown = run(two, "--json")
        assert json.loads(shown.stdout) == {"deleted": [two]}
        refused = run(three)
        assert refused.exit_code != 0
        assert "is needed" in refused.stderr
