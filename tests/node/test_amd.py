"""AMD's GPUs, read from a tree of files as the kernel shows them."""

import shutil
from pathlib import Path

import pytest

from neurogrid_node.machine.amd import read_amd
from neurogrid_node.machine.gpu import GpuReader
from neurogrid_node.machine.gpu_state import GpuProcess, GpuReading, GpuState
from node.amd_sysfs import GIB, INSTINCT_UUID, RADEON_UUID, AmdMachine
from nvml_sim.machine import Machine, build, healthy, uuid_of

CONTAINER = "ab" * 32


@pytest.fixture
def machine(tmp_path: Path) -> AmdMachine:
    return AmdMachine(tmp_path)


def read(machine: AmdMachine) -> GpuReading:
    return read_amd(machine.sysfs, machine.proc, machine.ids)


def test_a_gpu_for_servers_tells_everything(machine: AmdMachine) -> None:
    machine.add_instinct()
    machine.add_process(4711, CONTAINER, {42_925: 2 * GIB})
    reading = read(machine)
    assert reading == GpuReading(
        gpus=(
            GpuState(
                index=0,
                uuid=INSTINCT_UUID,
                model="AMD INSTINCT MI210 (XT)",
                memory_bytes=64 * GIB,
                memory_used_bytes=3 * GIB,
                compute_capability="0.0",
                utilisation_percent=97,
                temperature_celsius=58,
                power_milliwatts=212_000,
                processes=(GpuProcess(4711, 2 * GIB, CONTAINER),),
                vendor="amd",
                power_limit_milliwatts=300_000,
                ecc_corrected=3,
                ecc_uncorrected=0,
                pci_address="0000:03:00.0",
                device_nodes=("/dev/kfd", "/dev/dri/renderD128"),
            ),
        ),
        driver="6.7.0",
    )


def test_a_gpu_for_desktops_is_known_by_its_place_and_named_by_libdrm(machine: AmdMachine) -> None:
    machine.add_radeon()
    (gpu,) = read(machine).gpus
    assert (gpu.uuid, gpu.model) == (RADEON_UUID, "AMD Radeon RX 7900 XTX")
    assert gpu.device_nodes == ("/dev/kfd", "/dev/dri/renderD129")
    unknown = (gpu.utilisation_percent, gpu.temperature_celsius, gpu.power_milliwatts)
    assert unknown == (None, None, None)
    assert gpu.processes is None, "the kernel tells of none"


def test_a_process_is_on_the_gpus_whose_memory_it_has(machine: AmdMachine) -> None:
    machine.add_instinct()
    machine.add_radeon()
    machine.add_process(7, CONTAINER, {42_925: 0, 11_111: GIB})
    instinct, radeon = read(machine).gpus
    assert instinct.processes == ()
    assert radeon.processes == (GpuProcess(7, GIB, CONTAINER),)


def test_a_processor_is_no_gpu(machine: AmdMachine) -> None:
    assert read(machine) == GpuReading()


def test_a_machine_without_such_a_kernel_has_none(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert read_amd(nowhere, nowhere, nowhere) == GpuReading()


def test_a_gpu_that_was_pulled_out_is_lost_and_the_other_stays(machine: AmdMachine) -> None:
    machine.add_instinct()
    machine.add_radeon()
    shutil.rmtree(machine.device(128))
    reading = read(machine)
    assert [gpu.uuid for gpu in reading.gpus] == [RADEON_UUID]
    assert [(fault.index, fault.code) for fault in reading.faults] == [(0, "lost")]


@pytest.mark.parametrize(
    ("file", "text", "code"),
    [
        ("mem_info_vram_total", "0", "bad_memory"),
        ("mem_info_vram_total", str(2**64 - 1), "bad_memory"),
        ("mem_info_vram_total", "many", "bad_memory"),
        ("uevent", "PCI_SLOT_NAME=../../etc", "lost"),
    ],
)
def test_what_cannot_be_is_a_fault(machine: AmdMachine, file: str, text: str, code: str) -> None:
    machine.add_instinct()
    machine.write(machine.device(128) / file, text)
    reading = read(machine)
    assert (reading.gpus, [fault.code for fault in reading.faults]) == ((), [code])


def test_nonsense_costs_only_its_value(machine: AmdMachine) -> None:
    machine.add_instinct()
    device = machine.device(128)
    machine.write(device / "mem_info_vram_used", 2**63)
    machine.write(device / "gpu_busy_percent", 250)
    machine.write(device / "hwmon/hwmon4/temp1_input", -273_000)
    machine.write(device / "hwmon/hwmon4/power1_average", "1e9")
    machine.write(device / "ras/umc_err_count", "ue: lots")
    (gpu,) = read(machine).gpus
    assert (gpu.memory_used_bytes, gpu.utilisation_percent) == (64 * GIB, 100)
    assert (gpu.temperature_celsius, gpu.power_milliwatts) == (None, None)
    assert (gpu.ecc_corrected, gpu.ecc_uncorrected) == (None, None)


def test_a_render_node_that_is_none_is_not_given_away(machine: AmdMachine) -> None:
    machine.add_instinct()
    node = machine.sysfs / "class/kfd/kfd/topology/nodes/1/properties"
    node.write_text(node.read_text().replace("drm_render_minor 128", "drm_render_minor 0"))
    assert [fault.code for fault in read(machine).faults] == ["unreadable"]


def test_two_gpus_of_one_number_are_one(machine: AmdMachine) -> None:
    machine.add_instinct()
    nodes = machine.sysfs / "class/kfd/kfd/topology/nodes"
    shutil.copytree(nodes / "1", nodes / "3")
    reading = read(machine)
    assert [gpu.uuid for gpu in reading.gpus] == [INSTINCT_UUID]
    assert [fault.code for fault in reading.faults] == ["duplicate_uuid"]


def test_a_machine_of_amds_needs_no_driver_of_nvidias(machine: AmdMachine, tmp_path: Path) -> None:
    machine.add_instinct()
    reader = GpuReader(
        tmp_path / "kernel", sysfs=machine.sysfs, proc=machine.proc, amdgpu_ids=machine.ids
    )
    reading = reader.read()
    assert [gpu.uuid for gpu in reading.gpus] == [INSTINCT_UUID]
    assert (reading.note, reading.driver) == ("", "6.7.0")
    assert reader.wait(3_600_000) == (), "nothing reports errors, so nothing is waited for"
    reader.close()


def test_both_makers_gpus_in_one_machine(machine: AmdMachine, tmp_path: Path) -> None:
    machine.add_radeon()
    library = build(tmp_path)
    nvidia = Machine(library, tmp_path)
    nvidia.set(healthy(0))
    reading = nvidia.read()
    nvidia.close()
    assert [gpu["uuid"] for gpu in reading["gpus"]] == [uuid_of(0), RADEON_UUID]
    assert [gpu["vendor"] for gpu in reading["gpus"]] == ["nvidia", "amd"]
    assert reading["driver"] == "550.90.07", "NVIDIA's, where there are both"
