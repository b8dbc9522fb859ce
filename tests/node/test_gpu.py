"""GPUs read through the real pynvml from a simulated NVML, whole and broken."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nvml_sim.machine import Machine, build, healthy, part, part_uuid_of, uuid_of

LOST, RESET_REQUIRED, NO_PERMISSION, UNKNOWN = 15, 16, 4, 999


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def machine(library: Path, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(library, tmp_path)
    yield made
    made.close()


def test_a_healthy_gpu_tells_everything(machine: Machine, tmp_path: Path) -> None:
    container_id = "c0" * 32
    (tmp_path / "proc/4711").mkdir(parents=True)
    (tmp_path / "proc/4711/cgroup").write_text(f"4:devices:/docker/{container_id}\n0::/\n")
    machine.set(healthy(0), "gpu 0 process 4711 1048576", "gpu 0 process 4712 2097152")
    reading = machine.read()
    assert reading == {
        "gpus": [
            {
                "index": 0,
                "uuid": uuid_of(0),
                "model": "NVIDIA H100 80GB HBM3",
                "memory_bytes": 80 << 30,
                "memory_used_bytes": 1 << 30,
                "compute_capability": "9.0",
                "utilisation_percent": 37,
                "temperature_celsius": 61,
                "power_milliwatts": 215_000,
                "processes": [
                    {"pid": 4711, "memory_bytes": 1 << 20, "container_id": container_id},
                    {"pid": 4712, "memory_bytes": 2 << 20, "container_id": ""},
                ],
                "vendor": "nvidia",
                "power_limit_milliwatts": 700_000,
                "throttle": [],
                "ecc_corrected": 2,
                "ecc_uncorrected": 0,
                "pci_address": "0000:01:00.0",
                "parent_uuid": "",
                "profile": "",
                "device_nodes": ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia0"],
            }
        ],
        "faults": [],
        "driver": "550.90.07",
        "cuda": "12.4",
        "note": "",
    }


def test_what_a_gpu_does_not_tell_is_none_and_not_a_guess(machine: Machine) -> None:
    machine.set(f"gpu 0 uuid {uuid_of(0)}", "gpu 0 name Old", "gpu 0 memory_total 1024")
    (gpu,) = machine.read()["gpus"]
    assert gpu["compute_capability"] == "0.0"
    unknown = (
        *("utilisation_percent", "temperature_celsius", "power_milliwatts"),
        *("power_limit_milliwatts", "ecc_corrected", "ecc_uncorrected"),
    )
    assert {gpu[name] for name in unknown} == {None}
    assert (gpu["pci_address"], gpu["device_nodes"], gpu["throttle"]) == ("", [], [])
    assert gpu["processes"] == [], "none is an answer"


def test_nonsense_is_not_passed_on(machine: Machine) -> None:
    # What NVML and broken drivers have been seen to return; akash support#137: 2**64 - 1 GPUs.
    nothing = str(2**32 - 1)
    machine.set(
        healthy(0, memory_used=str(2**63), utilisation="250", temperature=nothing, power=nothing),
        f"gpu 0 process 1 {2**64 - 1}",
    )
    (gpu,) = machine.read()["gpus"]
    assert gpu["memory_used_bytes"] == gpu["memory_bytes"]
    assert gpu["utilisation_percent"] == 100
    assert gpu["temperature_celsius"] is None
    assert gpu["power_milliwatts"] is None
    assert gpu["processes"] == [{"pid": 1, "memory_bytes": None, "container_id": ""}]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"memory_total": "0"}, "bad_memory"),
        ({"memory_total": str(2**64 - 1)}, "bad_memory"),
        ({"uuid": "GPU-1; rm -rf /"}, "bad_uuid"),
        ({"mig": "1"}, "mig_empty"),
        ({"error": f"nvmlDeviceGetUUID {NO_PERMISSION}"}, "unreadable"),
        ({"error": f"nvmlDeviceGetHandleByIndex_v2 {LOST}"}, "lost"),
        ({"error": f"nvmlDeviceGetTemperature {LOST}"}, "lost"),
        ({"error": f"nvmlDeviceGetMemoryInfo {RESET_REQUIRED}"}, "reset_required"),
    ],
)
def test_one_bad_gpu_does_not_hide_the_others(
    machine: Machine, changes: dict[str, str], code: str
) -> None:
    machine.set(healthy(0), healthy(1, **changes), healthy(2))
    reading = machine.read()
    assert [gpu["index"] for gpu in reading["gpus"]] == [0, 2]
    assert [(fault["index"], fault["code"]) for fault in reading["faults"]] == [(1, code)]


def test_two_gpus_with_one_uuid_are_one(machine: Machine) -> None:
    machine.set(healthy(0), healthy(1, uuid=uuid_of(0)))
    reading = machine.read()
    assert [gpu["index"] for gpu in reading["gpus"]] == [0]
    assert [fault["code"] for fault in reading["faults"]] == ["duplicate_uuid"]


def test_a_value_that_fails_costs_only_that_value(machine: Machine) -> None:
    machine.set(healthy(0, error=f"nvmlDeviceGetPowerUsage {NO_PERMISSION}"))
    (gpu,) = machine.read()["gpus"]
    assert gpu["power_milliwatts"] is None
    assert gpu["temperature_celsius"] == 61


def test_why_a_gpu_is_slow_is_told(machine: Machine) -> None:
    # nvml.h: software and hardware thermal slowdown, and the power brake.
    machine.set(healthy(0, throttle=hex(0x20 | 0x40 | 0x80)), healthy(1, throttle="0x3"))
    hot, idle = machine.read()["gpus"]
    assert hot["throttle"] == ["thermal", "power_brake"]
    assert idle["throttle"] == [], "it is idle, and somebody has set its clocks"


def test_a_gpu_that_its_owner_has_split_is_its_parts(machine: Machine) -> None:
    machine.set(
        healthy(0, mig="1"),
        part(0, 0, "3g.40gb", 40),
        part(0, 2, "1g.10gb", 10, process="4711 1048576"),
        healthy(1),
    )
    reading = machine.read()
    assert reading["faults"] == []
    large, small, whole = reading["gpus"]
    assert [unit["uuid"] for unit in reading["gpus"]] == [
        *(part_uuid_of(0, number) for number in (0, 2)),
        uuid_of(1),
    ]
    assert (large["profile"], small["profile"], whole["profile"]) == ("3g.40gb", "1g.10gb", "")
    assert small["model"] == "NVIDIA H100 80GB HBM3 MIG 1g.10gb"
    assert (small["memory_bytes"], small["compute_capability"]) == (10 << 30, "9.0")
    assert (small["parent_uuid"], whole["parent_uuid"]) == (uuid_of(0), "")
    assert [process["pid"] for process in small["processes"]] == [4711]
    assert large["processes"] == []
    assert small["utilisation_percent"] is None, "NVML does not tell it of a part"
    assert small["temperature_celsius"] == 61, "the whole's"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"uuid": "MIG-nonsense"}, "bad_uuid"),
        ({"memory_total": str(81 << 30)}, "bad_memory"),
        ({"error": f"nvmlDeviceGetUUID {NO_PERMISSION}"}, "unreadable"),
    ],
)
def test_one_bad_part_does_not_hide_the_others(
    machine: Machine, changes: dict[str, str], code: str
) -> None:
    machine.set(
        healthy(0, mig="1"), part(0, 0, "1g.10gb", 10, **changes), part(0, 1, "2g.20gb", 20)
    )
    reading = machine.read()
    assert [unit["profile"] for unit in reading["gpus"]] == ["2g.20gb"]
    assert [fault["code"] for fault in reading["faults"]] == [code]


def test_old_drivers_names_of_parts_are_taken(machine: Machine) -> None:
    old = f"MIG-{uuid_of(0)}/7/0"
    machine.set(healthy(0, mig="1"), part(0, 0, "1g.10gb", 10, uuid=old))
    assert [unit["uuid"] for unit in machine.read()["gpus"]] == [old]


def test_errors_are_reported_once_with_their_gpu(machine: Machine) -> None:
    machine.set(healthy(0), healthy(1))
    machine.read()
    assert machine.wait(0) == []
    machine.set(healthy(0), healthy(1), "event 1 1 79", "event 2 0 31")
    assert machine.wait(60_000) == [
        {"uuid": uuid_of(1), "xid": 79},
        {"uuid": uuid_of(0), "xid": 31},
    ]
    assert machine.wait(0) == []


def test_errors_of_a_gpu_that_was_put_in_are_reported_too(machine: Machine) -> None:
    machine.set(healthy(0))
    machine.read()
    machine.set(healthy(0), healthy(1))
    machine.read()
    machine.set(healthy(0), healthy(1), "event 1 1 48")
    assert machine.wait(60_000) == [{"uuid": uuid_of(1), "xid": 48}]


@pytest.mark.parametrize(
    "broken", ["error nvmlEventSetCreate 3", "gpu 0 error nvmlDeviceRegisterEvents 3"]
)
def test_a_driver_that_cannot_report_is_not_waited_for(machine: Machine, broken: str) -> None:
    machine.set(healthy(0), broken, "event 1 0 79")
    assert len(machine.read()["gpus"]) == 1
    # It would wait for an hour.
    assert machine.wait(3_600_000) == []


def test_errors_that_are_nonsense_are_not_passed_on(machine: Machine) -> None:
    machine.set(healthy(0), "event 1 0 -1", "event 2 0 79")
    machine.read()
    assert machine.wait(60_000) == [{"uuid": uuid_of(0), "xid": 79}]


def test_gpus_come_and_go_while_the_node_runs(machine: Machine) -> None:
    machine.set(healthy(0), healthy(1))
    assert len(machine.read()["gpus"]) == 2
    machine.set(healthy(0))
    assert [gpu["index"] for gpu in machine.read()["gpus"]] == [0]
    machine.set(healthy(0, error=f"nvmlDeviceGetUUID {LOST}"))
    assert machine.read()["gpus"] == []
    machine.set(healthy(0, temperature="70"), healthy(1))
    assert [gpu["temperature_celsius"] for gpu in machine.read()["gpus"]] == [70, 61]


def test_a_driver_that_is_unloaded_and_loaded_again(machine: Machine) -> None:
    machine.set(healthy(0))
    assert len(machine.read()["gpus"]) == 1
    machine.unload_driver()
    reading = machine.read()
    assert reading["gpus"] == []
    assert "not loaded" in reading["note"]
    machine.set(healthy(0))
    assert len(machine.read()["gpus"]) == 1


def test_an_unknown_error_of_the_whole_library(machine: Machine) -> None:
    machine.set(healthy(0), f"error nvmlDeviceGetCount_v2 {UNKNOWN}")
    reading = machine.read()
    assert reading["gpus"] == []
    assert "CPU only" in reading["note"]
    machine.set(healthy(0))
    assert len(machine.read()["gpus"]) == 1


@pytest.mark.parametrize(("number", "words"), [(18, "rebooted"), (4, "no permission")])
def test_why_nvml_does_not_open_is_said(machine: Machine, number: int, words: str) -> None:
    machine.set(healthy(0), f"error nvmlInitWithFlags {number}")
    assert words in machine.read()["note"]


def test_a_driver_without_a_gpu(machine: Machine) -> None:
    machine.set()
    assert machine.read()["note"] == "the NVIDIA driver has no GPU"


def test_more_gpus_than_any_machine_has_are_not_believed(machine: Machine) -> None:
    machine.set(*(healthy(index) for index in range(70)))
    assert len(machine.read()["gpus"]) == 64


def test_the_kernels_own_list_is_compared(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "kernel" / "0000:01:00.0").mkdir(parents=True)
    machine.set(healthy(0))
    assert machine.read()["note"] == ""
    machine.set(healthy(0), healthy(1))
    assert machine.read()["note"] == "the kernel drives 1 GPUs and NVML shows 2: look at dmesg"


def test_a_machine_without_the_library_is_said_to_be_cpu_only(tmp_path: Path) -> None:
    machine = Machine(None, tmp_path)
    reading = machine.read()
    machine.close()
    assert reading["gpus"] == reading["faults"] == []
    assert reading["note"] == "no NVIDIA driver on this machine: CPU only"
