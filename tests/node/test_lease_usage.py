"""What a coordinator is told of jobs' use and of GPUs."""

from dataclasses import replace

from neurogrid_marketplace.network import NetworkUse
from neurogrid_marketplace.usage import GpuUse, LeaseUsage
from neurogrid_node.container.usage import Usage
from neurogrid_node.lease.lease_usage import lease_usage
from neurogrid_node.machine.gpu_state import GpuState
from neurogrid_node.machine.gpu_use import gpu_use

GPU = GpuState(
    index=0,
    uuid="GPU-1",
    model="NVIDIA L4",
    memory_bytes=24 * 2**30,
    memory_used_bytes=2**30,
    compute_capability="8.9",
    utilisation_percent=90,
    temperature_celsius=66,
    power_milliwatts=70_500,
    processes=(),
)
USE = GpuUse("GPU-1", 90, 2**30, 66, 70_500)


def test_a_gpu_is_told_as_its_driver_does_and_a_parts_power_not_at_all() -> None:
    assert gpu_use(GPU) == USE
    part = replace(GPU, uuid="MIG-1", parent_uuid="GPU-1", utilisation_percent=None)
    assert gpu_use(part) == GpuUse("MIG-1", None, 2**30, 66, None)


def test_a_job_is_told_with_its_gpus_and_hosts_once_it_was_measured() -> None:
    assert lease_usage(Usage(), NetworkUse(1, 2, 3), (GPU,)) is None
    used = Usage(2_500_000_000, 7, 9, 1, 1, 10, 11)
    assert lease_usage(used, None, ()) == LeaseUsage(2_500, 7, 10, 11)
    assert lease_usage(used, NetworkUse(1, sent_bytes=2, received_bytes=3), (GPU,)) == LeaseUsage(
        2_500, 7, 10, 11, 3, 2, (USE,)
    )
