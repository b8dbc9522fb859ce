"""An owner pauses, stops and drains a node whose job runs on through all of it and is paid."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from acceptance.network import Devnet, until
from acceptance.test_preemptible import inputs_of
from neurogrid_node.__main__ import main
from neurogrid_node.status import read_status

pytestmark = [pytest.mark.processes, pytest.mark.engine]

# Runs until the test says so.
JOB = "until [ -e /inputs/go ]; do sleep 0.1; done; echo done > /outputs/answer"


def test_a_job_runs_on_while_its_node_is_paused_and_stopped_and_is_the_last_of_a_drain(
    devnet: Devnet,
) -> None:
    devnet.until_idle()
    task = devnet.submit("sh", "-c", JOB, timeout_seconds=600)
    task = devnet.until_phase(task.id, "running")
    name = devnet.node_name(task.node_id)
    data = next(node.data for node in devnet.network.nodes if node.name == name)

    def typed(*arguments: str) -> str:
        result = CliRunner().invoke(main, [*arguments, "--data", data])
        assert result.exit_code == 0, result.output
        return result.output

    def accepting() -> bool:
        nodes = devnet.client.nodes.list().nodes
        return next(node for node in nodes if node.id == task.node_id).status == "online"

    assert "paused since" in typed("pause")
    until(lambda: not accepting(), "the coordinator knows that it is paused")
    before = devnet.pid(name)
    assert "The node has ended; " in typed("stop")
    devnet.until_restarted(name, before)
    refused = devnet.submit("true", where=f"node.id = {task.node_id}", wait_for_node=True)
    devnet.until_phase(refused.id, "queued")

    until(lambda: read_status(Path(data)), "the node is back")
    assert "paused since" in typed("status")
    typed("resume")
    assert devnet.until_settled(refused.id).status == "completed"

    # The other's lease may still wait for the last word on its money.
    assert "left, then it ends" in typed("drain", "--exit")
    before = devnet.pid(name)
    (inputs_of(devnet, task) / "go").touch()
    done = devnet.until_settled(task.id)
    assert (done.status, done.leases[-1].id) == ("completed", task.leases[-1].id)
    # It has ended; the devnet starts it again, as systemd might.
    devnet.until_restarted(name, before)
