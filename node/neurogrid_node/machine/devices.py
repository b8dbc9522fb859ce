"""How the GPUs that a lease holds are given to its container: NVIDIA's by UUID, AMD's by their nodes."""

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from neurogrid_marketplace.resources import AMD, Gpu

from ..container.spec import RenderNode
from .gpu_state import GpuState

_RENDER_NODE: Final = re.compile(r"/dev/dri/renderD([0-9]{1,3})\Z")


class DeviceGone(Exception):
    """A GPU cannot be given to a job now; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class GpuDevices:
    """What a container is given.

    Attributes:
        uuids: for NVIDIA's runtime. render_nodes: AMD's.
    """

    uuids: tuple[str, ...] = ()
    render_nodes: tuple[RenderNode, ...] = ()


def gpu_devices(
    held: Iterable[Gpu], working: Iterable[GpuState], dev: Path = Path("/dev")
) -> GpuDevices:
    """How these GPUs are given to a container.

    Args:
        working: the GPUs that work now.
        dev: where the nodes are.

    Raises:
        DeviceGone: one of them does not work, or no job could open its nodes.
    """
    by_uuid = {gpu.uuid: gpu for gpu in working}
    uuids = []
    nodes = []
    for gpu in held:
        state = by_uuid.get(gpu.uuid)
        if state is None:
            raise DeviceGone(f"{gpu.model} ({gpu.uuid}) does not work any more")
        if state.vendor == AMD:
            nodes.append(_render_node(state, dev))
        else:
            uuids.append(state.uuid)
    return GpuDevices(tuple(uuids), tuple(nodes))


def _render_node(gpu: GpuState, dev: Path) -> RenderNode:
    matches = map(_RENDER_NODE.match, gpu.device_nodes)
    (minor,) = [int(match.group(1)) for match in matches if match]
    groups: set[int] = set()
    for path in gpu.device_nodes:
        groups |= _groups(dev / Path(path).relative_to("/dev"))
    return RenderNode(gpu.uuid, minor, tuple(sorted(groups)))


def _groups(node: Path) -> set[int]:
    """Whose members may open a node; nobody in particular where everybody may."""
    try:
        found = os.stat(node)
    except OSError as error:
        raise DeviceGone(f"{node} is not there: {error.strerror}; load amdgpu again") from error
    if not stat.S_ISCHR(found.st_mode):
        raise DeviceGone(f"{node} is no device")
    if found.st_mode & 0o006 == 0o006:
        return set()
    if found.st_gid == 0 or found.st_mode & 0o060 != 0o060:
        raise DeviceGone(
            f"only root may open {node}: give it a group and let that open it "
            f"(chgrp render {node}; chmod 660 {node}), as udev's rules of ROCm do"
        )
    return {found.st_gid}
