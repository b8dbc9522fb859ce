"""A /sys as the kernel shows it on a machine with AMD's GPUs, for `read_amd`.

Written after the kernel's sources (kfd_topology.c, amdgpu's sysfs files), not on such a machine. The
numbers are those of an Instinct MI210 and of a Radeon RX 7900 XTX.
"""

from pathlib import Path

GIB = 1 << 30
UNIQUE_ID = 0x9B3F4C0A12D7E865
INSTINCT_UUID = f"AMD-{UNIQUE_ID:016x}"
RADEON_UUID = "AMD-0000:83:00.0"
IDS = """\
# List of AMDGPU IDs
1.0.0
744C,\tC4,\tAMD Radeon RX 7900 XTX of another board
744C,\tC8,\tAMD Radeon RX 7900 XTX
"""


class AmdMachine:
    """Its files can be changed at any time, and a GPU pulled out."""

    def __init__(self, directory: Path) -> None:
        self.sysfs = directory / "sys"
        self.proc = directory / "proc"
        self.ids = directory / "amdgpu.ids"
        self.ids.write_text(IDS)
        # The first node is the processor.
        self._node(0, {"cpu_cores_count": 64, "simd_count": 0, "vendor_id": 0}, gpu_id=0)

    def device(self, minor: int) -> Path:
        """The folder of a GPU's device."""
        return self.sysfs / f"class/drm/renderD{minor}/device"

    def write(self, file: Path, text: str | int) -> None:
        """A file of one line."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def add_instinct(self) -> None:
        """A GPU for servers: it tells everything."""
        facts = {
            "simd_count": 416,
            "vendor_id": 0x1002,
            "device_id": 0x740F,
            "unique_id": UNIQUE_ID,
        }
        self._node(1, {**facts, "drm_render_minor": 128}, gpu_id=42_925)
        device = self.device(128)
        self.write(device / "uevent", "DRIVER=amdgpu\nPCI_ID=1002:740F\nPCI_SLOT_NAME=0000:03:00.0")
        self.write(device / "product_name", "AMD INSTINCT MI210 (XT)")
        self.write(device / "revision", "0x02")
        self.write(device / "mem_info_vram_total", 64 * GIB)
        self.write(device / "mem_info_vram_used", 3 * GIB)
        self.write(device / "gpu_busy_percent", 97)
        self.write(device / "hwmon/hwmon4/temp1_input", 58_000)
        self.write(device / "hwmon/hwmon4/power1_average", 212_000_000)
        self.write(device / "hwmon/hwmon4/power1_cap", 300_000_000)
        self.write(device / "ras/umc_err_count", "ue: 0\nce: 3")
        self.write(self.sysfs / "module/amdgpu/version", "6.7.0")

    def add_radeon(self) -> None:
        """A GPU for desktops: no number of its own, and libdrm knows its name."""
        facts = {"simd_count": 192, "vendor_id": 0x1002, "device_id": 0x744C, "unique_id": 0}
        self._node(2, {**facts, "drm_render_minor": 129}, gpu_id=11_111)
        device = self.device(129)
        self.write(device / "uevent", "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:83:00.0")
        self.write(device / "revision", "0xc8")
        self.write(device / "mem_info_vram_total", 24 * GIB)
        self.write(device / "mem_info_vram_used", GIB)

    def add_process(self, pid: int, container_id: str, used: dict[int, int]) -> None:
        """A program that computes; ``used``: memory by gpu_id."""
        self.write(self.proc / str(pid) / "cgroup", f"0::/system.slice/docker-{container_id}.scope")
        for gpu_id, used_bytes in used.items():
            self.write(self.sysfs / f"class/kfd/kfd/proc/{pid}/vram_{gpu_id}", used_bytes)

    def _node(self, number: int, properties: dict[str, int], gpu_id: int) -> None:
        node = self.sysfs / f"class/kfd/kfd/topology/nodes/{number}"
        lines = "\n".join(f"{name} {value}" for name, value in properties.items())
        self.write(node / "properties", lines)
        self.write(node / "gpu_id", gpu_id)
        self.write(node / "name", "" if not gpu_id else "gfx")
