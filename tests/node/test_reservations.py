from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from neurogrid_marketplace.resources import Capacity, Gpu, Requirements
from neurogrid_node.market.reservations import Reservation, Reservations
from node.market import GIB, GPU, NEED, TOTAL

BID = ("coordinator", "demand_1")


def test_what_is_held_is_not_free() -> None:
    book = Reservations(TOTAL)
    need = replace(NEED, gpu_count=1)
    assert book.hold(BID, need, 0, 100, input_bytes=GIB)
    free = book.free(0)
    assert (free.cpu_millis, free.memory_bytes) == (3000, 7 * GIB)
    assert free.disk_bytes == 98 * GIB
    assert free.gpus == ()


def test_only_gpus_that_suit_are_held() -> None:
    small = Gpu("GPU-0", "NVIDIA T4", 16 * GIB, "7.5")
    book = Reservations(replace(TOTAL, gpus=(small, GPU)))
    need = replace(NEED, gpu_count=1)
    assert book.hold(BID, need, 0, 100, suits=lambda gpu: gpu.memory_bytes > 20 * GIB)
    assert book.free(0).gpus == (small,)
    assert not book.hold(("coordinator", "demand_2"), need, 0, 100, suits=lambda _: False)


def test_a_bid_expires() -> None:
    book = Reservations(TOTAL)
    book.hold(BID, NEED, 0, 100)
    assert book.free(99) != TOTAL
    assert book.free(100) == TOTAL


def test_a_bid_holds_nothing_once_the_clock_is_set_back() -> None:
    book = Reservations(TOTAL)
    book.hold(BID, NEED, 3_600_000, 3_634_000)
    assert book.free(3_600_000) != TOTAL
    assert book.free(0) == TOTAL


def test_an_award_holds_for_good_what_the_bid_held() -> None:
    book = Reservations(TOTAL)
    book.hold(BID, replace(NEED, gpu_count=1), 0, 100)
    held = book.award(BID, "lease_1", 99)
    assert held == Reservation(replace(NEED, gpu_count=1), (GPU,), None)
    assert book.held("lease_1") == held
    assert book.free(10**9).gpus == ()
    book.release("lease_1")
    book.release("lease_1")
    assert book.free(10**9) == TOTAL


def test_an_award_of_an_expired_bid_gets_nothing() -> None:
    book = Reservations(TOTAL)
    book.hold(BID, NEED, 0, 100)
    assert book.award(BID, "lease_1", 100) is None
    assert book.award(BID, "lease_1", 0) is None
    assert book.free(0) == TOTAL


def of_two(small: Capacity, large: Capacity) -> Reservations:
    book = Reservations(TOTAL)
    book.machines = {"small": small, "large": large}
    return book


def test_of_a_fleet_a_job_gets_the_fullest_machine_that_has_room_for_it() -> None:
    small = replace(TOTAL, cpu_millis=2 * NEED.cpu_millis, gpus=())
    book = of_two(small, replace(TOTAL, gpus=()))
    names = [("coordinator", str(number)) for number in range(5)]
    assert book.total == book.machines["large"]
    held = []
    for name in names[:4]:
        assert book.hold(name, NEED, 0, 100)
        one = book.award(name, f"lease_{name[1]}", 0)
        assert one is not None
        held.append(one.machine)
    assert held == ["small", "small", "large", "large"]
    # What is left together is not what one job could have.
    rest = replace(NEED, cpu_millis=TOTAL.cpu_millis - 2 * NEED.cpu_millis)
    assert book.hold(names[4], rest, 0, 100)
    assert not book.hold(names[0], NEED, 0, 100)


def test_a_need_is_measured_by_a_machine_that_has_room_for_it_not_by_the_roomiest() -> None:
    wide = replace(TOTAL, memory_bytes=NEED.memory_bytes, gpus=())
    tall = replace(TOTAL, cpu_millis=NEED.cpu_millis, memory_bytes=4 * NEED.memory_bytes, gpus=())
    book = of_two(tall, wide)
    need = replace(NEED, memory_bytes=3 * NEED.memory_bytes)
    assert book.free(0) == wide
    assert book.free_instead_of((), 0, need) == book.total_for(need) == tall


def test_the_disk_of_a_fleet_is_promised_once() -> None:
    book = of_two(replace(TOTAL, gpus=()), replace(TOTAL, gpus=()))
    half = replace(NEED, disk_bytes=TOTAL.disk_bytes // 2 + 1)
    assert book.hold(("coordinator", "1"), half, 0, 100)
    assert not book.hold(("coordinator", "2"), half, 0, 100)


def test_a_bid_on_a_machine_that_is_gone_becomes_no_lease_and_a_lease_there_goes_on() -> None:
    book = of_two(replace(TOTAL, gpus=()), replace(TOTAL, gpus=()))
    book.hold(BID, NEED, 0, 100)
    first = book.award(BID, "lease_1", 0)
    assert first is not None
    book.hold(BID, NEED, 0, 100)
    book.machines = {}
    assert book.award(BID, "lease_2", 0) is None
    assert book.held("lease_1") == first
    assert book.total == book.free(0) == Capacity(0, 0, 0)


def test_a_demand_named_like_a_lease_does_not_touch_it() -> None:
    book = Reservations(TOTAL)
    book.hold(BID, NEED, 0, 100)
    book.award(BID, "lease_1", 0)
    book.hold(("coordinator", "lease_1"), NEED, 0, 1)
    assert book.free(1).cpu_millis == 3000


def test_another_coordinators_demand_of_the_same_name_is_another() -> None:
    book = Reservations(TOTAL)
    assert book.hold(("a", "demand_1"), NEED, 0, 100)
    assert book.hold(("b", "demand_1"), NEED, 0, 100)
    assert book.free(0).cpu_millis == 2000
    assert book.award(("c", "demand_1"), "lease_1", 0) is None


def test_asking_again_for_more_is_held_anew() -> None:
    book = Reservations(TOTAL)
    assert book.hold(BID, NEED, 0, 100)
    assert book.hold(BID, replace(NEED, cpu_millis=4000), 0, 100)
    assert book.free(0).cpu_millis == 0
    assert not book.hold(BID, replace(NEED, cpu_millis=4001), 0, 100)
    assert book.free(0) == TOTAL


def test_a_lease_from_the_journal_is_held_even_if_the_machine_shrank() -> None:
    book = Reservations(Capacity(500, GIB, GIB))
    book.restore("lease_1", Reservation(NEED, (GPU,), None))
    assert book.free(0) == Capacity(0, 0, 0)


def test_who_takes_anothers_place_and_whom_it_replaces_hold_the_more_of_the_two() -> None:
    book = Reservations(TOTAL)
    spot = replace(NEED, cpu_millis=3000, gpu_count=1)
    book.hold(BID, spot, 0, 100)
    book.award(BID, "lease_spot", 0)
    need = replace(NEED, cpu_millis=2000, memory_bytes=2 * GIB, gpu_count=1)
    assert not book.hold(BID, need, 0, 100)
    assert book.hold(BID, need, 0, 100, instead_of=("lease_spot",))
    assert book.spoken_for(0) == {"lease_spot"}
    assert book.free(0).cpu_millis == 1000
    assert book.free(0).memory_bytes == 6 * GIB
    # The bid is not awarded: all is as before.
    assert book.spoken_for(100) == frozenset()
    assert (book.free(100).cpu_millis, book.free(100).memory_bytes) == (1000, 7 * GIB)

    book.hold(BID, need, 100, 200, instead_of=("lease_spot",))
    held = book.award(BID, "lease_ordinary", 100)
    assert held is not None
    assert (held.gpus, held.instead_of) == ((GPU,), ("lease_spot",))
    assert book.in_the_way("lease_ordinary") == ("lease_spot",)
    book.release("lease_spot")
    assert book.in_the_way("lease_ordinary") == ()
    assert book.free(200).cpu_millis == 2000
    assert book.free(200).gpus == ()


GPUS = tuple(Gpu(f"GPU-{number}", "model", (number + 1) * GIB) for number in range(3))
NEEDS = st.builds(
    Requirements,
    cpu_millis=st.integers(0, 3000),
    memory_bytes=st.integers(0, 5),
    disk_bytes=st.integers(0, 5),
    gpu_count=st.integers(0, 2),
)
NAMES = st.tuples(st.sampled_from("ab"), st.sampled_from("123"))
LEASES = st.sampled_from(["lease_1", "lease_2", "lease_3"])


class Ledger(RuleBasedStateMachine):
    """Any order of asking, awarding and giving back, against a plain list of promises."""

    def __init__(self) -> None:
        super().__init__()
        self.total = Capacity(4000, 8, 8, GPUS)
        self.book = Reservations(self.total)
        self.now_ms = 0
        self.leases: dict[str, Reservation] = {}
        self.bids: dict[tuple[str, str], tuple[Requirements, int, int]] = {}

    @rule(name=NAMES, need=NEEDS, inputs=st.integers(0, 3), lasts_ms=st.integers(0, 9))
    def hold(self, name: tuple[str, str], need: Requirements, inputs: int, lasts_ms: int) -> None:
        self.bids.pop(name, None)
        if self.book.hold(name, need, self.now_ms, self.now_ms + lasts_ms, inputs):
            self.bids[name] = (need, inputs, self.now_ms + lasts_ms)

    @rule(name=NAMES, lease_id=LEASES)
    def award(self, name: tuple[str, str], lease_id: str) -> None:
        if lease_id in self.leases:
            return
        promised = self.bids.pop(name, None)
        held = self.book.award(name, lease_id, self.now_ms)
        if promised is None or promised[2] <= self.now_ms:
            assert held is None
        else:
            assert held is not None, "a bid that stands is kept"
            assert (held.need, held.input_bytes) == promised[:2]
            self.leases[lease_id] = held

    @rule(lease_id=LEASES)
    def release(self, lease_id: str) -> None:
        self.book.release(lease_id)
        self.leases.pop(lease_id, None)

    @rule(passed_ms=st.integers(0, 9))
    def pass_time(self, passed_ms: int) -> None:
        self.now_ms += passed_ms

    @invariant()
    def nothing_is_promised_twice_and_nothing_is_lost(self) -> None:
        free = self.book.free(self.now_ms)
        standing = [bid for bid in self.bids.values() if bid[2] > self.now_ms]
        needs = [held.need for held in self.leases.values()] + [bid[0] for bid in standing]
        inputs = sum(held.input_bytes for held in self.leases.values()) + sum(
            bid[1] for bid in standing
        )
        assert free.cpu_millis == 4000 - sum(need.cpu_millis for need in needs)
        assert free.memory_bytes == 8 - sum(need.memory_bytes for need in needs)
        assert free.disk_bytes == 8 - sum(need.disk_bytes for need in needs) - inputs
        assert len(free.gpus) == 3 - sum(need.gpu_count for need in needs)
        leased = [gpu.uuid for held in self.leases.values() for gpu in held.gpus]
        assert len(set(leased)) == len(leased)
        assert not set(leased) & {gpu.uuid for gpu in free.gpus}


TestLedger = Ledger.TestCase
TestLedger.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


class Changing(RuleBasedStateMachine):
    """A machine whose GPUs come and go under bids and leases, and that is restarted at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.there = set(GPUS)
        self.book = Reservations(Capacity(4000, 8, 8, GPUS))
        self.leases: dict[str, Reservation] = {}
        self.made = 0

    def _found(self) -> None:
        gpus = tuple(gpu for gpu in GPUS if gpu in self.there)
        self.book.total = replace(self.book.total, gpus=gpus)

    @rule(gpu=st.sampled_from(GPUS))
    def lose(self, gpu: Gpu) -> None:
        self.there.discard(gpu)
        self._found()

    @rule(gpu=st.sampled_from(GPUS))
    def find(self, gpu: Gpu) -> None:
        self.there.add(gpu)
        self._found()

    @rule(need=NEEDS, gone=st.none() | st.sampled_from(GPUS))
    def come(self, need: Requirements, gone: Gpu | None) -> None:
        """A lease, whose bid may have named a GPU that goes before it is awarded."""
        name = ("coordinator", "demand")
        if not self.book.hold(name, need, 0, 10):
            return
        if gone is not None:
            self.lose(gone)
        self.made += 1
        held = self.book.award(name, f"lease_{self.made}", 0)
        if held is not None:
            assert set(held.gpus) <= self.there
            self.leases[f"lease_{self.made}"] = held

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        if self.leases:
            lease_id = data.draw(st.sampled_from(sorted(self.leases)))
            self.book.release(lease_id)
            self.book.release(lease_id)
            del self.leases[lease_id]

    @rule(cores=st.integers(0, 4))
    def restart(self, cores: int) -> None:
        """On a machine that may have become smaller."""
        self.book = Reservations(Capacity(cores * 1000, 8, 8, GPUS))
        for lease_id, held in self.leases.items():
            self.book.restore(lease_id, held)
        self._found()

    @invariant()
    def nothing_is_less_than_nothing_or_had_twice(self) -> None:
        free = self.book.free(0)
        assert min(free.cpu_millis, free.memory_bytes, free.disk_bytes) >= 0
        assert set(free.gpus) <= self.there
        leased = [uuid for uuids in self.book.leases(0).values() for uuid in uuids]
        assert len(set(leased)) == len(leased)
        assert set(leased) == self.book.leased_gpus()
        assert not set(leased) & {gpu.uuid for gpu in free.gpus}
        assert self.book.leases(0).keys() == self.leases.keys()


TestChanging = Changing.TestCase
TestChanging.settings = settings(
    max_examples=60,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


class Displacing(RuleBasedStateMachine):
    """Leases that come in others' places, in any order, with a machine that is restarted at any time.

    What runs at once has to fit: every lease, but those who wait for others to be gone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = Capacity(4000, 8, 8, GPUS)
        self.book = Reservations(self.total)
        self.leases: dict[str, Reservation] = {}
        self.made = 0

    def _add(self, need: Requirements, instead_of: tuple[str, ...]) -> None:
        name = ("coordinator", "demand")
        if self.book.hold(name, need, 0, 10, 0, instead_of=instead_of):
            self.made += 1
            held = self.book.award(name, f"lease_{self.made}", 0)
            assert held is not None
            self.leases[f"lease_{self.made}"] = held

    @rule(need=NEEDS)
    def come(self, need: Requirements) -> None:
        self._add(need, ())

    @rule(need=NEEDS, data=st.data())
    def come_instead(self, need: Requirements, data: st.DataObject) -> None:
        spoken_for = self.book.spoken_for(0)
        may_go = [
            lease_id
            for lease_id, held in self.leases.items()
            if not held.instead_of and lease_id not in spoken_for
        ]
        if may_go:
            gone = data.draw(st.lists(st.sampled_from(may_go), unique=True, min_size=1))
            self._add(need, tuple(gone))

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        if self.leases:
            lease_id = data.draw(st.sampled_from(sorted(self.leases)))
            self.book.release(lease_id)
            del self.leases[lease_id]

    @rule()
    def restart(self) -> None:
        before = self.book.free(0)
        self.book = Reservations(self.total)
        for lease_id, held in self.leases.items():
            self.book.restore(lease_id, held)
        assert self.book.free(0) == before

    @invariant()
    def what_runs_and_what_is_free_fit_the_machine(self) -> None:
        free = self.book.free(0)
        running = [
            held for lease_id, held in self.leases.items() if not self.book.in_the_way(lease_id)
        ]
        assert sum(held.need.cpu_millis for held in running) + free.cpu_millis <= 4000
        assert sum(held.need.memory_bytes for held in running) + free.memory_bytes <= 8
        assert sum(held.disk_bytes for held in running) + free.disk_bytes <= 8
        used = [gpu.uuid for held in running for gpu in held.gpus]
        used += [gpu.uuid for gpu in free.gpus]
        assert len(set(used)) == len(used)


TestDisplacing = Displacing.TestCase
TestDisplacing.settings = settings(
    max_examples=60,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
