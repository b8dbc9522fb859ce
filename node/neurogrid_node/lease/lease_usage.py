"""What a lease's job uses, as its coordinator is told. Pure."""

from collections.abc import Iterable

from neurogrid_marketplace.network import NetworkUse
from neurogrid_marketplace.usage import LeaseUsage

from ..container.usage import Usage
from ..machine.gpu_state import GpuState
from ..machine.gpu_use import gpu_use

_NS_PER_MS = 1_000_000


def lease_usage(
    usage: Usage, network: NetworkUse | None, gpus: Iterable[GpuState]
) -> LeaseUsage | None:
    """What was measured last; None before the first sample, and where the engine does not tell.

    Args:
        network: None where it may reach no host.
    """
    if usage.cpu_ns == 0:
        return None
    return LeaseUsage(
        cpu_ms=usage.cpu_ns // _NS_PER_MS,
        memory_bytes=usage.memory_bytes,
        disk_read_bytes=usage.disk_read_bytes,
        disk_written_bytes=usage.disk_written_bytes,
        network_received_bytes=None if network is None else network.received_bytes,
        network_sent_bytes=None if network is None else network.sent_bytes,
        gpus=tuple(gpu_use(gpu) for gpu in gpus),
    )
