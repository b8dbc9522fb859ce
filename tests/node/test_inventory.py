"""What a machine offers, and what is said of it in one line."""

import threading
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import trio
import trio.testing

from neurogrid_marketplace.resources import Gpu
from neurogrid_node.machine.gpu import GpuFault, GpuReader, GpuReading, GpuState
from neurogrid_node.machine.inventory import Inventory, read_gpus, take_inventory

GIB = 1 << 30
H100 = GpuState(
    index=0,
    uuid="GPU-00000000-1111-2222-3333-444444444444",
    model="NVIDIA H100 80GB HBM3",
    memory_bytes=80 * GIB,
    memory_used_bytes=0,
    compute_capability="9.0",
    utilisation_percent=0,
    temperature_celsius=33,
    power_milliwatts=71_000,
    processes=(),
)


async def test_this_machine(tmp_path: Path) -> None:
    inventory = await take_inventory(tmp_path, gpus=False)
    total = psutil.virtual_memory().total
    assert inventory.cpu_cores >= 1
    assert total * 0.5 < inventory.memory_bytes <= total - (512 << 20)
    assert 0 <= inventory.disk_free_bytes < psutil.disk_usage(str(tmp_path)).total
    assert inventory.gpus == ()
    assert inventory.offered_gpus() == ()
    assert "GPUs are not offered" in inventory.summary


def test_working_gpus_are_offered_in_the_markets_terms() -> None:
    inventory = Inventory(8, 32 * GIB, 100 * GIB, gpus=(H100,))
    assert inventory.offered_gpus() == (Gpu(H100.uuid, H100.model, 80 * GIB, "9.0"),)


def test_the_summary_counts_gpus_and_names_faults() -> None:
    inventory = Inventory(
        cpu_cores=8,
        memory_bytes=32 * GIB,
        disk_free_bytes=100 * GIB,
        gpus=(H100, replace(H100, index=1)),
        gpu_faults=(GpuFault(2, "", "lost", "fell off"),),
        driver="550.90.07",
        cuda="12.4",
    )
    assert inventory.summary == (
        "8 cores, 32.0 GiB memory, 100 GiB disk, 2 x NVIDIA H100 80GB HBM3 (80 GiB), "
        "driver 550.90.07, CUDA 12.4, GPU 2 not offered: lost"
    )


class StuckReader(GpuReader):
    """A driver that does not answer until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def read(self) -> GpuReading:
        self.released.wait()
        return GpuReading()


async def test_a_driver_that_hangs_does_not_hang_the_node(
    autojump_clock: trio.testing.MockClock,
) -> None:
    reader = StuckReader()
    reading = await read_gpus(reader)
    reader.released.set()
    assert reading.gpus == ()
    assert "has not answered for 30 s" in reading.note


@pytest.mark.parametrize("directory", ["/proc", "/"])
async def test_disk_is_never_negative(directory: str) -> None:
    assert (await take_inventory(Path(directory), gpus=False)).disk_free_bytes >= 0
