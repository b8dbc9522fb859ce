"""What does not agree about a machine is found and mended: the real engine, disk, journal and ledger."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from engine.bench import Bench, open_bench
from neurogrid_marketplace.execution import accept
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.serving import Use
from neurogrid_marketplace.units import UnitPrices
from neurogrid_node.files.workspace import Workspaces
from neurogrid_node.journal import Journal, JournalThread
from neurogrid_node.market.reconciling import Reconciler
from neurogrid_node.market.reservations import Reservation
from node.market import COORDINATOR, GPU, NEED, NOW_MS, TOTAL, award
from node.seller import Seller

pytestmark = pytest.mark.engine

FORGOTTEN = "lease_" + "f" * 32
HELD = Reservation(NEED, (GPU,), None)


@dataclass
class World:
    """A seller without leases, on the machine's engine."""

    seller: Seller
    bench: Bench
    workspaces: Workspaces
    journal: Journal
    reconciler: Reconciler
    directory: Path

    async def compare(self, times: int = 2) -> list[tuple[str, str]]:
        """What was mended by so many looks."""
        for _ in range(times):
            await self.reconciler.compare()
        return [(each.code, each.about) for each in self.reconciler.mended]

    def lease(self, phase: LeasePhase) -> NodeLease:
        """A lease in this phase, that everybody knows."""
        lease = replace(accept(award("0" * 64), COORDINATOR, 60_000, NOW_MS), phase=phase)
        self.journal.add(lease, HELD)
        self.seller.provider.take_up(lease, HELD)
        return lease


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    journal = Journal(tmp_path / "journal.db")
    seller = Seller(journal)
    try:
        async with open_bench(tmp_path) as bench:
            workspaces = await Workspaces.open(tmp_path / "workspaces")
            reconciler = Reconciler(
                *(seller.provider, seller.book, seller.journal, bench.engine, workspaces),
                now_ms=lambda: seller.now_ms,
            )
            yield World(seller, bench, workspaces, journal, reconciler, tmp_path)
    finally:
        journal.close()


async def test_a_machine_on_which_all_agrees_is_left_alone(world: World) -> None:
    lease = world.lease(LeasePhase.PREPARING)
    await world.workspaces.create(lease.lease_id, 1 << 20)
    assert await world.compare(3) == []
    assert world.seller.book.held(lease.lease_id) == HELD
    assert await world.workspaces.list() == (lease.lease_id,)


async def test_a_reservation_for_nobody_is_given_back_and_coordinators_hear_of_it(
    world: World,
) -> None:
    world.seller.book.restore(FORGOTTEN, HELD)
    beats = world.seller.link.beats
    assert await world.compare(1) == [], "one look may fall between two steps"
    assert await world.compare(1) == [("reservation_without_lease", FORGOTTEN)]
    assert world.seller.book.free(NOW_MS) == TOTAL
    assert world.seller.link.beats > beats


async def test_a_lease_without_its_reservation_gets_what_the_journal_says(world: World) -> None:
    lease = world.lease(LeasePhase.PREPARING)
    world.seller.book.release(lease.lease_id)
    assert await world.compare() == [("lease_without_reservation", lease.lease_id)]
    assert world.seller.book.held(lease.lease_id) == HELD


async def test_a_lease_for_use_needs_no_container(world: World) -> None:
    use = Use(FORGOTTEN, "m", UnitPrices(), 1_000)
    made = accept(award("0" * 64), COORDINATOR, 60_000, NOW_MS, use=use)
    nothing = Reservation(Requirements(cpu_millis=0, memory_bytes=0, disk_bytes=0), (), None)
    lease = replace(made, phase=LeasePhase.RUNNING)
    world.journal.add(lease, nothing)
    world.seller.provider.take_up(lease, nothing)
    assert await world.compare() == []


async def test_a_container_and_files_of_nobody_are_removed(world: World) -> None:
    spec = world.bench.spec("", lease_id=FORGOTTEN, command=("sleep", "600"))
    container_id = await world.bench.engine.create(spec)
    await world.bench.engine.start(container_id)
    await world.workspaces.create(FORGOTTEN, 1 << 20)
    assert await world.compare() == [
        ("container_without_lease", FORGOTTEN),
        ("files_without_lease", FORGOTTEN),
    ]
    assert await world.bench.engine.list_leases() == ()
    assert await world.workspaces.list() == ()


async def test_a_probes_container_is_nobodys_business(world: World) -> None:
    spec = world.bench.spec("", lease_id="probe-1", command=("sleep", "600"))
    await world.bench.engine.create(spec)
    assert await world.compare() == []
    (kept,) = await world.bench.engine.list_leases()
    assert kept.lease_id == "probe-1"


async def test_a_job_whose_container_somebody_removed_is_looked_at_again(world: World) -> None:
    lease = world.lease(LeasePhase.RUNNING)
    assert await world.compare() == [("lease_without_container", lease.lease_id)]
    (runner,) = world.seller.runners
    assert runner.looked_again == 1


async def test_a_lease_that_nothing_runs_is_taken_up(world: World) -> None:
    lease = world.lease(LeasePhase.PREPARING)
    world.seller.provider.forgotten(lease.lease_id)
    world.seller.book.release(lease.lease_id)
    assert await world.compare() == [("lease_without_runner", lease.lease_id)]
    assert lease.lease_id in world.seller.provider.runners
    assert world.seller.book.held(lease.lease_id) == HELD


async def test_two_leases_with_one_gpu_are_said_and_neither_is_ended(world: World) -> None:
    lease = world.lease(LeasePhase.PREPARING)
    second = accept(award("0" * 64, lease_id=FORGOTTEN), COORDINATOR, 60_000, NOW_MS)
    other = replace(second, phase=lease.phase)
    world.journal.add(other, HELD)
    world.seller.provider.take_up(other, HELD)
    assert await world.compare() == [("promised_twice", GPU.uuid)]
    assert world.seller.book.held(FORGOTTEN) == HELD


async def test_a_journal_that_cannot_be_read_accuses_nobody(world: World) -> None:
    lease = world.lease(LeasePhase.PREPARING)
    await world.workspaces.create(FORGOTTEN, 1 << 20)
    broken = Journal(world.directory / "broken.db")
    broken.close()
    seller = world.seller
    world.reconciler = Reconciler(
        *(seller.provider, seller.book, JournalThread(broken), world.bench.engine),
        workspaces=world.workspaces,
        now_ms=lambda: seller.now_ms,
    )
    assert await world.compare(3) == []
    assert seller.book.held(lease.lease_id) == HELD
    assert await world.workspaces.list() == (FORGOTTEN,)
