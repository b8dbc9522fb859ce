"""Networks that fail and networks that hide, for real: nothing here is simulated but the cables."""

import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from acceptance.network import until
from netns.market import GARAGE, OFFICE, SILENCE_S, Coordinator, World
from netns.topology import inside_of, remove_abandoned
from neurogrid.models import Task

pytestmark = [pytest.mark.processes, pytest.mark.engine, pytest.mark.namespaces]


def settled(world: World, coordinator: Coordinator, task_id: str) -> Task:
    """The task once it is over and its money is where it belongs; it completed in its only lease."""
    task = world.until_task(
        coordinator,
        task_id,
        lambda task: task.settled and all(lease.settlement == "closed" for lease in task.leases),
        "is settled",
    )
    assert (task.status, task.node_id) == ("completed", world.node_id), task.error
    (lease,) = task.leases
    assert lease.paid == task.cost > 0
    return task


def earned_micro_usdc(task: Task) -> int:
    """What the node has of it, after the market's fee of 2 %."""
    paid = int(task.cost * 1_000_000)
    return paid - paid * 200 // 10_000


def test_a_node_behind_a_nat_earns_from_a_coordinator_behind_another(world: World) -> None:
    # Neither can be dialled: what comes in unasked is dropped.
    for place, other in ((OFFICE, "10.2.0.2"), (GARAGE, "10.1.0.2"), (GARAGE, "198.51.100.2")):
        assert not can_dial(place, other)
    before = world.earned_micro_usdc()
    task = world.submit(world.far, "sh", "-c", "echo from behind two walls; sleep 3")
    task = settled(world, world.far, task.id)
    assert world.log(world.far, task.id).strip() == "from behind two walls"
    assert world.earned_micro_usdc() - before == earned_micro_usdc(task)


def test_every_lease_outlives_a_partition_that_is_longer_than_the_heartbeat_limit(
    world: World,
) -> None:
    before = world.earned_micro_usdc()
    tasks = [
        (coordinator, world.submit(coordinator, "sh", "-c", "sleep 20; echo done").id)
        for coordinator in (world.near, world.near, world.far)
    ]
    for coordinator, task_id in tasks:
        world.until_task(
            coordinator, task_id, lambda task: task.started_at is not None, "has started"
        )
    world.topology.cut(GARAGE)
    # Both ends find out by silence alone: not one packet says so.
    for coordinator in (world.near, world.far):
        until(
            partial(world.misses_node, coordinator),
            f"{coordinator.name} has heard nothing for {SILENCE_S} s",
        )
    world.topology.mend(GARAGE)
    # Nobody gave a lease up, and nobody else was asked.
    ended = [settled(world, coordinator, task_id) for coordinator, task_id in tasks]
    for coordinator, task_id in tasks:
        assert world.log(coordinator, task_id).strip() == "done"
    assert world.earned_micro_usdc() - before == sum(map(earned_micro_usdc, ended))


_ORPHAN = """
import subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from netns.topology import command_in, topology
with topology() as network:
    network.add_behind_nat("orphan")
    print(subprocess.Popen(command_in("orphan", "sleep", "600")).pid, flush=True)
    time.sleep(600)
"""


def test_nothing_is_left_of_a_run_that_was_killed() -> None:
    command = [sys.executable, "-c", _ORPHAN, str(Path(__file__).parents[1])]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None, "asked for"
        child = int(run.stdout.readline())
        run.kill()
    until(lambda: not _is_alive(child), "its processes died with it")
    left = f"ngt-{run.pid}-orphan"
    assert left in namespaces()
    remove_abandoned()
    assert left not in namespaces()


def can_dial(place: str, host: str) -> bool:
    """Whether a connection from one machine to another is let through."""
    with inside_of(place):
        try:
            socket.create_connection((host, 4001), timeout=0.5).close()
        except OSError:
            return False
    return True


def _is_alive(pid: int) -> bool:
    """Whether it runs; one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def namespaces() -> str:
    """What `ip netns` lists."""
    return subprocess.run(["ip", "netns"], check=True, capture_output=True, text=True).stdout
