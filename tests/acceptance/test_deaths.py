"""kill -9 of a node's daemon at each step of its leases: its jobs complete, and are paid once."""

from pathlib import Path

import pytest

from acceptance.deaths import Deaths
from acceptance.network import Devnet
from neurogrid.models import Task
from neurogrid_marketplace.offer import LeasePhase

# Of a job that completes. One that is cancelled is stopped, too; none is paused whose vouchers come.
STEPS_OF_A_JOB = set(LeasePhase) - {LeasePhase.PAUSED, LeasePhase.STOPPING}

pytestmark = [pytest.mark.processes, pytest.mark.engine]


def test_a_node_dies_once_at_each_step_that_its_journal_knows(
    patient: Devnet, tmp_path: Path
) -> None:
    patient.until_idle()
    before = patient.ledger.money()
    deaths = Deaths(patient, tmp_path)
    tasks: list[Task] = []
    while not deaths.steps >= STEPS_OF_A_JOB:
        # Some steps last a few milliseconds, and are met in a later job.
        assert len(tasks) < 14, f"died at {deaths.steps}"
        tasks.append(
            deaths.run("sh", "-c", "for i in 1 2; do echo $i; sleep 1; done; cp /bin/sh /outputs")
        )
        assert tasks[-1].status == "completed", tasks[-1].error
        assert "".join(patient.client.tasks.all_logs(tasks[-1].id)) == "1\n2\n"
    tasks.append(deaths.run("sleep", "50", cancelled=True))
    assert LeasePhase.STOPPING in deaths.steps
    assert tasks[-1].status == "cancelled"
    # An award whose acceptance died with the node has no escrow: the task is asked for again.
    leases = [[lease for lease in task.leases if lease.escrow] for task in tasks]
    assert all(len(each) == 1 for each in leases), "no lease ended early"
    after = patient.ledger.money()
    paid = sum(int(task.cost * 1_000_000) for task in tasks)
    assert before.available - after.available == paid > 0
    assert (after.locked, after.total) == (0, before.total)
