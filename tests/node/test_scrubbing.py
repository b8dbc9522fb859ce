"""Between two tenants of a GPU: it is clean, or it is not offered."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from engine.bench import open_bench
from neurogrid_marketplace.resources import AMD, Gpu
from neurogrid_node.lease.scrubbing import Overwriter, Scrubber, run_to_end
from neurogrid_node.machine.inventory import Inventory
from neurogrid_node.machine.monitor import Monitor
from node.amd_sysfs import INSTINCT_UUID, AmdMachine
from nvml_sim.machine import build, healthy, uuid_of
from nvml_sim.watched import ChildReader, WatchedMachine

GIB = 1 << 30
# A busy machine may stand still for seconds at any line.
PATIENCE_S = 60
A, B = (Gpu(uuid_of(index), "NVIDIA H100 80GB HBM3", 80 * GIB, "9.0") for index in (0, 1))
IDLE = (*healthy(0), *healthy(1))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def machine(library: Path, tmp_path: Path) -> Iterator[WatchedMachine]:
    made = WatchedMachine(library, tmp_path)
    made.set(IDLE)
    yield made
    made.close()


class Cleaned:
    """A monitor and a scrubber, and what it has overwritten."""

    def __init__(self, machine: WatchedMachine, directory: Path, idle_patience_s: float) -> None:
        self.machine = machine
        self.leased = {A.uuid, B.uuid}
        self.overwritten: list[tuple[str, ...]] = []
        self.failure = ""
        self.monitor = Monitor(
            ChildReader(machine),
            Inventory(4, 8 * GIB, 100 * GIB),
            directory,
            lambda: 1_800_000_000_000,
            lambda: self.leased,
            interval_s=0.01,
            silence_s=PATIENCE_S,
        )
        self.scrubber = Scrubber(
            self.monitor, self._overwrite, idle_patience_s=idle_patience_s, again_s=0.01
        )

    async def _overwrite(self, uuids: tuple[str, ...]) -> str:
        self.overwritten.append(uuids)
        return self.failure

    def withheld(self) -> dict[str, str]:
        return {each.uuid: each.code for each in self.monitor.inventory.withheld}

    async def until_offered(self, *gpus: Gpu) -> None:
        while self.monitor.inventory.offered_gpus() != gpus:
            await self.monitor.until_read()

    async def end_lease(self, *gpus: Gpu) -> None:
        """Its container is gone: what `Sandbox.clear` does, and what follows."""
        await self.scrubber.scrub(gpus)
        self.leased -= {gpu.uuid for gpu in gpus}


@asynccontextmanager
async def cleaned(
    machine: WatchedMachine, directory: Path, idle_patience_s: float = PATIENCE_S
) -> AsyncIterator[Cleaned]:
    made = Cleaned(machine, directory, idle_patience_s)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.monitor.run)
            await made.until_offered(A, B)
            yield made
            nursery.cancel_scope.cancel()


async def test_a_gpu_is_overwritten_before_the_next_tenant_gets_it(
    machine: WatchedMachine, tmp_path: Path
) -> None:
    async with cleaned(machine, tmp_path) as node:
        await node.end_lease(A, B)
        assert node.overwritten == [(A.uuid, B.uuid)], "all at once"
        assert node.withheld() == {}


async def test_a_program_that_stays_keeps_its_gpu_from_the_next_tenant_until_it_ends(
    machine: WatchedMachine, tmp_path: Path
) -> None:
    machine.set(healthy(0, process="4711 1048576"), healthy(1))
    async with cleaned(machine, tmp_path, idle_patience_s=0.2) as node:
        await node.end_lease(A, B)
        assert node.withheld() == {A.uuid: "not_clean"}
        (withheld,) = node.monitor.inventory.withheld
        assert "pid 4711" in withheld.message
        assert node.overwritten == [(B.uuid,)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.scrubber.run)
            machine.set(IDLE)
            await node.until_offered(A, B)
            nursery.cancel_scope.cancel()
        assert node.overwritten[-1] == (A.uuid,), "before it is offered again"


async def test_memory_that_nobody_gives_back_withholds_it(
    machine: WatchedMachine, tmp_path: Path
) -> None:
    async with cleaned(machine, tmp_path, idle_patience_s=0.2) as node:
        # What the driver takes for itself is known from before the lease.
        node.leased = set()
        while node.monitor.idle_bytes(A.uuid) != GIB:
            await node.monitor.until_read()
        node.leased = {A.uuid}
        machine.set(healthy(0, memory_used=str(3 * GIB)), healthy(1))
        await node.end_lease(A)
        (withheld,) = node.monitor.inventory.withheld
        assert withheld.message == "3072 MiB of its memory are in use, and nobody computes on it"
        assert node.overwritten == []


async def test_memory_that_could_not_be_overwritten_withholds_it_and_is_tried_again(
    machine: WatchedMachine, tmp_path: Path
) -> None:
    async with cleaned(machine, tmp_path) as node:
        node.failure = "exit code 6"
        await node.end_lease(A)
        assert node.withheld() == {A.uuid: "not_clean"}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.scrubber.run)
            while len(node.overwritten) < 3:
                await node.monitor.until_read()
            assert node.withheld() == {A.uuid: "not_clean"}
            node.failure = ""
            await node.until_offered(A, B)
            nursery.cancel_scope.cancel()


async def test_a_gpu_that_was_lost_with_its_job_is_cleaned_when_it_is_back(
    machine: WatchedMachine, tmp_path: Path
) -> None:
    machine.set(healthy(1))
    node = Cleaned(machine, tmp_path, 0.2)
    node.leased = {A.uuid}
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.monitor.run)
            await node.until_offered(B)
            await node.end_lease(A)
            machine.set(IDLE)
            while node.withheld() != {A.uuid: "not_clean"} or not node.monitor.states([A.uuid]):
                await node.monitor.until_read()
            nursery.start_soon(node.scrubber.run)
            await node.until_offered(A, B)
            nursery.cancel_scope.cancel()
    assert node.overwritten == [(A.uuid,)]


async def test_a_restart_does_not_offer_what_was_not_clean(
    machine: WatchedMachine, tmp_path: Path
) -> None:
    async with cleaned(machine, tmp_path) as node:
        node.failure = "exit code 6"
        await node.end_lease(A)
    again = Cleaned(machine, tmp_path, PATIENCE_S)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(again.monitor.run)
            await again.until_offered(B)
            # It is gone until it was read for the first time.
            while again.withheld() != {A.uuid: "not_clean"}:
                await again.monitor.until_read()
            assert again.monitor.inventory.offered_gpus() == (B,)
            nursery.start_soon(again.scrubber.run)
            await again.until_offered(A, B)
            nursery.cancel_scope.cancel()


async def test_the_kernel_wipes_amds_so_they_are_only_waited_for(
    machine: WatchedMachine, tmp_path: Path
) -> None:
    AmdMachine(tmp_path).add_instinct()
    node = Cleaned(machine, tmp_path, PATIENCE_S)
    instinct = Gpu(INSTINCT_UUID, "AMD INSTINCT MI210 (XT)", 64 * GIB, vendor=AMD)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.monitor.run)
            await node.until_offered(A, B, instinct)
            await node.end_lease(instinct, A)
            nursery.cancel_scope.cancel()
    assert node.overwritten == [(A.uuid,)]
    assert node.withheld() == {}


@pytest.mark.engine
async def test_what_runs_for_us_is_judged_by_its_end_and_leaves_nothing(tmp_path: Path) -> None:
    async with open_bench(tmp_path) as bench:
        good = bench.spec("", command=("true",))
        assert (await run_to_end(bench.engine, good, PATIENCE_S)).problem == ""
        bad = bench.spec("", command=("sh", "-c", "echo no room >&2; exit 6"))
        ended = await run_to_end(bench.engine, bad, PATIENCE_S)
        assert (ended.problem, ended.words.strip()) == ("exit code 6: no room", "no room")
        slow = bench.spec("", command=("sleep", "600"))
        words = (await run_to_end(bench.engine, slow, 1)).problem
        assert words == "it did not end within 1 s"
        assert await bench.engine.list_leases() == ()


@pytest.mark.engine
async def test_a_gpu_that_the_engine_does_not_give_is_not_overwritten(tmp_path: Path) -> None:
    async with open_bench(tmp_path) as bench:
        # No machine has this one, wherever the tests run.
        assert await Overwriter(bench.engine).overwrite((A.uuid,)) != ""
        assert await bench.engine.list_leases() == ()
