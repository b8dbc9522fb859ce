import json
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from neurogrid_node.__main__ import main
from neurogrid_node.status import (
    FILE_NAME,
    CoordinatorStatus,
    LeaseLine,
    NodeStatus,
    read_status,
    write_status,
)
from node.market import COORDINATOR, LEASE, NODE, WALLET


def status() -> NodeStatus:
    return NodeStatus(
        pid=os.getpid(),
        peer_id=NODE,
        wallet=WALLET,
        region="eu",
        summary="4 cores",
        accepting=True,
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
        coordinators=(CoordinatorStatus(COORDINATOR, connected=False, found_by="mdns"),),
        leases=(LeaseLine(LEASE, "running", 12_340, 420, 25_000, 7, 1_800_000_000_000),),
        updated_at_ms=time.time_ns() // 1_000_000,
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_status(tmp_path, status())
    write_status(tmp_path, replace(status(), accepting=False))
    document = read_status(tmp_path)
    assert document is not None
    assert document["accepting"] is False
    assert document["leases"] == [
        {
            "lease_id": LEASE,
            "phase": "running",
            "metered_ms": 12_340,
            "progress_permille": 420,
            "price_micro_usdc_per_hour": 25_000,
            "voucher_micro_usdc": 7,
            "stops_at_ms": 1_800_000_000_000,
        }
    ]
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


def test_why_the_stake_lets_no_work_in_is_shown(tmp_path: Path) -> None:
    write_status(tmp_path, replace(status(), accepting=False, stake_problem="stake 5.00 more"))
    shown = CliRunner().invoke(main, ["status", "--data", str(tmp_path)])
    assert "no new work: stake 5.00 more" in shown.output


def test_without_a_daemon_the_command_says_so(tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["status", "--data", str(tmp_path)])
    assert (shown.exit_code, "No node runs on" in shown.output) == (3, True)
    as_json = CliRunner().invoke(main, ["status", "--json", "--data", str(tmp_path)])
    assert (as_json.exit_code, as_json.output) == (3, "null\n")
