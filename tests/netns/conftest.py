"""One market for all tests of this folder: bringing it up takes most of the time."""

from collections.abc import Iterator

import pytest

from netns.market import World, running


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A chain, two coordinators and a node, on machines of their own."""
    with running(tmp_path_factory.mktemp("market")) as world:
        yield world
