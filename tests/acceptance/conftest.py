"""One devnet for all tests that leave it usable; it starts in some ten seconds."""

from collections.abc import Iterator

import pytest

from acceptance.network import Devnet, running_devnet


@pytest.fixture(scope="session")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """Two nodes."""
    with running_devnet(tmp_path_factory.mktemp("devnet") / "D", nodes=2) as running:
        yield running
