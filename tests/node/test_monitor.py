"""The GPUs watched while the node runs: the real reader on a simulated driver, which fails on cue."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from neurogrid_marketplace.resources import Gpu
from neurogrid_node.machine.devices import DeviceGone
from neurogrid_node.machine.history import HOST, MINUTE_MS, read_history
from neurogrid_node.machine.inventory import Inventory
from neurogrid_node.machine.monitor import Monitor
from nvml_sim.machine import build, healthy, uuid_of
from nvml_sim.watched import ChildReader, WatchedMachine

GIB = 1 << 30
LOST = 15
# A busy machine may stand still for seconds at any line.
PATIENCE_S = 60
EMPTY = Inventory(4, 8 * GIB, 100 * GIB)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def machine(library: Path, tmp_path: Path) -> Iterator[WatchedMachine]:
    made = WatchedMachine(library, tmp_path)
    yield made
    made.close()


class Watched:
    """A monitor that runs, and what it has said."""

    def __init__(self, machine: WatchedMachine, directory: Path, silence_s: float) -> None:
        self.machine = machine
        self.now_ms = 490_000 * 3_600_000
        self.leased: set[str] = set()
        self.told: list[tuple[str, ...]] = []
        self.monitor = Monitor(
            ChildReader(machine),
            EMPTY,
            directory,
            lambda: self.now_ms,
            lambda: self.leased,
            interval_s=0.01,
            silence_s=silence_s,
        )
        self.monitor.changed = self._changed

    @property
    def offered(self) -> list[str]:
        return [gpu.uuid for gpu in self.monitor.inventory.offered_gpus()]

    async def until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            await self.monitor.until_read()

    async def until_offered(self, *indices: int) -> None:
        await self.until(lambda: self.offered == [uuid_of(index) for index in indices])

    async def _changed(self, inventory: Inventory) -> None:
        self.told.append(tuple(gpu.uuid for gpu in inventory.offered_gpus()))


@asynccontextmanager
async def watched(
    machine: WatchedMachine, directory: Path, silence_s: float = PATIENCE_S
) -> AsyncIterator[Watched]:
    made = Watched(machine, directory, silence_s)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.monitor.run)
            yield made
            nursery.cancel_scope.cancel()


async def test_gpus_are_offered_and_one_that_falls_off_the_bus_is_not(
    machine: WatchedMachine, tmp_path: Path
) -> None:
    machine.set(healthy(0), healthy(1))
    async with watched(machine, tmp_path) as node:
        await node.until_offered(0, 1)
        assert node.monitor.lost([uuid_of(1)]) == ""
        machine.set(healthy(0), healthy(1, error=f"nvmlDeviceGetUUID {LOST}"))
        assert uuid_of(1) in await node.monitor.until_lost([uuid_of(0), uuid_of(1)])
        await node.until_offered(0)
        with pytest.raises(DeviceGone):
            node.monitor.devices([Gpu(uuid_of(1), "H100", 80 * GIB)])
        assert node.monitor.devices([Gpu(uuid_of(0), "H100", 80 * GIB)]).uuids == (uuid_of(0),)
        machine.set(healthy(0), healthy(1))
        await node.until_offered(0, 1)
    both = (uuid_of(0), uuid_of(1))
    assert node.told == [both, both[:1], both]


async def test_a_driver_that_is_loaded_again_brings_its_gpus_back(
    machine: WatchedMachine, tmp_path: Path
) -> None:
    machine.set(healthy(0))
    async with watched(machine, tmp_path) as node:
        await node.until_offered(0)
        machine.unload_driver()
        await node.until_offered()
        assert "not loaded" in node.monitor.lost([uuid_of(0)])
        machine.set(healthy(0))
        await node.until_offered(0)


async def test_a_driver_that_hangs_stops_nothing_but_its_gpus(
    machine: WatchedMachine, tmp_path: Path
) -> None:
    machine.set(healthy(0))
    async with watched(machine, tmp_path, silence_s=1.0) as node:
        await node.until_offered(0)
        machine.set(healthy(0), "sleep nvmlDeviceGetCount_v2 3000")
        await node.until_offered()
        (withheld,) = node.monitor.inventory.withheld
        assert withheld.code == "silent"
        assert node.monitor.lost([uuid_of(0)]) == "", "a job on it may well go on"
        machine.set(healthy(0))
        # This test's own machine may have stood still before, which then was a first time.
        node.now_ms += 24 * 60 * MINUTE_MS
        await node.until_offered(0)


async def test_an_error_of_the_gpu_is_heard_and_kept_across_a_restart(
    machine: WatchedMachine, tmp_path: Path
) -> None:
    machine.set(healthy(0), healthy(1))
    async with watched(machine, tmp_path) as node:
        await node.until_offered(0, 1)
        machine.set(healthy(0), healthy(1), "event 1 1 79")
        await node.until_offered(0)
        assert "XID 79" in node.monitor.lost([uuid_of(1)])
        await node.until(lambda: node.told[-1] == (uuid_of(0),))
    async with watched(machine, tmp_path) as again:
        await again.until_offered(0)
        again.now_ms += 11 * MINUTE_MS
        await again.until_offered(0, 1)


async def test_an_error_of_the_program_is_told_of_its_own_run_alone(
    machine: WatchedMachine, tmp_path: Path
) -> None:
    machine.set(healthy(0), healthy(1))
    async with watched(machine, tmp_path) as node:
        await node.until_offered(0, 1)
        machine.set(healthy(0), healthy(1), "event 1 0 31", "event 2 0 63")
        began_ms = node.now_ms
        await node.until(lambda: node.monitor.errors_of([uuid_of(0)], began_ms) != "")
        assert node.monitor.errors_of([uuid_of(0)], began_ms) == (
            "XID 31: a memory address that the program does not have"
        )
        assert node.monitor.errors_of([uuid_of(0)], began_ms + 1) == ""
        assert node.monitor.errors_of([uuid_of(1)], began_ms) == ""
        assert node.offered == [uuid_of(0), uuid_of(1)]


async def test_what_computes_for_us_is_ours_and_what_else_computes_is_not(
    machine: WatchedMachine, tmp_path: Path
) -> None:
    busy = healthy(0, process="4711 1048576")
    machine.set(healthy(0))
    async with watched(machine, tmp_path) as node:
        await node.until_offered(0)
        with node.monitor.using([uuid_of(0)]):
            machine.set(busy)
            await node.until(lambda: bool(node.monitor.inventory.gpus[0].processes))
            await node.monitor.until_read()
            assert node.offered == [uuid_of(0)]
        await node.until_offered()
        node.leased = {uuid_of(0)}
        await node.until_offered(0)


async def test_a_gpu_that_an_earlier_life_gave_away_and_that_is_gone_is_lost(
    machine: WatchedMachine, tmp_path: Path
) -> None:
    machine.set(healthy(0))
    async with watched(machine, tmp_path) as node:
        assert "not there any more" in await node.monitor.until_lost([uuid_of(7)])


async def test_a_gpu_that_is_held_back_is_not_offered_until_it_is_clean(
    machine: WatchedMachine, tmp_path: Path
) -> None:
    machine.set(healthy(0))
    async with watched(machine, tmp_path) as node:
        await node.until_offered(0)
        await node.monitor.hold_back({uuid_of(0): "memory is still in use"})
        assert node.offered == []
        await node.monitor.until_read()
        assert node.offered == []
        await node.monitor.cleaned([uuid_of(0)])
        assert node.offered == [uuid_of(0)]


async def test_each_minute_goes_into_the_history(machine: WatchedMachine, tmp_path: Path) -> None:
    machine.set(healthy(0, utilisation="80"))
    async with watched(machine, tmp_path) as node:
        await node.until_offered(0)
        node.now_ms += MINUTE_MS
        while not (kept := read_history(tmp_path, MINUTE_MS, 0)):
            await node.monitor.until_read()
        of = {sample.unit: sample for sample in kept}
        assert of.keys() == {HOST, uuid_of(0)}
        assert of[uuid_of(0)].utilisation_percent == 80.0
        assert of[uuid_of(0)].temperature_celsius == 61


async def test_a_machine_without_gpus_is_watched_too(tmp_path: Path) -> None:
    monitor = Monitor(None, EMPTY, tmp_path, lambda: 0, frozenset, interval_s=0.01)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(monitor.run)
            await monitor.until_read()
            nursery.cancel_scope.cancel()
    assert monitor.host is not None
    assert monitor.inventory.offered_gpus() == ()
    assert monitor.lost([]) == ""
