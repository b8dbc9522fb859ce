"""Jobs that lose a GPU while they run: real containers, beside a simulated driver that fails on cue."""

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from neurogrid_marketplace.faults import CONSEQUENCES, Fault, Outcome
from neurogrid_marketplace.lease import NodeLease, Ran
from neurogrid_marketplace.resources import Gpu
from neurogrid_node.lease.gpus import LeaseGpus
from neurogrid_node.lease.scrubbing import Scrubber
from neurogrid_node.machine.gpu_state import GpuState
from neurogrid_node.machine.inventory import Inventory
from neurogrid_node.machine.monitor import Monitor
from neurogrid_node.machine.reach import unreachable
from node.chain_world import now_ms
from node.sandbox_rig import GIB, HELD, RealRig, nothing_to_do, real_rig
from nvml_sim.machine import build, healthy, uuid_of
from nvml_sim.watched import ChildReader, WatchedMachine

pytestmark = pytest.mark.engine

# A busy machine may stand still for seconds at any line.
PATIENCE_S = 60
GPU = Gpu(uuid_of(0), "NVIDIA H100 80GB HBM3", 80 * GIB, "9.0")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def machine(library: Path, tmp_path: Path) -> Iterator[WatchedMachine]:
    (tmp_path / "gpus").mkdir()
    made = WatchedMachine(library, tmp_path / "gpus")
    made.set(healthy(0), healthy(1))
    yield made
    made.close()


@pytest.fixture
async def rig(machine: WatchedMachine, tmp_path: Path) -> AsyncIterator[RealRig]:
    """Jobs that hold the first GPU."""
    async with real_rig(tmp_path) as made, trio.open_nursery() as nursery:
        made.watched = replace(HELD, gpus=(GPU,))
        made.monitor = Monitor(
            ChildReader(machine),
            Inventory(4, 8 * GIB, 100 * GIB),
            tmp_path,
            now_ms,
            lambda: {GPU.uuid},
            interval_s=0.01,
            silence_s=PATIENCE_S,
        )
        made.restart()
        nursery.start_soon(made.monitor.run)
        with trio.fail_after(PATIENCE_S):
            while not made.monitor.states([GPU.uuid]):
                await made.monitor.until_read()
        yield made
        nursery.cancel_scope.cancel()


async def watch_while(
    rig: RealRig, lease: NodeLease, then: list[str], machine: WatchedMachine
) -> Ran:
    """How a job ended on a machine that became this one while it ran."""
    await rig.prepare(lease)
    machine.set(then)
    return await rig.watch(lease)


async def test_a_job_whose_gpu_falls_off_the_bus_ends_at_once_and_is_not_to_blame(
    rig: RealRig, machine: WatchedMachine
) -> None:
    ran = await watch_while(rig, rig.lease("sleep 600"), healthy(1), machine)
    assert ran.outcome is Outcome.GPU_LOST
    assert GPU.uuid in ran.message
    consequence = CONSEQUENCES[ran.outcome]
    assert (consequence.fault, consequence.charged, consequence.retried) == (
        *(Fault.INFRASTRUCTURE, False, True),
    )


async def test_a_job_on_another_gpu_runs_on(rig: RealRig, machine: WatchedMachine) -> None:
    ran = await watch_while(rig, rig.lease("sleep 1"), healthy(0), machine)
    assert ran.outcome is Outcome.COMPLETED


async def test_a_program_that_fails_with_its_gpu_has_lost_it(
    rig: RealRig, machine: WatchedMachine
) -> None:
    assert rig.monitor is not None
    machine.set([*healthy(0), *healthy(1), "event 1 0 48"])
    with trio.fail_after(PATIENCE_S):
        await rig.monitor.until_lost([GPU.uuid])
    lease = rig.lease("exit 1")
    await rig.prepare(lease)
    ran = await rig.watch(lease)
    assert ran.outcome is Outcome.GPU_LOST
    assert "XID 48" in ran.message


async def test_a_program_that_fails_by_itself_is_told_what_the_driver_said(
    rig: RealRig, machine: WatchedMachine
) -> None:
    assert rig.monitor is not None
    lease = rig.lease("until [ -e /outputs/go ]; do sleep 0.1; done; exit 3")
    await rig.prepare(lease)
    began_ms = now_ms() - 3_600_000
    machine.set([*healthy(0), *healthy(1), "event 1 0 31"])
    with trio.fail_after(PATIENCE_S):
        while not rig.monitor.errors_of([GPU.uuid], began_ms):
            await rig.monitor.until_read()
    (rig.bench.workspaces._workspace(lease.lease_id).outputs / "go").touch()
    ran = await rig.watch(lease)
    assert ran.outcome is Outcome.EXIT_NONZERO
    assert ran.message.startswith("exit code 3; XID 31")


async def test_a_job_without_gpus_is_watched_for_none(rig: RealRig) -> None:
    assert rig.monitor is not None
    gpus = LeaseGpus(rig.monitor, lambda _: HELD, Scrubber(rig.monitor, nothing_to_do).scrub)
    assert gpus.lost("lease_1") == ""
    with trio.move_on_after(0.1) as scope:
        await gpus.until_lost("lease_1", 1)
    assert scope.cancelled_caught


async def test_a_container_that_loses_its_gpus_node_has_lost_the_gpu_and_what_it_never_had_it_has_not(
    rig: RealRig, tmp_path: Path
) -> None:
    # Every container has the first, in a GPU's place, and no machine the second.
    nodes = ("/dev/zero", "/dev/nowhere")
    state = GpuState(
        *(0, GPU.uuid, GPU.model, GPU.memory_bytes, 0, "9.0", 0, 40, 1, ()), device_nodes=nodes
    )
    looks: list[Sequence[str]] = []

    def look(pid: int, nodes: Sequence[str]) -> str:
        looks.append(nodes)
        return unreachable(pid, nodes)

    monitor = Monitor(None, Inventory(1, GIB, GIB, gpus=(state,)), tmp_path, now_ms, frozenset)
    gpus = LeaseGpus(
        *(monitor, lambda _: rig.watched, Scrubber(monitor, nothing_to_do).scrub),
        look_interval_s=0.01,
        unreachable=look,
    )
    lease = rig.lease("sleep 600")
    await rig.prepare(lease)
    (found,) = await rig.bench.engine.list_leases()
    pid = (await rig.bench.engine.inspect(found.container_id)).pid
    reasons: list[str] = []

    async def lose() -> None:
        reasons.append(await gpus.until_lost(lease.lease_id, pid))

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lose)
            # Once for each node, and again for what was there.
            while len(looks) < 4:  # noqa: ASYNC110 - a thread's doing has no event
                await trio.sleep(0.01)
            assert reasons == []
            os.unlink(f"/proc/{pid}/root/dev/zero")
    assert reasons == ["/dev/zero is gone from the container"]
