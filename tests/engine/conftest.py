"""Tests on the machine's real container engine, mostly asserted from inside a container."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from engine.bench import JOB_IMAGE, Bench, open_bench
from engine.own_cluster import OwnCluster, own_cluster
from engine.own_dockerd import OwnDockerd, own_dockerd
from engine.own_swarm import OwnSwarm, own_swarm
from engine.real_registry import RealRegistry, real_registry
from neurogrid_node.container.probe import PROBE_IMAGE
from neurogrid_node.egress.profile import LINK_IMAGE as EGRESS_IMAGE
from neurogrid_node.gang.profile import LINK_IMAGE as GANG_IMAGE


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with real_registry(tmp_path_factory.mktemp("registry") / "real") as registry:
        yield registry


@pytest.fixture(scope="session")
def swarm() -> Iterator[OwnSwarm]:
    # Short, because Unix sockets lie in it.
    with TemporaryDirectory(prefix="ng-") as folder, own_swarm(Path(folder) / "s") as made:
        yield made


@pytest.fixture(scope="session")
def remapped() -> Iterator[OwnDockerd]:
    """An engine in whose containers root is nobody in particular."""
    with TemporaryDirectory(prefix="ng-") as folder:
        # On the way to its containers' files.
        Path(folder).chmod(0o711)
        with own_dockerd(Path(folder) / "e", is_remapped=True) as own:
            own.take_images(JOB_IMAGE, "neurogrid/true:1", PROBE_IMAGE, GANG_IMAGE, EGRESS_IMAGE)
            yield own


@pytest.fixture(scope="session")
def cluster() -> Iterator[OwnCluster]:
    with TemporaryDirectory(prefix="ng-") as folder, own_cluster(Path(folder) / "k") as made:
        yield made
