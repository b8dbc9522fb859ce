"""`benchmark` on GPUs: the real program in a real container, on a simulated CUDA driver that the engine gives it."""

import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import docker
import msgspec
import pytest

from cuda_sim.container_hook import ContainerHook
from cuda_sim.machine import uuid_of
from engine.own_dockerd import OwnDockerd, own_dockerd
from neurogrid_marketplace.challenge import CHALLENGE_IMAGE
from neurogrid_marketplace.resources import AMD
from neurogrid_node.benchmark import gpus
from neurogrid_node.benchmark.figures import GPU_COMPUTE, GPU_MEMORY, Run, slower, table
from neurogrid_node.benchmark.kept import keep, read_kept
from neurogrid_node.config import Config
from neurogrid_node.machine.gpu_state import GpuReading, GpuState

pytestmark = [pytest.mark.engine, pytest.mark.processes]

ROOT = Path(__file__).parents[2]
CONFIG = msgspec.convert(tomllib.loads((ROOT / "configs/node.toml").read_text()), Config)
# As the simulated driver says: its two GPUs have 1 MiB each.
ONE = GpuState(0, uuid_of(0), "Simulated GPU", 1 << 20, 0, "9.0", 0, 40, 70_000, ())
TWO = replace(ONE, index=1, uuid=uuid_of(1))
NODE = "12D3KooWbenchmark"
NAMES = [GPU_COMPUTE.name, GPU_MEMORY.name]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnDockerd]:
    """One whose containers get the simulated driver with the GPUs that they are given."""
    hook = ContainerHook(tmp_path_factory.mktemp("hook") / "hook")
    with pytest.MonkeyPatch.context() as environment, ExitStack() as stack:
        environment.setenv("PATH", hook.path())
        # The path of a socket is at most 107 bytes, and pytest's folders are deep.
        short = stack.enter_context(tempfile.TemporaryDirectory(prefix="ng", dir="/tmp"))
        engine = stack.enter_context(own_dockerd(Path(short) / "e"))
        engine.take_images(CHALLENGE_IMAGE)
        environment.setenv("DOCKER_HOST", engine.url)
        yield engine


@pytest.fixture
def machine(engine: OwnDockerd, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two GPUs, and work that an interpreter of their instructions can do."""
    for name, value in {"_TILES": 16, "_ROUNDS": 2, "_WALKS": 16, "_STEPS": 8}.items():
        monkeypatch.setattr(gpus, name, value)
    offer(monkeypatch, ONE, TWO)


def offer(monkeypatch: pytest.MonkeyPatch, *there: GpuState) -> None:
    async def read() -> GpuReading:
        return GpuReading(there)

    monkeypatch.setattr(gpus, "read_gpus", read)


async def test_each_gpu_is_measured_by_itself_and_beside_the_last_time(
    engine: OwnDockerd, machine: None, tmp_path: Path
) -> None:
    found = await gpus.gpus(CONFIG, NODE, is_node_running=False)
    assert [(each.gpu, each.name) for each in found] == [
        (gpu.uuid, name) for gpu in (ONE, TWO) for name in NAMES
    ]
    assert [each.problem for each in found] == [""] * 4
    assert all(each.value is not None and each.value > 0 for each in found)
    now = Run(2, found)
    keep(tmp_path, now)
    assert read_kept(tmp_path) == now
    quicker = tuple(replace(each, value=2 * (each.value or 0)) for each in found[2:])
    before = Run(1, (*found[:2], *quicker))
    assert slower(now, before) == tuple(f"{name} {TWO.uuid}" for name in NAMES)
    lines = table(now, before)
    assert [line[:12] for line in lines] == [ONE.uuid[:12], TWO.uuid[:12]] * 2
    assert ["worse" in line for line in lines] == [False, True] * 2
    client = docker.APIClient(base_url=engine.url)
    assert client.containers(all=True) == []
    client.close()


@pytest.mark.usefixtures("machine")
async def test_what_cannot_be_measured_says_why_and_the_others_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # More is to be filled than it has.
    monkeypatch.setattr(gpus, "_MEMORY_SHARE", 1)
    monkeypatch.setattr(gpus, "_TILES", 1 << 18)
    offer(
        monkeypatch,
        replace(ONE, memory_bytes=1 << 30),
        replace(TWO, vendor=AMD),
        replace(TWO, memory_bytes=1 << 16),
    )
    full, of_amd, good = (await gpus.gpus(CONFIG, NODE, is_node_running=False))[::2]
    assert "CUDA_ERROR_OUT_OF_MEMORY" in full.problem
    assert (full.value, of_amd.value) == (None, None)
    assert AMD in of_amd.problem
    assert good.value is not None


@pytest.mark.usefixtures("machine")
async def test_no_gpu_is_touched_that_a_job_may_get() -> None:
    found = await gpus.gpus(CONFIG, NODE, is_node_running=True)
    assert [each.value for each in found] == [None] * 4
    assert "neurogrid-node stop" in found[0].problem
    unoffered = replace(CONFIG, offer=replace(CONFIG.offer, gpus=False))
    assert await gpus.gpus(unoffered, NODE, is_node_running=False) == ()
