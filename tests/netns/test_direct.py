"""A client without a coordinator, behind a NAT, and a node behind another: `neurogrid submit --direct`."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.network import JOB_IMAGE, until
from netns.market import OFFICE, World
from netns.topology import command_in

pytestmark = [pytest.mark.processes, pytest.mark.engine, pytest.mark.namespaces]

# Far beyond what anything here takes, for what hangs.
_LIMIT_S = 240
# More than a window and more than one frame.
_INPUT = os.urandom(3_000_000)


class Desk:
    """The client's machine, as a person types there."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._folder = folder
        self.own = folder / "own"
        self.results = folder / "results"
        (folder / "data.bin").write_bytes(_INPUT)

    def command(self, *job: str) -> list[str]:
        """The command that submits a job."""
        return command_in(
            OFFICE,
            *(sys.executable, "-m", "neurogrid", "submit", JOB_IMAGE, "--direct"),
            *("--node", self._world.node_address, "--chain", str(self._world.chain_file)),
            *("--wallet", str(self._world.direct_wallet), "--direct-data", str(self.own)),
            *("--cpu", "0.2", "--ram", "0.1", "--storage", "0.05", "--max-price", "1.00"),
            *("-i", str(self._folder / "data.bin"), "-o", str(self.results), "--", *job),
        )

    def submit(self, *job: str) -> "subprocess.CompletedProcess[str]":
        """Submit a job and stay to its end."""
        return subprocess.run(
            self.command(*job), capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )

    def leave(self) -> None:
        """End what a failed test leaves running."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)

    @property
    def pid(self) -> int:
        """Of the client's own coordinator; 0 while none runs."""
        try:
            return int(json.loads((self.own / "coordinator.json").read_text())["api_pid"])
        except (FileNotFoundError, ValueError):
            return 0


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Iterator[Desk]:
    """A client's machine; nothing runs there yet."""
    desk = Desk(world, tmp_path)
    yield desk
    desk.leave()


def verified(receipt: Path) -> dict[str, object]:
    """What `neurogrid verify` says of a receipt."""
    done = subprocess.run(
        [sys.executable, "-m", "neurogrid", "verify", str(receipt), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_job_runs_with_no_coordinator_anywhere(world: World, desk: Desk) -> None:
    before = world.earned_micro_usdc()
    done = desk.submit("sh", "-c", "echo hello; sha256sum /inputs/data.bin > /outputs/sum; sleep 2")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "hello\n"
    digest = hashlib.sha256(_INPUT).hexdigest()
    assert (desk.results / "sum").read_text().split()[0] == digest
    (receipt,) = (desk.own / "receipts").iterdir()
    assert verified(receipt)["valid"] is True
    assert str(receipt) in done.stderr
    assert world.earned_micro_usdc() > before
    # Nothing is left running, and nothing is left to be gone on with.
    assert desk.pid == 0
    assert list((desk.own / "undertakings").iterdir()) == []


def test_what_is_killed_and_typed_again_goes_on(desk: Desk) -> None:
    job = ("sh", "-c", "echo begun; sleep 8; echo done; cp /inputs/data.bin /outputs/")
    with subprocess.Popen(
        desk.command(*job), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout is not None, "asked for"
        assert run.stdout.readline() == b"begun\n"
        run.kill()
    os.kill(desk.pid, signal.SIGKILL)
    done = desk.submit(*job)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "begun\ndone\n"
    assert (desk.results / "data.bin").read_bytes() == _INPUT
    # One task, run once.
    (receipt,) = (desk.own / "receipts").iterdir()
    assert verified(receipt)["valid"] is True
    until(lambda: desk.pid == 0, "its own coordinator has ended")


def test_a_coordinator_that_cannot_start_says_why(desk: Desk, tmp_path: Path) -> None:
    command = desk.command("true")
    command[command.index("--chain") + 1] = str(tmp_path / "data.bin")
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    assert done.returncode != 0
    assert "your own coordinator does not start" in done.stderr
    assert "data.bin" in done.stderr
