from collections.abc import Iterator

import pytest

from .market import Market


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """One devnet for the whole suite: what one test breaks, the others would notice."""
    devnet = Market(tmp_path_factory.mktemp("acceptance") / "devnet")
    devnet.up(nodes=3)
    try:
        yield devnet
    finally:
        devnet.down()
