"""Devnets for all tests that leave them usable; each starts in some ten seconds."""

from collections.abc import Iterator

import pytest

from acceptance.model_settings import tell_of_models
from acceptance.network import Devnet, running_devnet

# Without a request for so long leases for use end, and their money moves: each test of models waits for that.
_USE_IDLE_S = 4


@pytest.fixture(scope="session")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """Two nodes. All daemons log as much as they can: `test_logs` looks for what they must not."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NEUROGRID_LOG_LEVEL", "debug")
        with running_devnet(tmp_path_factory.mktemp("devnet") / "D", nodes=2) as running:
            tell_of_models(running, use_idle_s=_USE_IDLE_S)
            yield running


@pytest.fixture(scope="session")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """Two nodes, for whom the coordinator waits longer than any supervisor pauses before it starts one again."""
    with running_devnet(
        tmp_path_factory.mktemp("patient") / "D", 2, "--dead-after-s", "60"
    ) as running:
        yield running
