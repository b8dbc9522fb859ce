"""A node offers what it proved, and no longer than that is true."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trio
import trio.testing

from neurogrid_node.container.errors import EngineRefused, EngineUnavailable
from neurogrid_node.machine.fitness import UNPROVED
from neurogrid_node.machine.gpu_state import GpuReading, GpuState
from neurogrid_node.machine.inventory import Inventory
from neurogrid_node.machine.monitor import Monitor
from neurogrid_node.machine.proof_file import FILE_NAME, read_proofs, write_proofs
from neurogrid_node.machine.proofs import CONTAINER, GANGS, HOLDS_MS, Disproof, Proof, Proofs
from neurogrid_node.machine.prover import Ability, Prover
from node.test_status import GIB, L4

NO_GPU = Disproof("CONTAINER_NO_GPU", "GPU-1 was given, and is not there")
GPU = replace(L4, processes=())


@dataclass
class World:
    """A machine with a GPU, its prover, and what is made of it.

    Attributes:
        answers: what a trial says or raises; None: it is well.
        said: what was told to whoever offers it.
        tried: in order.
        used: GPUs that a trial computes on now.
    """

    directory: Path
    answers: dict[str, Disproof | Exception | None] = field(default_factory=dict)
    said: list[tuple[str, bool]] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    gpus: tuple[GpuState, ...] = (GPU,)
    lost: set[str] = field(default_factory=set)
    leased: set[str] = field(default_factory=set)
    used: list[str] = field(default_factory=list)
    connections: int = 1
    now_ms: int = 1_800_000_000_000
    proofs: Proofs = field(default_factory=Proofs)
    changes: int = 0

    # --- the watch -------------------------------------------------------------------------------

    def fit(self) -> tuple[GpuState, ...]:
        return self.gpus

    def broken(self) -> Collection[str]:
        return self.lost

    @contextmanager
    def using(self, uuids: Collection[str]) -> Iterator[None]:
        self.used = list(uuids)
        yield
        self.used = []

    async def proved(self) -> None:
        self.changes += 1

    # --- the trials --------------------------------------------------------------------------------

    async def attempt(self, what: str) -> Disproof | None:
        self.tried.append(what)
        answer = self.answers.get(what)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ability(self, what: str) -> Ability:
        async def tell(can: bool) -> None:
            self.said.append((what, can))

        return Ability(what, lambda: self.attempt(what), tell)

    async def gpu(self, gpu: GpuState) -> Disproof | None:
        assert self.used == [gpu.uuid], "else it is taken for a stranger's"
        return await self.attempt(gpu.uuid)

    def prover(self) -> Prover:
        return Prover(
            self.proofs,
            [self.ability(CONTAINER), self.ability(GANGS)],
            self.gpu,
            self,
            leased=lambda: self.leased,
            connections=lambda: self.connections,
            directory=self.directory,
            now_ms=lambda: self.now_ms,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_what_is_proved_is_told_once_and_each_in_its_turn(world: World) -> None:
    prover = world.prover()
    assert [proof.what for proof in prover.unproved()] == [CONTAINER, GANGS]
    await prover.round()
    await prover.round()
    assert world.tried == [CONTAINER, GANGS, "GPU-1"]
    assert world.said == [(CONTAINER, True), (GANGS, True)]
    assert prover.unproved() == ()
    assert world.proofs.is_proved("GPU-1")


async def test_a_machine_whose_container_is_not_held_offers_nothing_and_tries_nothing(
    world: World,
) -> None:
    world.answers[CONTAINER] = Disproof("CONTAINER_UNSAFE", "jobs keep capabilities")
    prover = world.prover()
    await prover.round()
    await prover.round()
    assert world.tried == [CONTAINER]
    assert world.said == []
    first, second = prover.unproved()
    assert (first.code, second.code) == ("CONTAINER_UNSAFE", "NOT_CHECKED")
    # Mended, it is found within the back-off.
    del world.answers[CONTAINER]
    world.now_ms = first.next_ms
    await prover.round()
    assert world.said == [(CONTAINER, True), (GANGS, True)]


async def test_what_turns_out_to_be_wrong_after_a_day_is_taken_back(world: World) -> None:
    prover = world.prover()
    await prover.round()
    world.now_ms += HOLDS_MS
    world.answers[GANGS] = EngineRefused("no such device")
    await prover.round()
    assert world.said[2:] == [(GANGS, False)]
    assert [proof.message for proof in prover.unproved()] == ["no such device"]


async def test_a_trial_with_a_defect_keeps_no_other_from_its_turn(world: World) -> None:
    world.answers[GANGS] = ZeroDivisionError("by nothing")
    prover = world.prover()
    await prover.round()
    assert world.proofs.is_proved("GPU-1")
    assert [(proof.what, proof.code) for proof in prover.unproved()] == [(GANGS, "CHECK_BROKEN")]


async def test_an_engine_that_is_away_takes_nothing_back(world: World) -> None:
    prover = world.prover()
    await prover.round()
    world.now_ms += HOLDS_MS
    world.answers = dict.fromkeys((CONTAINER, GANGS, "GPU-1"), EngineUnavailable("away"))
    await prover.round()
    assert world.said == [(CONTAINER, True), (GANGS, True)]
    assert world.proofs.is_proved("GPU-1")


async def test_an_engine_that_restarted_is_asked_again_before_anything_is_offered(
    world: World,
) -> None:
    prover = world.prover()
    await prover.round()
    world.connections += 1
    world.answers["GPU-1"] = NO_GPU
    await prover.round()
    assert world.said[2:] == [(CONTAINER, False), (GANGS, False), (CONTAINER, True), (GANGS, True)]
    assert world.tried == [CONTAINER, GANGS, "GPU-1"] * 2
    assert not world.proofs.is_proved("GPU-1")


async def test_a_restart_in_the_middle_of_a_trial_proves_nothing(world: World) -> None:
    prover = world.prover()
    await prover.round()
    attempt = world.attempt

    async def restarted(what: str) -> Disproof | None:
        if what == GANGS and world.connections == 1:
            world.connections += 1
        return await attempt(what)

    world.attempt = restarted  # type: ignore[method-assign]  # the engine's restart, at the worst moment
    world.now_ms += HOLDS_MS
    await prover.round()
    assert world.said[2:] == []
    await prover.round()
    assert (GANGS, False) in world.said


async def test_a_gpu_that_failed_is_tried_when_it_is_back_and_not_before(world: World) -> None:
    prover = world.prover()
    await prover.round()
    world.gpus, world.lost = (), {"GPU-1"}
    await prover.round()
    assert not world.proofs.is_proved("GPU-1")
    assert world.tried.count("GPU-1") == 1
    world.gpus, world.lost = (GPU,), set()
    await prover.round()
    assert world.proofs.is_proved("GPU-1")
    assert world.tried.count("GPU-1") == 2


async def test_nothing_is_tried_on_a_gpu_that_a_job_has(world: World) -> None:
    world.leased = {"GPU-1"}
    prover = world.prover()
    await prover.round()
    world.now_ms += 2 * HOLDS_MS
    await prover.round()
    assert "GPU-1" not in world.tried
    world.leased = set()
    await prover.round()
    assert "GPU-1" in world.tried


async def test_a_trial_that_hangs_is_ended_and_told(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    async def hang() -> Disproof | None:
        await trio.sleep_forever()
        raise AssertionError("for ever is over")

    async def tell(can: bool) -> None:
        raise AssertionError("it was never proved")

    prover = Prover(
        world.proofs,
        [Ability(CONTAINER, hang, tell)],
        world.gpu,
        world,
        leased=lambda: (),
        connections=lambda: 1,
        directory=world.directory,
        now_ms=lambda: world.now_ms,
    )
    await prover.round()
    assert [proof.code for proof in prover.unproved()] == ["NO_ANSWER"]


async def test_the_gpus_of_a_job_stay_proved_over_a_restart_of_the_node_and_not_of_the_machine(
    world: World,
) -> None:
    await world.prover().round()
    kept = read_proofs(world.directory)
    assert [proof.what for proof in kept] == ["GPU-1"]
    other = world.directory / "boot_id"
    other.write_text("another\n")
    assert read_proofs(world.directory, other) == ()
    for damage in (b"", b"{", b"[]", b'{"boot": 1, "proofs": []}'):
        (world.directory / FILE_NAME).write_bytes(damage)
        assert read_proofs(world.directory) == ()


def test_a_disk_that_refuses_is_an_error_of_the_disks(tmp_path: Path) -> None:
    proof = Proof("GPU-1", 1, "", "", 0, 2)
    write_proofs(tmp_path, (proof,))
    assert read_proofs(tmp_path) == (proof,)
    with pytest.raises(OSError, match="No such file"):
        write_proofs(tmp_path / "nowhere", (proof,))


class Still:
    """A driver whose GPUs stay as they are."""

    def read(self) -> GpuReading:
        return GpuReading(gpus=(GPU,))

    def wait(self, timeout_ms: int) -> tuple[()]:
        return ()


async def test_the_monitor_offers_a_gpu_when_it_is_proved(tmp_path: Path) -> None:
    proofs = Proofs()
    first = Inventory(4, 8 * GIB, 100 * GIB, gpus=(GPU,))
    monitor = Monitor(Still(), first, tmp_path, lambda: 1, set, proofs)
    offers = []

    async def changed(inventory: Inventory) -> None:
        offers.append([gpu.uuid for gpu in inventory.offered_gpus()])

    monitor.changed = changed
    assert monitor.inventory.offered_gpus() == ()
    assert [each.code for each in monitor.inventory.withheld] == [UNPROVED]
    # A job that has it has lost nothing.
    assert monitor.lost(["GPU-1"]) == ""
    assert [gpu.uuid for gpu in monitor.fit()] == ["GPU-1"]
    proofs.passed("GPU-1", 1)
    await monitor.proved()
    proofs.failed("GPU-1", NO_GPU, 2)
    await monitor.proved()
    assert offers == [["GPU-1"], []]
    (withheld,) = monitor.inventory.withheld
    assert "CONTAINER_NO_GPU" in withheld.message
