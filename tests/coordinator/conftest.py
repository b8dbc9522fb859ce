"""What several test modules of the coordinator share."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

_START_TIMEOUT_S = 30


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A ledger whose clock can be moved; gives what its ``ledger.json`` says."""
    data = tmp_path_factory.mktemp("ledger")
    command = [sys.executable, "-m", "neurogrid_contracts.ledger", "start", "--data", str(data)]
    command += ["--port", "0", "--slot-ms", "10", "--allow-warp", "--no-fsync"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "ready" in process.stdout.readline()
            yield json.loads((data / "ledger.json").read_text())
        finally:
            process.terminate()
            process.wait(_START_TIMEOUT_S)
