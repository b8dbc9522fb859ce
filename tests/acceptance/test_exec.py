"""A command and a shell beside a running job, through everything, while everything between is killed."""

import subprocess
import sys

import pytest

from acceptance.network import PATIENCE_S, Devnet, neurogrid, until
from neurogrid import CommandLost, NeuroGridError
from neurogrid.models import ExecResult

pytestmark = [pytest.mark.processes, pytest.mark.engine]

# Runs until a command beside it says so, and leaves what that has written.
JOB = "until [ -e /tmp/go ]; do sleep 0.1; done; cp /tmp/go /outputs/go"
PROCESSES = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; true"


def test_commands_run_beside_a_job_and_the_job_outlives_them_all(devnet: Devnet) -> None:
    devnet.until_idle()
    task = devnet.submit("sh", "-c", JOB, interactive=True, timeout_seconds=600)
    task = devnet.until_phase(task.id, "running")
    network = ("--network", str(devnet.data / "network.json"))

    typed = subprocess.run(
        (
            *(sys.executable, "-m", "neurogrid", "exec", *network, task.id, "--"),
            *("sh", "-c", "cat; id -u; echo wrong >&2; exit 7"),
        ),
        input=b"given\n",
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (typed.returncode, typed.stdout, typed.stderr) == (7, b"given\n65534\n", b"wrong\n")

    def again(*command: str) -> ExecResult:
        """Once everything is back."""

        def attempt() -> ExecResult | None:
            try:
                return devnet.client.tasks.exec(task.id, command)
            except NeuroGridError:
                return None

        result = until(attempt, "a command runs again")
        assert isinstance(result, ExecResult)
        return result

    for process in (devnet.node_name(task.node_id), "api"):
        with devnet.client.tasks.open_exec(task.id, ["sleep", "640"]) as command:
            before = devnet.kill(process)
            with pytest.raises(CommandLost):
                command.read()
        devnet.until_restarted(process, before)
        assert again("true").exit_code == 0
        until(
            lambda: b"sleep 640" not in again("sh", "-c", PROCESSES).stdout,
            f"the command was ended after the death of {process}",
        )
    assert again("sh", "-c", "echo done > /tmp/go").exit_code == 0
    task = devnet.until_settled(task.id)
    assert task.status == "completed"
    assert len([lease for lease in task.leases if lease.paid]) == 1, "one run, through all of that"
    refused = neurogrid("exec", *network, task.id, "true")
    assert refused.returncode == 8
    assert "does not run now" in refused.stderr
