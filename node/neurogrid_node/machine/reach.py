"""Whether a container can still open its GPUs' nodes.

An engine that leaves devices to systemd loses the rules that NVIDIA's hook has added at the next
``systemctl daemon-reload``: the job's next call fails with "Failed to initialize NVML: Unknown Error",
while everything on the host looks well (NVIDIA/nvidia-container-toolkit#48). Neither the engine nor NVML
tells of it, and an image need not have a program that could look. So a shell of the host's enters the
container's control group for devices, and opens them there.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_CGROUPS: Final = Path("/sys/fs/cgroup")
# Only what a shell has built in: it may start no process where the job is at its limit of them.
_OPEN: Final = 'echo $$ >"$1" || exit 3; shift; for node; do true <>"$node" || exit 4; done'
_PATIENCE_S: Final = 10
_DENIED: Final = "not permitted"


def unreachable(
    pid: int, nodes: Sequence[str], proc: Path = _PROC, cgroups: Path = _CGROUPS
) -> str:
    """Why a container cannot use these nodes any more; "" if it can, or nobody can tell.

    Blocks for some milliseconds. Nobody can tell without root, and while the container is frozen.

    Args:
        pid: of the container's init on the host.
        nodes: paths in /dev; those that the host has not are left out.
        proc, cgroups: where the kernel shows its processes and control groups.
    """
    try:
        there = [node for node in nodes if Path(node).exists()]
        for node in there:
            if not _is_same(Path(node), proc / str(pid) / "root" / node.lstrip("/")):
                return f"{node} is gone from the container"
        group = _device_group(pid, proc, cgroups)
        if group is None or not there or _is_frozen(group):
            return ""
        return _denied(group, there)
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _is_same(outside: Path, inside: Path) -> bool:
    try:
        found = inside.stat()
    except FileNotFoundError:
        # The whole container may have ended.
        return not inside.parent.exists()
    return found.st_rdev == outside.stat().st_rdev


def _device_group(pid: int, proc: Path, cgroups: Path) -> Path | None:
    """The control group that says which devices a process may open. Source: man 7 cgroups."""
    groups: dict[str, str] = {}
    for line in (proc / str(pid) / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        groups |= dict.fromkeys(controllers.split(","), path)
    # Version 1 mounts each controller; version 2 has one tree and names no controller.
    for controller in ("devices", ""):
        if controller in groups:
            group = cgroups / controller / groups[controller].lstrip("/")
            if (group / "cgroup.procs").exists():
                return group
    return None


def _is_frozen(group: Path) -> bool:
    """Only version 2 would freeze who enters."""
    file = group / "cgroup.freeze"
    return file.exists() and file.read_text().strip() == "1"


def _denied(group: Path, nodes: Sequence[str]) -> str:
    done = subprocess.run(
        ["sh", "-c", _OPEN, "sh", str(group / "cgroup.procs"), *nodes],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        timeout=_PATIENCE_S,
        check=False,
    )
    words = done.stderr.decode(errors="replace").strip()[:200]
    # Whatever else keeps a node from being opened is not the container's.
    if done.returncode != 0 and _DENIED in words:
        return f"its container may not open its GPU any more ({words}): see docs/inventory.md"
    return ""
