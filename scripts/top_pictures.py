"""Makes docs/top.svg and docs/top-draining.svg: `neurogrid-node top` of a node of a real devnet, with jobs.

``PYTHONPATH=tests .venv/bin/python scripts/top_pictures.py``, as root. The two GPUs, and what gives them to containers, are
the tests' simulated ones (tests/nvml_sim, tests/cuda_sim): the node reads them as it reads others, and no such card is needed.
"""

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from acceptance.network import JOB_IMAGE, Devnet, running_devnet, until
from cuda_sim.container_hook import ContainerHook
from engine.own_dockerd import own_dockerd
from neurogrid_node.container.probe import PROBE_IMAGE
from neurogrid_node.status import read_status
from nvml_sim.machine import MachineSettings, build, healthy

DOCS = Path(__file__).parent.parent / "docs"
NEEDS = {"cpu_cores": 0.5, "ram_gb": 0.2, "storage_gb": 0.05}


class Node:
    """The devnet's only one."""

    def __init__(self, devnet: Devnet) -> None:
        (node,) = devnet.network.nodes
        self._data = node.data

    def types(self, *arguments: str) -> None:
        """Type a command of its owner."""
        command = (sys.executable, "-m", "neurogrid_node", *arguments, "--data", self._data)
        subprocess.run(command, check=True, timeout=60)

    def shows(self, name: str) -> list[dict[str, Any]]:
        """One of the lists in its status file; empty while there is none."""
        found = (read_status(Path(self._data)) or {}).get(name, [])
        assert isinstance(found, list), "one of the lists"
        return found

    def has_promises(self) -> bool:
        """Whether a voucher has come for every job."""
        return all(row["voucher_micro_usdc"] for row in self.shows("leases"))


def take_pictures(devnet: Devnet) -> None:
    """Run jobs, and take both pictures."""
    node = Node(devnet)
    until(lambda: len(node.shows("gpus")) == 2, "both GPUs are offered")
    devnet.until_settled(devnet.submit("sleep", "2").id)
    one, two = (
        devnet.submit(
            *("sleep", "300"),
            type=kind,
            resource_requirements=NEEDS | {"gpu_count": gpus},
            timeout_seconds=600,
            max_price_per_hour="20",
        ).id
        for kind, gpus in (("gpu", 1), ("cpu", 0))
    )
    for task in (one, two):
        devnet.until_phase(task, "running")
    until(node.has_promises, "vouchers have come for both jobs")
    node.types("top", "--once", "--svg", str(DOCS / "top.svg"))
    devnet.client.tasks.cancel(two)
    devnet.until_settled(two)
    node.types("drain", "--exit")
    until(lambda: len(node.shows("leases")) == 1, "the node shows what is left")
    node.types("top", "--once", "--svg", str(DOCS / "top-draining.svg"))


def main() -> None:
    """Both pictures, of a devnet that is taken down again."""
    with ExitStack() as stack:
        # The path of a socket is at most 107 bytes.
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ng", dir="/tmp")))
        driver = MachineSettings(directory / "settings")
        driver.set(
            healthy(
                0, utilisation="97", memory_used=str(61 << 30), power="655000", temperature="71"
            ),
            healthy(1, utilisation="0", memory_used=str(1 << 29), power="69000", temperature="34"),
        )
        hook = ContainerHook(directory / "hook")
        os.environ["PATH"] = hook.path()
        engine = stack.enter_context(own_dockerd(directory / "e"))
        engine.take_images(JOB_IMAGE, PROBE_IMAGE)
        os.environ |= {
            "DOCKER_HOST": engine.url,
            "LD_LIBRARY_PATH": str(build(directory)),
            "NVML_SIM": str(driver.file),
        }
        take_pictures(stack.enter_context(running_devnet(directory / "D", nodes=1)))


if __name__ == "__main__":
    main()
