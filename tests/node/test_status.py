import json
import os
import re
import subprocess
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from neurogrid_node.__main__ import main
from neurogrid_node.machine.fitness import Withheld
from neurogrid_node.machine.gpu_state import GpuFault, GpuProcess, GpuState
from neurogrid_node.machine.history import HOUR_MS, MINUTE_MS, History, Sample
from neurogrid_node.machine.host import Disk, Host, NetworkLink
from neurogrid_node.machine.inventory import Inventory
from neurogrid_node.machine.proofs import Proof
from neurogrid_node.market.intake import OPEN, Word, drain, pause
from neurogrid_node.market.ledger_check import Mended
from neurogrid_node.status import (
    FILE_NAME,
    CoordinatorStatus,
    LeaseLine,
    NodeStatus,
    read_status,
    write_status,
)
from node.market import COORDINATOR, LEASE, NODE, NOW_MS, WALLET

GIB = 1 << 30
L4 = GpuState(
    *(0, "GPU-1", "NVIDIA L4", 24 * GIB, 6 * GIB, "8.9", 97, 88, 71_000),
    (GpuProcess(4711, 5 * GIB, "c0" * 32), GpuProcess(4712, None)),
    power_limit_milliwatts=72_000,
    throttle=("thermal",),
    ecc_uncorrected=2,
)
MACHINE = Inventory(
    *(4, 8 * GIB, 100 * GIB),
    gpus=(L4,),
    gpu_faults=(GpuFault(1, "", "lost", "it fell off the bus"),),
    driver="550.90.07",
    cuda="12.4",
    withheld=(Withheld("GPU-9", "xid", "XID 79", 0, 0),),
)
HOST = Host(
    *("AMD EPYC 7302", 16, 32, 2, 64 * GIB, 32 * GIB),
    disks=(Disk("/", "/dev/nvme0n1p1", "nvme", "ext4", 100 * GIB, 40 * GIB),),
    links=(NetworkLink("eth0", is_up=True, mbit_per_s=10_000),),
)


def status() -> NodeStatus:
    return NodeStatus(
        pid=os.getpid(),
        peer_id=NODE,
        wallet=WALLET,
        region="eu",
        summary="4 cores",
        accepting=True,
        word=OPEN,
        no_new_work="",
        staked_micro_usdc=10_000_000,
        stake_problem="",
        earnings_differ=(),
        earned_micro_usdc=1_234,
        leases_paid=2,
        cpu_millis_free=3_500,
        cpu_millis_total=4_000,
        memory_bytes_free=2**30,
        memory_bytes_total=2**31,
        gpus=("NVIDIA L4",),
        inventory=MACHINE,
        reached_at=("/ip4/192.0.2.7/tcp/4002",),
        unproved=(
            Proof("gangs", 0, "GANGS_UNPROVED", "no /dev/net/tun", 1, 1_800_000_000_000),
            Proof("egress", 0, "NOT_CHECKED", "not proved yet", 0, 0),
        ),
        host=HOST,
        mended=(Mended(1_800_000_000_000, "container_without_lease", LEASE),),
        coordinators=(CoordinatorStatus(COORDINATOR, connected=False, found_by="mdns"),),
        leases=(
            LeaseLine(
                *(LEASE, "running", 12_340, 420, 25_000, 7, 1_800_000_000_000),
                image="python:3.12",
                coordinator=COORDINATOR,
                since_ms=NOW_MS,
                gpus=("GPU-1",),
            ),
        ),
        updated_at_ms=time.time_ns() // 1_000_000,
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_status(tmp_path, status())
    write_status(tmp_path, replace(status(), accepting=False))
    document = read_status(tmp_path)
    assert document is not None
    assert document["accepting"] is False
    assert document["leases"] == json.loads(json.dumps([asdict(status().leases[0])]))
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "{}", '{"pid": "x", "updated_at_ms": 0}'])
def test_a_damaged_file_is_no_daemon(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    assert read_status(tmp_path) is None


def test_a_daemon_that_is_gone_is_not_shown(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    write_status(tmp_path, replace(status(), pid=gone.pid))
    assert read_status(tmp_path) is None
    # Its number may be another process's by now: the file's age tells.
    write_status(tmp_path, replace(status(), updated_at_ms=status().updated_at_ms - 61_000))
    assert read_status(tmp_path) is None


def test_the_command_shows_it_to_people_and_to_programs(tmp_path: Path) -> None:
    write_status(tmp_path, status())
    shown = CliRunner().invoke(main, ["status", "--data", str(tmp_path)])
    assert shown.exit_code == 0
    for part in (NODE, "accepting work", "10.00 USDC staked", "0.001234 USDC earned in 2 leases"):
        assert part in shown.output
    assert "3.5 of 4 cores, 1.0 of 2.0 GiB" in shown.output
    assert f"{LEASE} running, 12.3 s metered, reclaimed: stopped at " in shown.output
    as_json = CliRunner().invoke(main, ["status", "--json", "--data", str(tmp_path)])
    assert json.loads(as_json.output)["peer_id"] == NODE


def test_gpus_and_what_is_wrong_with_any_are_shown(tmp_path: Path) -> None:
    write_status(tmp_path, status())
    shown = CliRunner().invoke(main, ["status", "--data", str(tmp_path)]).output
    assert (
        "gpu       NVIDIA L4 GPU-1, 6.0 of 24.0 GiB, 97 % busy, 88 °C, 71 of 72 W, "
        "slowed down: thermal, 2 uncorrected memory errors" in shown
    )
    assert "not offered: 1: it fell off the bus (lost)" in shown
    assert "withheld: GPU-9: XID 79 (xid" in shown
    assert f"mended    container_without_lease of {LEASE}" in shown
    assert (
        "unproved  gangs, so not offered: no /dev/net/tun (GANGS_UNPROVED, tried again at " in shown
    )
    assert "reached   at /ip4/192.0.2.7/tcp/4002" in shown
    assert "unproved  egress, so not offered: not proved yet (NOT_CHECKED)" in shown


def test_the_inventory_of_a_running_node_is_what_it_has_read(tmp_path: Path) -> None:
    write_status(tmp_path, status())
    shown = CliRunner().invoke(main, ["inventory", "--data", str(tmp_path)]).output
    for line in (
        "processor AMD EPYC 7302: 16 cores, 32 threads, 2 NUMA nodes",
        "memory    64.0 GiB, 8.0 for jobs, 32.0 available now",
        "disk      / ext4 nvme: 40 of 100 GiB free",
        "network   eth0 up, 10000 Mbit/s",
        "driver    550.90.07, CUDA 12.4",
        "          pid 4711 in container c0c0c0c0c0c0, 5.0 GiB",
        "          pid 4712 in no container",
    ):
        assert line in shown
    as_json = CliRunner().invoke(main, ["inventory", "--json", "--data", str(tmp_path)]).output
    document = json.loads(as_json)
    assert document["running"] is True
    assert document["machine"]["gpus"][0]["uuid"] == "GPU-1"


def test_the_inventory_without_a_node_is_read_there_and_then(tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["inventory", "--data", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert "No node runs here" in shown.output
    as_json = CliRunner().invoke(main, ["inventory", "--json", "--data", str(tmp_path)]).output
    assert json.loads(as_json)["running"] is False


def test_the_history_is_shown_to_people_and_to_programs(tmp_path: Path) -> None:
    nothing = CliRunner().invoke(main, ["inventory", "--history", "--data", str(tmp_path)])
    assert "Nothing is known yet" in nothing.output
    now_ms = time.time_ns() // 1_000_000
    minutes = [
        Sample("GPU-1", now_ms - age * MINUTE_MS, 12, 100.0, 7, 81, 70_000) for age in (1, 5, 90)
    ]
    History(tmp_path / "history.db").add([*minutes, replace(minutes[0], unit="MIG-2")], now_ms)
    shown = CliRunner().invoke(
        main, ["inventory", "--history", "--hours", "4", "--data", str(tmp_path)]
    )
    lines = shown.output.splitlines()
    assert lines[0].startswith("GPU-1")
    assert lines[0].endswith("|··██| 100 % busy, at most 81 °C")
    for hours, width_ms in ((4, MINUTE_MS), (48, HOUR_MS)):
        asked = ["inventory", "--history", "--json", "--hours", str(hours), "--data", str(tmp_path)]
        document = json.loads(CliRunner().invoke(main, asked).output)
        assert document["width_ms"] == width_ms
        assert {sample["unit"] for sample in document["samples"]} == {"GPU-1", "MIG-2"}


@pytest.mark.parametrize(
    ("word", "refusal", "shown"),
    [
        (pause(NOW_MS, None), "paused", r"paused since 20\d\d-\S+ \S+; 1 job running"),
        (pause(NOW_MS, 3600), "paused", r"paused since .* until .*; 1 job running"),
        (
            drain(OPEN, NOW_MS, exits=True),
            "draining",
            r"draining since .*: 1 job left, then it ends",
        ),
        (OPEN, "no stake in place", "not accepting work: no stake in place"),
        (pause(NOW_MS, None), "stopping", "not accepting work: stopping"),
    ],
)
def test_why_no_new_work_is_taken_is_shown(
    tmp_path: Path, word: Word, refusal: str, shown: str
) -> None:
    write_status(tmp_path, replace(status(), accepting=False, word=word, no_new_work=refusal))
    (first, *_) = CliRunner().invoke(main, ["status", "--data", str(tmp_path)]).output.splitlines()
    assert re.search(rf"\({shown}\)$", first), first
    document = read_status(tmp_path)
    assert document is not None
    assert document["word"] == asdict(word)


def test_why_the_stake_lets_no_work_in_is_shown(tmp_path: Path) -> None:
    write_status(tmp_path, replace(status(), accepting=False, stake_problem="stake 5.00 more"))
    shown = CliRunner().invoke(main, ["status", "--data", str(tmp_path)])
    assert "no new work: stake 5.00 more" in shown.output


def test_running_jobs_are_listed_with_what_they_have_and_earn(tmp_path: Path) -> None:
    assert CliRunner().invoke(main, ["jobs", "--data", str(tmp_path)]).exit_code == 3
    write_status(tmp_path, status())
    shown = CliRunner().invoke(main, ["jobs", "--data", str(tmp_path)]).output
    assert shown.startswith(f"{LEASE} python:3.12: running since 20")
    assert "12 s at 0.025 USDC per hour, GPU-1, 0.000007 USDC promised" in shown
    as_json = CliRunner().invoke(main, ["jobs", "--json", "--data", str(tmp_path)]).output
    assert json.loads(as_json)[0]["image"] == "python:3.12"
    write_status(tmp_path, replace(status(), leases=()))
    assert "No job is here" in CliRunner().invoke(main, ["jobs", "--data", str(tmp_path)]).output


def test_without_a_daemon_the_command_says_so(tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["status", "--data", str(tmp_path)])
    assert (shown.exit_code, "no node runs on" in shown.output) == (3, True)
    as_json = CliRunner().invoke(main, ["status", "--json", "--data", str(tmp_path)])
    assert (as_json.exit_code, as_json.output) == (3, "null\n")


@pytest.mark.parametrize("command", [["status"], ["jobs"], ["top", "--once"]])
def test_a_node_that_is_older_than_the_command_is_named(tmp_path: Path, command: list[str]) -> None:
    write_status(tmp_path, status())
    document = json.loads((tmp_path / FILE_NAME).read_text())
    del document["word"]
    (tmp_path / FILE_NAME).write_text(json.dumps(document))
    shown = CliRunner().invoke(main, [*command, "--data", str(tmp_path)])
    assert (shown.exit_code, "is older than this command" in shown.output) == (2, True)
