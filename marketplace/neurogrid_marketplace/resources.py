"""What a machine has, what a task needs, and taking one from the other.

Amounts are integers with their unit in the name. Nothing here ever becomes negative: taking more
than there is returns None.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated

from msgspec import Meta

from .fields import Bytes, Count, CpuMillis, Word

Gpus = Annotated[tuple["Gpu", ...], Meta(max_length=64)]
# As NVIDIA writes them: "8.9".
ComputeCapability = Annotated[str, Meta(pattern=r"^[0-9]{1,2}\.[0-9]\Z")]
GpuModel = Annotated[str, Meta(max_length=128)]
# Its maker's name in small letters.
GpuVendor = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9]{0,15}\Z")]
NVIDIA = "nvidia"
AMD = "amd"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, or a part of one that its owner has split. ``compute_capability`` is "0.0" where the
    maker has no such thing."""

    uuid: Word
    model: GpuModel
    memory_bytes: Bytes
    compute_capability: ComputeCapability = "0.0"
    vendor: GpuVendor = NVIDIA


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a task needs of one machine; zero or empty means "any".

    Attributes:
        cpu_millis: thousandths of a core.
        gpu_memory_bytes: least memory of each GPU.
        gpu_model: text that must occur in the GPU's model name, without regard to case.
        compute_capability: least compute capability of each GPU.
        regions: the machine's region must be one of these.
    """

    cpu_millis: CpuMillis = 1000
    memory_bytes: Bytes = 512 * 1024**2
    disk_bytes: Bytes = 1024**3
    gpu_count: Annotated[int, Meta(ge=0, le=64)] = 0
    gpu_memory_bytes: Bytes = 0
    gpu_model: GpuModel = ""
    compute_capability: ComputeCapability = "0.0"
    regions: Annotated[tuple[Word, ...], Meta(max_length=32)] = ()

    def accepts(self, gpu: Gpu) -> bool:
        """Whether this GPU would do."""
        return (
            gpu.memory_bytes >= self.gpu_memory_bytes
            and (not self.gpu_model or self.gpu_model.casefold() in gpu.model.casefold())
            and _version(gpu.compute_capability) >= _version(self.compute_capability)
        )


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a machine has, or has left."""

    cpu_millis: CpuMillis
    memory_bytes: Bytes
    disk_bytes: Bytes
    gpus: Gpus = ()

    def has(self, need: Requirements) -> bool:
        """Whether ``need`` fits."""
        return (
            self.cpu_millis >= need.cpu_millis
            and self.memory_bytes >= need.memory_bytes
            and self.disk_bytes >= need.disk_bytes
            and (not need.gpu_count or self.largest_gpu_group(need) >= need.gpu_count)
        )

    def take(self, need: Requirements) -> "tuple[Capacity, tuple[Gpu, ...]] | None":
        """Reserve ``need``: what is left and the GPUs taken, or None if it does not fit."""
        if not self.has(need):
            return None
        taken = self.suitable_gpus(need)[: need.gpu_count]
        left = replace(
            self,
            cpu_millis=self.cpu_millis - need.cpu_millis,
            memory_bytes=self.memory_bytes - need.memory_bytes,
            disk_bytes=self.disk_bytes - need.disk_bytes,
            gpus=tuple(gpu for gpu in self.gpus if gpu not in taken),
        )
        return left, taken

    def suitable_gpus(self, need: Requirements) -> Gpus:
        """The GPUs that would do, in the order in which they are taken.

        The smallest go first, so that large ones stay for who needs them; ties go to the smaller
        UUID, so that replays agree.
        """
        suitable = (gpu for gpu in self.gpus if need.accepts(gpu))
        return tuple(sorted(suitable, key=lambda gpu: (gpu.memory_bytes, gpu.uuid)))

    def largest_gpu_group(self, need: Requirements) -> Count:
        """How many suitable GPUs there are."""
        return sum(need.accepts(gpu) for gpu in self.gpus)


@lru_cache(maxsize=256)
def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
