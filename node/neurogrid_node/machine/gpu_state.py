"""What is known of a GPU at one moment, whoever made it. Values only."""

from dataclasses import dataclass
from typing import Final

from neurogrid_marketplace.resources import NVIDIA

# More than any machine has; a driver that claims more is not believed (akash support#137 was told of
# 18446744073709551615).
GPUS_MAX: Final = 64
PROCESSES_MAX: Final = 256
MEMORY_BYTES_MAX: Final = 1 << 44
TEMPERATURE_CELSIUS_MAX: Final = 150
POWER_MILLIWATTS_MAX: Final = 10_000_000
# Counted in a lifetime; a counter beyond it is nonsense.
ECC_ERRORS_MAX: Final = 1 << 48


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that computes on a GPU.

    Attributes:
        pid: on the host.
        memory_bytes: None where the driver does not tell.
        container_id: of the container that it runs in; "" where it runs in none, or cannot be told.
    """

    pid: int
    memory_bytes: int | None
    container_id: str = ""


@dataclass(frozen=True, slots=True)
class GpuState:
    """One working GPU that can be given to a job, now. None: the GPU or its driver does not tell.

    A part of a GPU that its owner has split (MIG) is one, too: what is told of the whole alone, such
    as temperature and power, is the whole's.

    Attributes:
        uuid: what a container is given it by.
        memory_used_bytes: 0 to `memory_bytes`, by all processes and the driver.
        compute_capability: such as "8.9"; "0.0" when unknown, or when its maker has no such thing.
        utilisation_percent: 0 to 100, over the last second or so.
        processes: what computes on it, ours included.
        power_limit_milliwatts: what it is kept under.
        throttle: why it runs slower than it could: thermal, power, power_brake, hardware.
        ecc_corrected, ecc_uncorrected: memory errors since the driver was loaded.
        pci_address: such as "0000:01:00.0"; "" when unknown.
        parent_uuid: of the GPU that this is a part of; "" for a whole one.
        profile: of a part, such as "1g.10gb"; "" for a whole one.
        device_nodes: the nodes in /dev that a program needs to use it.
    """

    index: int
    uuid: str
    model: str
    memory_bytes: int
    memory_used_bytes: int
    compute_capability: str
    utilisation_percent: int | None
    temperature_celsius: int | None
    power_milliwatts: int | None
    processes: tuple[GpuProcess, ...] | None
    vendor: str = NVIDIA
    power_limit_milliwatts: int | None = None
    throttle: tuple[str, ...] = ()
    ecc_corrected: int | None = None
    ecc_uncorrected: int | None = None
    pci_address: str = ""
    parent_uuid: str = ""
    profile: str = ""
    device_nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GpuFault:
    """A GPU that cannot be offered.

    Attributes:
        index: as its maker's library counts.
        uuid: empty when not even that could be read.
        code: lost, reset_required, mig_empty, bad_uuid, duplicate_uuid, bad_memory, unreadable.
    """

    index: int
    uuid: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class GpuReading:
    """Every GPU at one moment.

    Attributes:
        driver: NVIDIA's version, else AMD's; empty without one.
        cuda: the newest CUDA version it runs, such as "12.4"; empty without one.
        note: why there is no GPU, or what else an operator should know; usually empty.
    """

    gpus: tuple[GpuState, ...] = ()
    faults: tuple[GpuFault, ...] = ()
    driver: str = ""
    cuda: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class XidEvent:
    """An error that NVIDIA's driver reported.

    Attributes:
        uuid: of the whole GPU; "" when that could not be read, as of one that is gone.
        xid: the driver's number (`xid`).
    """

    uuid: str
    xid: int


def within(value: int | None, most: int) -> int | None:
    """Drivers say "unknown" with numbers such as 2**32 - 1."""
    return int(value) if value is not None and 0 <= value <= most else None


def printable(value: str) -> str:
    """A text of a driver's, fit to be shown."""
    return "".join(character for character in value if character.isprintable()).strip()[:128]
