"""What several test modules of the coordinator share."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from coordinator import places
from coordinator.postgresql_server import PostgresqlServer, postgresql_server
from engine.job_host import JobHost, job_host

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


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobHost]:
    """A node's part in streams into jobs, on the real engine."""
    with job_host(tmp_path_factory.mktemp("node")) as made:
        yield made


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server."""
    with postgresql_server() as server:
        yield server


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where `places.place_in` puts databases."""
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql")
        places.use(server.new)
    yield request.param
    places.use(None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that is marked ``both_databases`` runs once on each.

    What the store does is tried on both at each run, what is built on it in `make nightly`: a test
    takes three times as long there.
    """
    if metafunc.definition.get_closest_marker("both_databases") is not None:
        of_store = metafunc.module.__name__.rpartition(".")[2].startswith("test_store_")
        marks = () if of_store else (pytest.mark.nightly,)
        kinds = ["sqlite", pytest.param("postgresql", marks=marks)]
        metafunc.fixturenames.insert(0, "database_kind")
        metafunc.parametrize("database_kind", kinds, indirect=True)
