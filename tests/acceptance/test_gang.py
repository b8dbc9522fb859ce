"""Gangs on real nodes: members find each other, all run or none does, whatever is killed."""

import pytest

from acceptance.network import PATIENCE_S, Devnet, neurogrid, until
from neurogrid.models import Task

pytestmark = [pytest.mark.processes, pytest.mark.engine]

# Each rank but the first sends its number to rank 0, over plain TCP, and waits until rank 0 has it, because
# what a member has sent and nobody got ends with its network. Rank 0 prints the sum, after the others have
# had their time: what is killed meanwhile must not matter.
MEMBER = """
import os, socket, sys, time
rank, size = int(os.environ["NEUROGRID_RANK"]), int(os.environ["NEUROGRID_WORLD_SIZE"])
host, port = os.environ["NEUROGRID_RENDEZVOUS"].split(":")
print("rank", rank, "of", size, flush=True)
if rank:
    while True:
        try:
            peer = socket.create_connection((host, int(port)), timeout=60)
            break
        except OSError:
            time.sleep(0.1)
    time.sleep(float(sys.argv[1]))
    peer.sendall(b"%d\\n" % (rank * 10))
    assert peer.recv(1) == b"!"
else:
    server = socket.create_server(("", int(port)))
    total = 0
    for _ in range(size - 1):
        peer, _ = server.accept()
        total += int(peer.makefile().readline())
        peer.sendall(b"!")
    print("sum", total, flush=True)
with open("/outputs/rank", "w") as out:
    print(rank, file=out)
"""


def submit(devnet: Devnet, size: int, pause_s: float, *, wait_for_node: bool = False) -> Task:
    devnet.until_idle()
    return devnet.submit(
        "python3",
        "-c",
        MEMBER,
        str(pause_s),
        gang={"size": size},
        wait_for_node=wait_for_node,
    )


def check(devnet: Devnet, task_id: str) -> Task:
    """All completed on their first leases, and rank 0 has heard of the other."""
    task = devnet.until_settled(task_id)
    assert task.status == "completed", task.error
    assert task.gang is not None
    assert task.gang.attempt == 1
    assert [member.phase for member in task.gang.members] == ["completed", "completed"]
    assert len({member.node_id for member in task.gang.members}) == 2
    logs = [
        neurogrid(
            *("logs", task_id, "--rank", str(rank), "--network", str(devnet.data / "network.json"))
        )
        for rank in (0, 1)
    ]
    assert [log.stdout for log in logs] == ["rank 0 of 2\nsum 10\n", "rank 1 of 2\n"]
    paths = [output.path for output in devnet.client.tasks.outputs(task_id)]
    assert paths == ["rank-0/rank", "rank-1/rank"]
    for member in task.gang.members:
        devnet.until_settled(member.id)
        assert member.cost > 0
        assert devnet.client.tasks.receipt(member.id)
    return task


def test_members_on_different_nodes_meet_and_add_up_what_they_know(devnet: Devnet) -> None:
    check(devnet, submit(devnet, 2, 0).id)


def test_the_death_of_a_nodes_daemon_and_of_the_coordinator_ends_no_gang(devnet: Devnet) -> None:
    task = submit(devnet, 2, 5)
    task = devnet.until_phase(task.id, "running")
    for process in (devnet.node_name(task.node_id), "api"):
        before = devnet.kill(process)
        devnet.until_restarted(process, before)
    check(devnet, task.id)


def test_a_gang_with_one_node_too_few_waits_says_so_and_runs_nothing(devnet: Devnet) -> None:
    task = submit(devnet, 3, 0, wait_for_node=True)

    def explained() -> str:
        return devnet.client.tasks.get(task.id).explanation or ""

    until(lambda: explained().startswith("2 of 3 nodes"), "it says how many there are", PATIENCE_S)
    shown = devnet.client.tasks.get(task.id)
    assert shown.gang is not None
    assert (shown.gang.members, shown.leases) == ([], [])
    devnet.client.tasks.cancel(task.id)
    devnet.until_idle()
