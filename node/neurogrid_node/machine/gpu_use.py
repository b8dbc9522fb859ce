"""How a GPU is, as coordinators are told. Pure."""

from neurogrid_marketplace.usage import GpuUse

from .gpu_state import GpuState


def gpu_use(gpu: GpuState) -> GpuUse:
    """What its driver said last. Power is the whole GPU's: told of a part, it would count for each."""
    return GpuUse(
        uuid=gpu.uuid,
        utilisation_percent=gpu.utilisation_percent,
        memory_used_bytes=gpu.memory_used_bytes,
        temperature_celsius=gpu.temperature_celsius,
        power_milliwatts=None if gpu.parent_uuid else gpu.power_milliwatts,
    )
