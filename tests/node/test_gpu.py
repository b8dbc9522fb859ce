"""GPUs read through the real pynvml from a simulated NVML, whole and broken."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nvml_sim.machine import Machine, build, healthy, uuid_of

LOST, RESET_REQUIRED, NO_PERMISSION, UNKNOWN = 15, 16, 4, 999


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def machine(library: Path, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(library, tmp_path)
    yield made
    made.close()


def test_a_healthy_gpu_tells_everything(machine: Machine) -> None:
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
                    {"pid": 4711, "memory_bytes": 1 << 20},
                    {"pid": 4712, "memory_bytes": 2 << 20},
                ],
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
    unknown = ("utilisation_percent", "temperature_celsius", "power_milliwatts")
    assert [gpu[name] for name in unknown] == [None] * 3
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
    assert gpu["processes"] == [{"pid": 1, "memory_bytes": None}]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"memory_total": "0"}, "bad_memory"),
        ({"memory_total": str(2**64 - 1)}, "bad_memory"),
        ({"uuid": "GPU-1; rm -rf /"}, "bad_uuid"),
        ({"mig": "1"}, "mig_enabled"),
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
