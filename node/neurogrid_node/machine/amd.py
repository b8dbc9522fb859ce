"""AMD's GPUs, as the kernel tells: /sys/class/kfd (what computes) and /sys/class/drm (the devices).

No library of AMD's is used: what ROCm's own tools show comes from these files, which every kernel with
amdgpu has. A file that is missing or nonsense costs only its value. Sources: the kernel's
Documentation/gpu/amdgpu (driver-misc, thermal) and drivers/gpu/drm/amd/amdkfd/kfd_topology.c.
"""

import re
from pathlib import Path
from typing import Final

from neurogrid_marketplace.resources import AMD

from ..container.spec import RENDER_MINORS
from .gpu_state import (
    ECC_ERRORS_MAX,
    GPUS_MAX,
    MEMORY_BYTES_MAX,
    POWER_MILLIWATTS_MAX,
    PROCESSES_MAX,
    TEMPERATURE_CELSIUS_MAX,
    GpuFault,
    GpuProcess,
    GpuReading,
    GpuState,
    printable,
    within,
)
from .processes import container_of

# What libdrm knows GPUs by: "744C, C8, AMD Radeon RX 7900 XTX".
AMDGPU_IDS: Final = Path("/usr/share/libdrm/amdgpu.ids")

_VENDOR_AMD: Final = 0x1002
_FILE_BYTES_MAX: Final = 16_384
_IDS_BYTES_MAX: Final = 1 << 20
_NODES_MAX: Final = 256
_ERRORS: Final = re.compile(r"^(ue|ce):\s*([0-9]{1,18})$", re.MULTILINE)
_SLOT: Final = re.compile(
    r"^PCI_SLOT_NAME=([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])$", re.MULTILINE
)


def read_amd(sysfs: Path, proc: Path, amdgpu_ids: Path) -> GpuReading:
    """Every GPU of AMD's that can compute. Never raises for what the kernel says, or does not.

    Args:
        sysfs, proc: where the kernel shows devices and processes.
        amdgpu_ids: libdrm's table of names.
    """
    gpus: list[GpuState] = []
    faults: list[GpuFault] = []
    for node in _numbered(sysfs / "class/kfd/kfd/topology/nodes")[:_NODES_MAX]:
        properties = _properties(node / "properties")
        # Processors are nodes, too, without such units.
        if properties.get("vendor_id") != _VENDOR_AMD or not properties.get("simd_count"):
            continue
        index = len(gpus) + len(faults)
        if index >= GPUS_MAX:
            break
        gpu = _read_gpu(index, node, properties, sysfs, proc, amdgpu_ids)
        if isinstance(gpu, GpuState) and any(gpu.uuid == other.uuid for other in gpus):
            gpu = GpuFault(index, gpu.uuid, "duplicate_uuid", "another GPU has the same unique_id")
        if isinstance(gpu, GpuState):
            gpus.append(gpu)
        else:
            faults.append(gpu)
    version = printable(_text(sysfs / "module/amdgpu/version")) if gpus else ""
    return GpuReading(gpus=tuple(gpus), faults=tuple(faults), driver=version)


def _read_gpu(
    index: int,
    node: Path,
    properties: dict[str, int],
    sysfs: Path,
    proc: Path,
    amdgpu_ids: Path,
) -> GpuState | GpuFault:
    minor = properties.get("drm_render_minor", 0)
    if minor not in RENDER_MINORS:
        return GpuFault(index, "", "unreadable", "the kernel gives it no render node")
    device = sysfs / f"class/drm/renderD{minor}/device"
    uuid = _uuid(device, properties)
    if not uuid:
        message = f"renderD{minor} has no device: it was unplugged, or its driver is being unloaded"
        return GpuFault(index, "", "lost", message)
    total = _number(device / "mem_info_vram_total")
    if total is None or not 0 < total <= MEMORY_BYTES_MAX:
        return GpuFault(index, uuid, "bad_memory", "it claims an impossible amount of memory")
    used = _number(device / "mem_info_vram_used") or 0
    busy = _number(device / "gpu_busy_percent")
    sensors = next(iter(sorted((device / "hwmon").glob("hwmon[0-9]*"))), device / "hwmon")
    errors = dict(_ERRORS.findall(_text(device / "ras/umc_err_count")))
    return GpuState(
        index=index,
        uuid=uuid,
        model=_model(device, node, properties, amdgpu_ids),
        memory_bytes=total,
        memory_used_bytes=min(max(0, used), total),
        compute_capability="0.0",
        utilisation_percent=None if busy is None or busy < 0 else min(busy, 100),
        temperature_celsius=within(
            _divided(_number(sensors / "temp1_input"), 1000), TEMPERATURE_CELSIUS_MAX
        ),
        power_milliwatts=_milliwatts(sensors, "power1_average", "power1_input"),
        processes=_processes(node, sysfs, proc, total),
        vendor=AMD,
        power_limit_milliwatts=_milliwatts(sensors, "power1_cap"),
        ecc_corrected=within(_whole(errors.get("ce")), ECC_ERRORS_MAX),
        ecc_uncorrected=within(_whole(errors.get("ue")), ECC_ERRORS_MAX),
        pci_address=_slot(device),
        device_nodes=("/dev/kfd", f"/dev/dri/renderD{minor}"),
    )


def _uuid(device: Path, properties: dict[str, int]) -> str:
    """By its maker's number, as ROCm does, or by its place where it has none. "": it is gone."""
    slot = _slot(device)
    if not slot:
        return ""
    unique = properties.get("unique_id", 0)
    return f"AMD-{unique:016x}" if 0 < unique < 1 << 64 else f"AMD-{slot}"


def _slot(device: Path) -> str:
    found = _SLOT.search(_text(device / "uevent"))
    return found.group(1) if found else ""


def _model(device: Path, node: Path, properties: dict[str, int], amdgpu_ids: Path) -> str:
    """The maker's name on the board, else libdrm's, else the name of the chip."""
    name = printable(_text(device / "product_name"))
    if not name:
        chip = properties.get("device_id", 0)
        revision = _hexadecimal(device / "revision")
        name = _name_of(chip, revision, amdgpu_ids) or printable(_text(node / "name"))
    name = name or "GPU"
    return name if name.upper().startswith("AMD") else f"AMD {name}"[:128]


def _name_of(chip: int, revision: int, amdgpu_ids: Path) -> str:
    for line in _text(amdgpu_ids, _IDS_BYTES_MAX).splitlines():
        parts = [part.strip() for part in line.split(",", 2)]
        if len(parts) == 3 and (parts[0].upper(), parts[1].upper()) == (
            f"{chip:04X}",
            f"{revision:02X}",
        ):
            return printable(parts[2])
    return ""


def _processes(node: Path, sysfs: Path, proc: Path, total: int) -> tuple[GpuProcess, ...] | None:
    """Those that compute: the kernel keeps a folder for each that has opened /dev/kfd."""
    gpu_id = _number(node / "gpu_id")
    folder = sysfs / "class/kfd/kfd/proc"
    if gpu_id is None or not folder.is_dir():
        return None
    found = []
    for process in _numbered(folder)[:PROCESSES_MAX]:
        used = _number(process / f"vram_{gpu_id}")
        # Every such process has a file for every GPU; without memory there it does not use it.
        if used:
            pid = int(process.name)
            found.append(GpuProcess(pid, within(used, total), container_of(pid, proc)))
    return tuple(found)


def _milliwatts(sensors: Path, *names: str) -> int | None:
    """Of the first sensor that is there; they count in microwatts."""
    for name in names:
        value = _number(sensors / name)
        if value is not None:
            return within(value // 1000, POWER_MILLIWATTS_MAX)
    return None


def _numbered(folder: Path) -> list[Path]:
    """The folders in it whose names are numbers, in their order."""
    try:
        found = [entry for entry in folder.iterdir() if entry.name.isdecimal()]
    except OSError:
        return []
    return sorted(found, key=lambda entry: int(entry.name))


def _properties(file: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    found = {}
    for line in _text(file).splitlines():
        name, _, value = line.partition(" ")
        number = _whole(value)
        if number is not None:
            found[name] = number
    return found


def _number(file: Path) -> int | None:
    return _whole(_text(file))


def _hexadecimal(file: Path) -> int:
    try:
        return int(_text(file).strip()[:8], 16)
    except ValueError:
        return 0


def _whole(text: str | None) -> int | None:
    cleaned = (text or "").strip()
    # Python would take "1_000", and digits of other alphabets, too.
    if not re.fullmatch(r"-?[0-9]{1,20}", cleaned):
        return None
    return int(cleaned)


def _divided(value: int | None, by: int) -> int | None:
    return None if value is None else value // by


def _text(file: Path, most_bytes: int = _FILE_BYTES_MAX) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(most_bytes).decode(errors="replace")
    except OSError:  # a GPU that is asleep or gone answers its files with errors
        return ""
