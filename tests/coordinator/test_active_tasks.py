"""What the orchestrator remembers of tasks: whom it looks at, which leases nodes should know of, and who left a place."""

from dataclasses import replace

from coordinator.records import NOW_MS, new_task
from neurogrid_coordinator.store.tasks import TaskState
from neurogrid_coordinator.tasks.active_tasks import ActiveTasks, PlaceLeft
from neurogrid_marketplace.deadlines import waits_until_ms
from neurogrid_marketplace.task import Lease, Phase, Task

FIRST = Lease("lease_" + "1" * 32, "node-a", "wallet", 1, 1, "demand", "b" * 64)
SECOND = replace(FIRST, lease_id="lease_" + "2" * 32, node_id="node-b")

NEW = replace(new_task("acct").state, task_id="task", since_ms=NOW_MS)


def task(phase: Phase, lease: Lease | None = None) -> Task:
    return replace(NEW, phase=phase, lease=lease)


def remembered(active: ActiveTasks, phase: Phase, lease: Lease | None = None) -> PlaceLeft | None:
    return active.remember(TaskState(task(phase, lease), "acct", 5))


def test_who_waits_is_looked_at_when_its_time_is_over_and_who_is_at_work_each_time() -> None:
    active = ActiveTasks()
    remembered(active, Phase.QUEUED)
    over_ms = waits_until_ms(task(Phase.QUEUED))
    assert over_ms is not None
    assert active.busy() == []
    assert active.due(over_ms - 1) == []
    assert active.due(over_ms) == ["task"]
    assert active.due(over_ms) == []
    active.look_again("task", over_ms + 1)
    assert active.due(over_ms + 1) == ["task"]

    remembered(active, Phase.MATCHING)
    assert active.busy() == ["task"]
    assert active.due(over_ms + 10**9) == []

    remembered(active, Phase.COMPLETED)
    assert active.busy() == []
    assert "task" not in active
    assert active.get("task") is None


def test_a_node_has_the_leases_that_it_took_and_has_not_ended() -> None:
    active = ActiveTasks()
    remembered(active, Phase.AWARDED, FIRST)
    assert active.nodes() == frozenset()
    remembered(active, Phase.STARTING, FIRST)
    assert active.leases_of("node-a") == {FIRST.lease_id: NOW_MS}
    state = active.task_of(FIRST.lease_id, "node-a")
    assert state is not None
    assert state.task.task_id == "task"
    assert active.task_of(FIRST.lease_id, "node-b") is None
    remembered(active, Phase.RUNNING, SECOND)
    assert active.leases_of("node-a") == {}
    assert active.nodes() == {"node-b"}
    remembered(active, Phase.COMPLETED, SECOND)
    assert active.nodes() == frozenset()


def test_a_place_is_left_once_by_who_held_it() -> None:
    active = ActiveTasks()
    assert remembered(active, Phase.QUEUED) is None
    assert remembered(active, Phase.RUNNING, FIRST) is None
    assert remembered(active, Phase.RUNNING, FIRST) is None
    moved = remembered(active, Phase.RUNNING, SECOND)
    assert moved == PlaceLeft(task(Phase.RUNNING, FIRST), "node-a")
    ended = remembered(active, Phase.FAILED, SECOND)
    assert ended == PlaceLeft(task(Phase.RUNNING, SECOND), "node-b")
    assert remembered(active, Phase.FAILED, SECOND) is None
