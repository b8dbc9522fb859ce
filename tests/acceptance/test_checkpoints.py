"""A job whose node takes its machine back goes on elsewhere from what it had done, and both runs are paid exactly."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from acceptance.network import Devnet, neurogrid
from acceptance.test_preemptible import paid_leases

pytestmark = [pytest.mark.processes, pytest.mark.engine]

# Adds up 1 to 20, and keeps how far it is. Its first run stops in the middle and waits.
COUNTING = """
set -e
cd "$NEUROGRID_CHECKPOINT"
n=0 sum=0
[ -e state/now ] && read n sum < state/now
echo "begins after $n, resumed $NEUROGRID_CHECKPOINT_RESUMED"
mkdir -p state
while [ $n -lt 20 ]; do
    n=$((n + 1)) sum=$((sum + n))
    echo "$n $sum" > state/new.tmp
    mv state/new.tmp state/now
    if [ $n = 10 ]; then
        echo NEUROGRID_CHECKPOINT
        while true; do sleep 0.1; done
    fi
done
echo $sum > /outputs/sum
"""


def test_a_job_goes_on_elsewhere_from_its_checkpoint_and_each_run_is_paid_exactly(
    devnet: Devnet, tmp_path: Path
) -> None:
    devnet.until_idle()
    before = devnet.until_nothing_owed()
    task = devnet.submit(
        *("sh", "-c", COUNTING),
        preemptible=True,
        checkpoint={"interval_seconds": 600, "keep": 2},
        timeout_seconds=600,
    )
    task = devnet.until_phase(task.id, "running")
    first = task.leases[-1]
    data = next(node.data for node in devnet.network.nodes if node.peer_id == first.node_id)
    command = (sys.executable, "-m", "neurogrid_node", "reclaim", first.id)
    asked = subprocess.run((*command, "--data", data), capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr

    # Its second run needs a moment, so it is not waited for in a phase that it may have left.
    task = devnet.until_settled(task.id)
    assert (task.status, task.preemptions) == ("completed", 1), task.error
    one, two = paid_leases(task)
    assert one.id == first.id
    assert two.node_id != one.node_id
    assert [output.path for output in devnet.client.tasks.outputs(task.id)] == ["sum"]
    devnet.client.tasks.download(task.id, tmp_path)
    assert (tmp_path / "sum").read_text() == "210\n"

    # The second run began where the first had come to, and says so, and so does what was signed.
    assert one.resumed_from is None
    assert two.resumed_from == task.checkpoints[-1].sequence
    assert task.checkpoints[-1].lease_id == one.id
    log = devnet.client.tasks.get_logs(task.id)
    assert f"begins after 10, resumed {two.resumed_from}" in log
    spent = before.available + before.locked
    after = devnet.ledger.money()
    spent -= after.available + after.locked
    assert one.paid is not None
    assert two.paid is not None
    assert task.cost == one.paid + two.paid
    assert spent == int(task.cost * 1_000_000)
    manifest = task.checkpoints[-1].manifest_sha256
    for lease, words in ((one, "as what the run has kept"), (two, "that the job began from")):
        receipt = tmp_path / f"{lease.id}.json"
        receipt.write_bytes(devnet.client.tasks.receipt(task.id, lease_id=lease.id))
        checked = neurogrid("verify", str(receipt))
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert words in checked.stdout
        assert manifest in checked.stdout

    # What was kept can be had, and another task begins from it.
    network = ("--network", str(devnet.data / "network.json"))
    listed = neurogrid("checkpoints", task.id, "--json", *network)
    assert [each["sequence"] for each in json.loads(listed.stdout)] == [
        each.sequence for each in task.checkpoints
    ]
    fetched = neurogrid("checkpoints", task.id, "--fetch", str(tmp_path / "kept"), *network)
    assert fetched.returncode == 0, fetched.stderr
    assert (tmp_path / "kept/state/now").read_text() == "10 55\n"
    other = devnet.submit(
        *("sh", "-c", COUNTING), resume_from={"task": task.id, "sequence": two.resumed_from}
    )
    other = devnet.until_settled(other.id)
    assert other.status == "completed", other.error
    assert other.leases[-1].resumed_from == two.resumed_from
