"""A preemptible job gives way to an ordinary one, after its window, and completes elsewhere."""

import subprocess
import sys
from pathlib import Path

import pytest

from acceptance.network import Devnet, neurogrid, until
from neurogrid.models import LeaseInfo, Task

pytestmark = [pytest.mark.processes, pytest.mark.engine]

# Fills a node.
NEEDS = {"cpu_cores": 2, "ram_gb": 0.2, "storage_gb": 0.05}
# Runs until the test says so, and notices that it is to go.
SPOT_JOB = """
while [ ! -e /inputs/go ]; do
    if [ -e "$NEUROGRID_RECLAIM_FILE" ] && [ ! -e /tmp/told ]; then
        echo "warned for $NEUROGRID_RECLAIM_WINDOW_S s"
        touch /tmp/told
    fi
    sleep 0.2
done
echo done > /outputs/answer
"""


def inputs_of(devnet: Devnet, task: Task) -> Path:
    """Where the running job's input files are on this machine."""
    (found,) = devnet.data.glob(f"nodes/*/workspaces/{task.leases[-1].id}/inputs")
    return found


def paid_leases(task: Task) -> list[LeaseInfo]:
    """Those of its leases that ran: an award that was answered late leaves an unpaid one."""
    return [lease for lease in task.leases if lease.paid]


def submitted(devnet: Devnet) -> Task:
    """A preemptible job that fills a node and runs."""
    spot = devnet.submit(
        *("sh", "-c", SPOT_JOB),
        resource_requirements=NEEDS,
        preemptible=True,
        timeout_seconds=600,
    )
    return devnet.until_phase(spot.id, "running")


def until_runs_again(devnet: Devnet, task_id: str) -> Task:
    """The task in its run after the one that was reclaimed."""

    def look() -> Task | None:
        task = devnet.client.tasks.get(task_id)
        return task if task.phase == "running" and task.preemptions == 1 else None

    task = until(look, "the preemptible job runs again")
    assert isinstance(task, Task)
    return task


def test_an_ordinary_job_takes_a_preemptible_ones_place_and_both_are_paid_exactly(
    devnet: Devnet, tmp_path: Path
) -> None:
    devnet.until_idle()
    before = devnet.until_nothing_owed()
    spot = submitted(devnet)
    first = spot.node_id
    ordinary = devnet.submit(
        *("echo", "mine"), resource_requirements=NEEDS, where=f"node.id = {first}"
    )

    spot = until_runs_again(devnet, spot.id)
    (inputs_of(devnet, spot) / "go").touch()
    spot, ordinary = devnet.until_settled(spot.id), devnet.until_settled(ordinary.id)
    assert (spot.status, ordinary.status) == ("completed", "completed")
    assert ordinary.node_id == first
    assert [output.path for output in devnet.client.tasks.outputs(spot.id)] == ["answer"]

    one, two = paid_leases(spot)
    log = devnet.http.get(f"/tasks/{spot.id}/logs", params={"lease_id": one.id, "offset": 0})
    assert "warned for 5 s" in log.text
    names = [entry.event for entry in spot.timeline]
    assert names.count("task.reclaimed") == 1
    reclaimed = names.index("task.reclaimed")
    assert "task.queued" in names[reclaimed:]
    assert "task.completed" in names[reclaimed:]
    # It had its window, it was cheaper, and it is paid for all that it ran.
    assert one.paid is not None
    assert two.paid is not None
    assert one.paid >= one.price_per_hour * 5 / 3600
    assert spot.cost == one.paid + two.paid
    assert ordinary.price_per_hour is not None
    assert one.price_per_hour < ordinary.price_per_hour
    after = devnet.ledger.money()
    spent = before.available + before.locked - after.available - after.locked
    (lease,) = paid_leases(ordinary)
    assert lease.paid is not None
    assert lease.paid == ordinary.cost
    assert spent == int((one.paid + two.paid + lease.paid) * 1_000_000)
    for number, each in enumerate((one, two)):
        receipt = tmp_path / f"receipt-{number}.json"
        receipt.write_bytes(devnet.client.tasks.receipt(spot.id, lease_id=each.id))
        checked = neurogrid("verify", str(receipt))
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert ("warned the job" in checked.stdout) is (number == 0)


def test_an_owner_takes_the_machine_back_by_hand(devnet: Devnet) -> None:
    devnet.until_idle()
    spot = submitted(devnet)
    data = next(node.data for node in devnet.network.nodes if node.peer_id == spot.node_id)
    first = spot.leases[-1]
    command = (sys.executable, "-m", "neurogrid_node", "reclaim", first.id)
    asked = subprocess.run((*command, "--data", data), capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    spot = until_runs_again(devnet, spot.id)
    assert spot.node_id != first.node_id
    (inputs_of(devnet, spot) / "go").touch()
    spot = devnet.until_settled(spot.id)
    assert (spot.status, spot.preemptions) == ("completed", 1)
    assert spot.cost == sum(lease.paid or 0 for lease in spot.leases)
