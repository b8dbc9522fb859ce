"""How GPUs are given to a container, as the nodes in /dev allow."""

import os
from pathlib import Path

import pytest

from neurogrid_marketplace.resources import Gpu
from neurogrid_node.container.spec import RenderNode
from neurogrid_node.machine.devices import DeviceGone, GpuDevices, gpu_devices
from neurogrid_node.machine.gpu_state import GpuState

pytestmark = pytest.mark.namespaces

GIB = 1 << 30
NVIDIA = GpuState(0, "GPU-a", "NVIDIA H100", 80 * GIB, 0, "9.0", 0, 40, 70_000, ())
AMD = GpuState(
    *(1, "AMD-9b3f4c0a12d7e865", "AMD INSTINCT MI210", 64 * GIB, 0, "0.0", 0, 40, 70_000, ()),
    vendor="amd",
    device_nodes=("/dev/kfd", "/dev/dri/renderD129"),
)
# Of /dev/null: any character device will do.
NULL = os.makedev(1, 3)


def gpu(state: GpuState) -> Gpu:
    return Gpu(state.uuid, state.model, state.memory_bytes, state.compute_capability, state.vendor)


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    (tmp_path / "dri").mkdir()
    return tmp_path


def make(dev: Path, mode: int, group: int) -> None:
    for name in ("kfd", "dri/renderD129"):
        os.mknod(dev / name, 0o020000 | mode, NULL)
        os.chown(dev / name, 0, group)
        (dev / name).chmod(mode)


def test_each_makers_are_given_in_its_way(dev: Path) -> None:
    make(dev, 0o660, 104)
    given = gpu_devices([gpu(AMD), gpu(NVIDIA)], [NVIDIA, AMD], dev)
    assert given == GpuDevices(("GPU-a",), (RenderNode(AMD.uuid, 129, (104,)),))
    assert gpu_devices([], [NVIDIA, AMD], dev) == GpuDevices()


def test_nodes_that_everybody_may_open_need_no_group(dev: Path) -> None:
    make(dev, 0o666, 0)
    assert gpu_devices([gpu(AMD)], [AMD], dev).render_nodes[0].groups == ()


@pytest.mark.parametrize(("mode", "group"), [(0o660, 0), (0o600, 104), (0o640, 104)])
def test_nodes_that_only_root_may_open_are_not_given_and_the_fix_is_named(
    dev: Path, mode: int, group: int
) -> None:
    make(dev, mode, group)
    with pytest.raises(DeviceGone, match="chgrp render"):
        gpu_devices([gpu(AMD)], [AMD], dev)


def test_a_gpu_that_does_not_work_or_has_no_node_is_gone(dev: Path) -> None:
    with pytest.raises(DeviceGone, match="does not work any more"):
        gpu_devices([gpu(NVIDIA)], [AMD], dev)
    with pytest.raises(DeviceGone, match="is not there"):
        gpu_devices([gpu(AMD)], [AMD], dev)
    (dev / "kfd").write_text("")
    with pytest.raises(DeviceGone, match="is no device"):
        gpu_devices([gpu(AMD)], [AMD], dev)
