"""A node with GPUs, by real processes: what it offers follows what its driver says, and it works on without.

The driver is simulated (`nvml_sim`, `cuda_sim`), and so is what gives GPUs to containers (`container_hook`); the node's own
code, pynvml, the engine and its containers are not.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from acceptance.network import JOB_IMAGE, Devnet, running_devnet, until
from cuda_sim.container_hook import ContainerHook
from engine.own_dockerd import own_dockerd
from neurogrid_node.__main__ import main
from neurogrid_node.container.probe import PROBE_IMAGE
from nvml_sim.machine import MachineSettings, build, healthy, uuid_of

pytestmark = [pytest.mark.processes, pytest.mark.engine]

LOST = 15
TRUE_IMAGE = "neurogrid/true:1"


@dataclass
class GpuNode:
    """A devnet of one node, and its driver."""

    devnet: Devnet
    driver: MachineSettings
    hook: ContainerHook

    def offered(self) -> int:
        """How many GPUs the market knows of."""
        (node,) = self.devnet.client.nodes.list().nodes
        return node.gpu_info.count if node.gpu_info else 0

    def told_of_both(self) -> Any:
        """What the market is told of its GPUs; None until that is of both."""
        found = self.devnet.http.get("/analytics/gpus").json()["data"]
        return found if found["power_watts"] == 430.0 else None

    def shown(self, *command: str) -> str:
        """What a command of the node's owner prints."""
        (node,) = self.devnet.network.nodes
        ran = CliRunner().invoke(main, [*command, "--data", str(node.data)])
        assert ran.exit_code == 0, ran.output
        return ran.output

    def until_shown(self, words: str) -> None:
        """Wait for words in the owner's status: the file that it shows is written every second."""
        until(lambda: words in self.shown("status"), words)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[GpuNode]:
    driver = MachineSettings(tmp_path / "settings")
    driver.set(healthy(0), healthy(1))
    hook = ContainerHook(tmp_path / "hook")
    hook.give_everybody(uuid_of(0), uuid_of(1))
    with pytest.MonkeyPatch.context() as environment, ExitStack() as stack:
        environment.setenv("PATH", hook.path())
        # The path of a socket is at most 107 bytes, and pytest's folders are deep.
        short = stack.enter_context(tempfile.TemporaryDirectory(prefix="ng", dir="/tmp"))
        engine = stack.enter_context(own_dockerd(Path(short) / "e"))
        engine.take_images(TRUE_IMAGE, PROBE_IMAGE)
        # A devnet wants the demo's image, which is large; what runs here needs a shell.
        engine.docker("tag", TRUE_IMAGE, JOB_IMAGE)
        environment.setenv("DOCKER_HOST", engine.url)
        environment.setenv("LD_LIBRARY_PATH", str(build(tmp_path)))
        environment.setenv("NVML_SIM", str(driver.file))
        devnet = stack.enter_context(running_devnet(tmp_path / "D", nodes=1))
        yield GpuNode(devnet, driver, hook)


def test_the_market_knows_of_the_gpus_that_work_and_the_owner_why_one_does_not(
    node: GpuNode,
) -> None:
    # A toolkit that gives each GPU to everybody: whoever rents one would have both.
    node.until_shown(f"withheld: {uuid_of(1)}: a GPU that was not given is there")
    assert "(CONTAINER_NO_GPU)" in node.shown("status")
    assert node.offered() == 0
    node.hook.give_everybody()
    until(lambda: node.offered() == 2, "both GPUs are offered")
    told = until(node.told_of_both, "how they are")
    assert (told["total"], told["busy"]) == (2, 37.0)
    assert (told["temperature_mean"], told["temperature_max"]) == (61.0, 61)
    # One falls off the bus, and the other's driver reports a memory error.
    node.driver.set(healthy(0), healthy(1, error=f"nvmlDeviceGetUUID {LOST}"), "event 1 0 48")
    until(lambda: node.offered() == 0, "neither is offered")
    node.until_shown(f"withheld: {uuid_of(0)}: XID 48")
    node.until_shown(f"withheld: {uuid_of(1)}")
    assert "H100" in node.shown("inventory")
    task = node.devnet.submit("true")
    assert node.devnet.until_settled(task.id).phase == "completed"
