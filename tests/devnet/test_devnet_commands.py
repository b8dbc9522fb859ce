"""The commands where no devnet runs: quick, and clear about it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from neurogrid_devnet.commands import devnet
from neurogrid_devnet.layout import Layout, Settings


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A devnet that was stopped."""
    layout = Layout(tmp_path / "D")
    layout.make_folders()
    layout.write_settings(Settings(2, 20_000, 20_002, 20_003))
    layout.log("node-1").write_text("one\ntwo\n")
    layout.log("ledger").write_text("ready\n")
    return layout.root


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, neurogrid_devnet.commands; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    packages = {name.partition(".")[0] for name in run.stdout.split()}
    assert not packages & {"trio", "solders", "docker", "rich", "msgspec", "httpx", "psutil"}


def test_down_where_nothing_runs_is_no_error(tmp_path: Path) -> None:
    run = CliRunner().invoke(devnet, ["down", "--data", str(tmp_path / "none")])
    assert (run.exit_code, run.output) == (0, f"nothing runs in {tmp_path / 'none'}\n")
    assert not (tmp_path / "none").exists()


def test_status_of_nothing_is_exit_code_3(stopped: Path) -> None:
    run = CliRunner().invoke(devnet, ["status", "--data", str(stopped)])
    assert run.exit_code == 3
    assert f"no devnet runs in {stopped}" in run.output
    run = CliRunner().invoke(devnet, ["status", "--json", "--data", str(stopped)])
    assert run.exit_code == 3
    assert json.loads(run.stdout) == {"running": False, "data": str(stopped)}


@pytest.mark.parametrize("command", ["lose node-1", "restore node-1", "warp 5", f"fund {'1' * 32}"])
def test_nothing_is_lost_or_moved_where_nothing_runs(stopped: Path, command: str) -> None:
    run = CliRunner().invoke(devnet, [*command.split(), "--data", str(stopped)])
    assert run.exit_code == 3
    assert "neurogrid devnet up" in run.output


def test_logs_are_shown_together_or_one_by_one(stopped: Path) -> None:
    both = CliRunner().invoke(devnet, ["logs", "--data", str(stopped)])
    assert both.output.split("\n") == [
        "ledger       ready",
        "node-1       one",
        "node-1       two",
        "",
    ]
    one = CliRunner().invoke(devnet, ["logs", "node-1", "-n", "1", "--data", str(stopped)])
    assert one.output == "two\n"


def test_a_log_that_does_not_exist_is_told_from_those_that_do(stopped: Path) -> None:
    run = CliRunner().invoke(devnet, ["logs", "node-7", "--data", str(stopped)])
    assert run.exit_code == 1
    assert "ledger, coordinator, node-1, node-2, supervisor" in run.output


def test_up_refuses_a_directory_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    run = CliRunner().invoke(devnet, ["up", "--data", str(tmp_path)])
    assert run.exit_code == 1
    assert "thesis.tex" in run.output
    assert list(tmp_path.iterdir()) == [tmp_path / "thesis.tex"]


def test_up_refuses_a_market_that_can_not_be(tmp_path: Path) -> None:
    run = CliRunner().invoke(devnet, ["up", "--unbonding-s", "20", "--data", str(tmp_path / "D")])
    assert run.exit_code == 1
    assert "raise --unbonding-s" in run.output
