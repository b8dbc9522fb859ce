"""kill -9 of anything, while jobs run: they complete, each is paid once, and no lease ends."""

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from acceptance.network import Devnet, neurogrid, until
from neurogrid.models import Task
from neurogrid_devnet.demo.money import Money

pytestmark = [pytest.mark.processes, pytest.mark.engine]

# Long enough that whatever is killed is back before the end on an idle machine, and sometimes not.
STEPS = 5
SCRIPT = (
    "until [ -e /tmp/go ]; do sleep 0.1; done; "
    f"for i in $(seq {STEPS}); do echo step $i; sleep 1; done; echo $NEUROGRID > /outputs/answer"
)
LOG = "".join(f"step {number}\n" for number in range(1, STEPS + 1))


@dataclass(frozen=True)
class Pair:
    """Two jobs that run, one beside the other, and everybody's money before them."""

    tasks: tuple[Task, Task]
    before: Money


def spent(before: Money, after: Money) -> int:
    """What has left the client's deposit and its escrows.

    Another test may have left an escrow: of a job that was cancelled before its node had begun, which nobody but the
    coordinator can close, after five minutes.
    """
    return before.available + before.locked - after.available - after.locked


def start_pair(devnet: Devnet) -> Pair:
    """One job on each node."""
    devnet.until_idle()
    before = devnet.until_nothing_owed()
    # Each fills a node, so that they run on different ones.
    wanted: dict[str, Any] = {
        "resource_requirements": {"cpu_cores": 2, "ram_gb": 0.2, "storage_gb": 0.05},
        "interactive": True,
        "timeout_seconds": 180,
    }
    started = [
        devnet.submit("sh", "-c", SCRIPT, env={"NEUROGRID": name}, **wanted)
        for name in ("one", "two")
    ]
    one, two = (devnet.until_phase(task.id, "running") for task in started)
    # Neither is over before the other has begun, however slow a node is that another test has killed.
    for task in (one, two):
        assert devnet.client.tasks.exec(task.id, ["touch", "/tmp/go"]).exit_code == 0
    return Pair((one, two), before)


def check_pair(devnet: Devnet, pair: Pair) -> None:
    """Both completed on their first lease, and every micro-USDC is where it belongs."""
    tasks = [devnet.until_settled(task.id) for task in pair.tasks]
    for task in tasks:
        assert task.status == "completed", task.error
        assert len(task.leases) == 1, "no lease ended early"
        assert "".join(devnet.client.tasks.all_logs(task.id)) == LOG
        (output,) = devnet.client.tasks.outputs(task.id)
        assert output.path == "answer"
        assert devnet.client.tasks.receipt(task.id)
    after = devnet.ledger.money()
    earned = {peer: amount - pair.before.wallets[peer] for peer, amount in after.wallets.items()}
    fees = after.treasury - pair.before.treasury
    paid = [int((task.leases[0].paid or 0) * 1_000_000) for task in tasks]
    assert all(amount > 0 for amount in paid)
    assert spent(pair.before, after) == sum(paid) == sum(earned.values()) + fees
    assert after.locked <= pair.before.locked
    assert after.total == pair.before.total


@pytest.mark.parametrize("process", ["node", "api", "market", "ledger"])
def test_a_killed_process_is_started_again_and_no_job_notices(devnet: Devnet, process: str) -> None:
    pair = start_pair(devnet)
    name = devnet.node_name(pair.tasks[0].node_id) if process == "node" else process
    killed = devnet.kill(name)
    devnet.until_restarted(name, killed)
    check_pair(devnet, pair)


def test_everything_is_killed_at_once(devnet: Devnet) -> None:
    pair = start_pair(devnet)
    # As doctor leaves one when it is killed.
    first = devnet.network.nodes[0].name.removeprefix("node-")
    forsaken = devnet.data / "nodes" / first / ".doctor-killed"
    forsaken.mkdir()
    names = ("api", "market", "ledger", *(node.name for node in devnet.network.nodes))
    killed = {name: devnet.pid(name) for name in names}
    for name in names:
        # The market dies with its api, perhaps before its turn.
        if devnet.pid(name):
            devnet.kill(name)
    for name, pid in killed.items():
        devnet.until_restarted(name, pid)
    check_pair(devnet, pair)
    assert not forsaken.exists()


def test_a_lost_machine_costs_nothing_twice_even_when_it_comes_back(devnet: Devnet) -> None:
    devnet.until_idle()
    before = devnet.until_nothing_owed()
    # It runs until it is told to end, so that it is not over before its machine is lost.
    script = "echo begun; until [ -e /tmp/go ]; do sleep 0.1; done; echo done"
    task = devnet.submit("sh", "-c", script, interactive=True, timeout_seconds=600)
    task = devnet.until_phase(task.id, "running")
    lost = str(task.node_id)
    gone = neurogrid("devnet", "lose", lost, "--data", str(devnet.data))
    assert gone.returncode == 0, gone.stderr
    assert devnet.pid(devnet.node_name(lost)) == 0
    until(lambda: len(devnet.client.tasks.get(task.id).leases) == 2, "it is leased again")
    back = neurogrid("devnet", "restore", lost, "--data", str(devnet.data))
    assert back.returncode == 0, back.stderr
    devnet.until_phase(task.id, "running")
    assert devnet.client.tasks.exec(task.id, ["touch", "/tmp/go"]).exit_code == 0
    task = devnet.until_settled(task.id)
    assert task.status == "completed", task.error
    assert task.node_id != lost
    first, second = task.leases
    assert first.paid == 0
    # On a slow machine a voucher was signed for the lost one before it was lost: nobody has redeemed it.
    assert second.paid == task.cost > 0
    assert "".join(devnet.client.tasks.all_logs(task.id)) == "begun\ndone\n"
    devnet.until_idle()
    after = devnet.ledger.money()
    assert after.wallets[lost] == before.wallets[lost]
    assert spent(before, after) == int(task.cost * 1_000_000)
    assert after.locked <= before.locked
    assert after.total == before.total


def test_after_all_of_that_books_and_chain_agree(devnet: Devnet) -> None:
    devnet.until_idle()
    compared = subprocess.run(
        [
            *(sys.executable, "-m", "neurogrid_coordinator", "reconcile", "--json"),
            *("--data", str(devnet.data / "coordinator")),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (compared.returncode, compared.stdout) == (0, "[]\n"), compared.stderr
    assert devnet.http.get("/status").json()["data"]["differences"] == 0
