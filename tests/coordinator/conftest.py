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
    """A ledger; gives what its ``ledger.json`` says, and the ``control_key`` that moves its clock."""
    data = tmp_path_factory.mktemp("ledger")
    command = [sys.executable, "-m", "neurogrid_contracts.ledger", "start", "--data", str(data)]
    command += ["--port", "0", "--slot-ms", "10", "--no-fsync"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "ready" in process.stdout.readline()
            info = json.loads((data / "ledger.json").read_text())
            yield {**info, "control_key": (data / "control.key").read_text().strip()}
        finally:
            process.terminate()
            process.wait(_START_TIMEOUT_S)
