"""The owner's commands, typed beside a node in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result

from neurogrid_node.__main__ import main
from neurogrid_node.control.socket_file import SOCKET_NAME
from neurogrid_node.journal import Journal
from neurogrid_node.market.intake import Mode
from node.market import LEASE
from node.owner_process import lease_in

TESTS = Path(__file__).parent.parent
PATIENCE_S = 60


@dataclass
class Node:
    """The process, and commands beside it."""

    directory: Path
    process: "subprocess.Popen[str]"

    def types(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, [*arguments, "--data", str(self.directory)])

    def json(self, *arguments: str) -> dict[str, object]:
        result = self.types(*arguments, "--json")
        assert result.exit_code == 0, result.output
        document = json.loads(result.output)
        assert isinstance(document, dict)
        return document

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ends(self) -> int:
        return self.process.wait(PATIENCE_S)


@contextmanager
def running(directory: Path) -> Iterator[Node]:
    with subprocess.Popen(
        [sys.executable, "-m", "node.owner_process", str(directory)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
    ) as process:
        node = Node(directory, process)
        try:
            assert node.says() == "up"
            yield node
        finally:
            process.kill()


def test_a_pause_survives_kill_9_and_a_second_signal_ends_a_node_that_says_goodbye(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as node:
        assert "accepting work" in node.types("resume").output
        paused = node.json("pause", "--for", "2h")
        assert (paused["accepting"], paused["no_new_work"]) == (False, "paused")
        node.process.kill()
        node.ends()
    # What it has left is in nobody's way.
    assert (tmp_path / SOCKET_NAME).is_socket()
    gone = node.types("pause")
    assert gone.exit_code == 3
    assert "no node runs on" in gone.output
    (tmp_path / "lingers").touch()
    with running(tmp_path) as node:
        assert (tmp_path / SOCKET_NAME).stat().st_mode & 0o777 == 0o600
        assert node.types("drain", "--timeout", "1s").exit_code == 2
        late = node.types("stop", "--timeout", "1s")
        assert late.exit_code == 4
        assert "has not ended yet" in late.output
        assert node.says() == "goodbye"
        again = node.json("drain")
        assert again["no_new_work"] == "stopping"
        node.process.send_signal(signal.SIGINT)
        assert node.ends() == -signal.SIGINT
    journal = Journal(tmp_path / "journal.db")
    assert journal.word().mode is Mode.DRAINING
    journal.close()


def test_one_job_is_reclaimed_and_the_node_ends_when_it_has_drained(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    lease_in(journal)
    journal.close()
    with running(tmp_path) as node:
        assert node.json("reclaim", LEASE) == {"reclaimed": [LEASE]}
        assert node.json("reclaim", LEASE) == {"reclaimed": [LEASE]}
        assert node.json("reclaim", "--all") == {"reclaimed": []}
        unknown = node.types("reclaim", "lease_" + "9" * 32)
        assert unknown.exit_code == 2
        assert "no lease lease_9999" in unknown.output
        assert node.types("reclaim", "../journal.db").exit_code == 2

        late = node.types("drain", "--wait", "--timeout", "1s")
        assert late.exit_code == 4
        assert "has not answered within 1 s" in late.output
        assert "1 job left, then it ends" in node.types("drain", "--exit").output
        assert "1 job left" in node.types("drain").output
        (tmp_path / "done").touch()
        drained = node.json("drain", "--wait")
        assert (drained["drained"], drained["leases"]) == (True, 0)
        shown = node.types("jobs", "--past").output
        assert shown.startswith(f"{LEASE} (its job never came): never ran, over 20"), shown
        assert "1.50 USDC earned" in shown
        past = json.loads(node.types("jobs", "--past", "--json").output)
        assert [row["lease_id"] for row in past] == [LEASE]
        assert "The node has ended." in node.types("drain", "--wait", "--exit").output
        assert node.says() == "goodbye"
        assert node.ends() == 0
    assert not (tmp_path / SOCKET_NAME).exists()
