"""The TypeScript SDK, built, and a coordinator whose node answers for models."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_address
from pathlib import Path

import pytest

from coordinator.answering import answering
from coordinator.api_world import World
from coordinator.served import ServedWorld, served_in_thread
from javascript import NODE

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "sdk/typescript"


@pytest.fixture(scope="session")
def package() -> Path:
    """The package's folder, with its ``dist``."""
    subprocess.run([REPOSITORY / "scripts/typescript.sh"], check=True, timeout=300)
    return PACKAGE


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedWorld]:
    """A coordinator whose node "one" answers every task."""
    with served_in_thread(tmp_path_factory.mktemp("typescript") / "api") as served:

        async def start(world: World) -> AbstractAsyncContextManager[None]:
            # A host that a webhook may name.
            world.web.private["hooks.example.org", 443] = ip_address("127.0.0.1")
            node = answering(world)
            await node.__aenter__()
            return node

        node = served.run(start)
        yield served
        served.run(lambda _: stopped(node))


async def stopped(node: AbstractAsyncContextManager[None]) -> None:
    await node.__aexit__(None, None, None)


@pytest.fixture(scope="module")
def environment(coordinator: ServedWorld) -> dict[str, str]:
    """What a program finds the coordinator by."""
    alice = coordinator.run(lambda world: world.customer("alice", scopes=("read", "write", "keys")))
    path = f"{Path(NODE).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **os.environ,
        "PATH": path,
        "NEUROGRID_API_URL": coordinator.address,
        "NEUROGRID_API_KEY": alice.key,
    }
