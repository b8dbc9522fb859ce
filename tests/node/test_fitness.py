"""Which GPUs may be offered, judged from readings and the driver's errors."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from neurogrid_node.machine.fitness import (
    CLEAN_READINGS,
    PENALTY_MAX_MS,
    Fitness,
    Withheld,
)
from neurogrid_node.machine.gpu_state import (
    GpuFault,
    GpuProcess,
    GpuReading,
    GpuState,
    XidEvent,
)

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
A = GpuState(0, "GPU-a", "NVIDIA H100", 80 << 30, 0, "9.0", 0, 40, 70_000, ())
B = replace(A, index=1, uuid="GPU-b")
PART = replace(A, index=2, uuid="MIG-c", parent_uuid="GPU-c", profile="1g.10gb")
BOTH = GpuReading((A, B))


class Watched:
    """Readings every five seconds."""

    def __init__(self, fitness: Fitness | None = None) -> None:
        self.fitness = fitness or Fitness()
        self.now_ms = 1_000_000_000
        self.ours: set[str] = set()

    def read(self, reading: GpuReading, *xids: XidEvent, times: int = 1) -> list[str]:
        """The UUIDs that are offered then."""
        for number in range(times):
            self.now_ms += 5_000
            self.fitness.take(reading, xids if number == 0 else (), self.ours, self.now_ms)
        return sorted(gpu.uuid for gpu in self.fitness.offered)

    def codes(self) -> dict[str, str]:
        return {each.uuid: each.code for each in self.fitness.withheld}

    def wait(self, ms: int) -> None:
        self.now_ms += ms


def test_what_works_is_offered_at_once() -> None:
    watched = Watched()
    assert watched.read(BOTH) == ["GPU-a", "GPU-b"]
    assert watched.codes() == {}


def test_a_gpu_that_goes_is_not_offered_and_comes_back_after_clean_readings() -> None:
    watched = Watched()
    watched.read(BOTH)
    assert watched.read(GpuReading((A,))) == ["GPU-a"]
    assert watched.codes() == {"GPU-b": "gone"}
    assert watched.fitness.broken("GPU-b") == "it is not there any more"
    assert watched.read(BOTH, times=CLEAN_READINGS - 1) == ["GPU-a"]
    assert watched.read(BOTH) == ["GPU-a", "GPU-b"]
    assert watched.fitness.broken("GPU-b") == ""


def test_a_broken_reading_begins_the_count_anew() -> None:
    watched = Watched()
    watched.read(BOTH)
    watched.read(GpuReading((A,)))
    watched.read(BOTH, times=CLEAN_READINGS - 1)
    watched.read(GpuReading((A,)))
    assert watched.read(BOTH, times=CLEAN_READINGS - 1) == ["GPU-a"]


def test_the_drivers_own_word_is_kept() -> None:
    watched = Watched()
    watched.read(BOTH)
    fault = GpuFault(1, "GPU-b", "reset_required", "it needs a reset")
    watched.read(GpuReading((A,), (fault,)))
    assert watched.codes() == {"GPU-b": "reset_required"}


def test_a_driver_that_is_unloaded_takes_all_with_it() -> None:
    watched = Watched()
    watched.read(BOTH)
    assert watched.read(GpuReading(note="the driver is not loaded")) == []
    assert watched.fitness.broken("GPU-a") == "the driver is not loaded"
    watched.fitness.silent(watched.now_ms)
    assert watched.codes() == {"GPU-a": "gone", "GPU-b": "gone"}, "the first reason stays"


def test_a_driver_that_does_not_answer_withholds_all_and_no_job_has_lost_anything() -> None:
    watched = Watched()
    watched.read(BOTH)
    watched.fitness.silent(watched.now_ms)
    assert watched.codes() == {"GPU-a": "silent", "GPU-b": "silent"}
    assert watched.fitness.broken("GPU-a") == ""
    assert watched.read(BOTH, times=CLEAN_READINGS) == ["GPU-a", "GPU-b"]
    watched.fitness.silent(watched.now_ms)
    watched.read(GpuReading((B,)))
    assert watched.fitness.broken("GPU-a") == "it is not there any more", "now it is known"


def test_an_error_of_the_gpu_withholds_it_for_ten_minutes() -> None:
    watched = Watched()
    watched.read(BOTH)
    assert watched.read(BOTH, XidEvent("GPU-b", 79)) == ["GPU-a"]
    assert watched.codes() == {"GPU-b": "xid"}
    assert "XID 79" in watched.fitness.broken("GPU-b")
    watched.wait(9 * MINUTE_MS)
    assert watched.read(BOTH, times=CLEAN_READINGS) == ["GPU-a"]
    watched.wait(MINUTE_MS)
    assert watched.read(BOTH) == ["GPU-a", "GPU-b"]


def test_an_error_of_the_program_withholds_nothing() -> None:
    watched = Watched()
    watched.read(BOTH)
    assert watched.read(BOTH, XidEvent("GPU-b", 31), XidEvent("GPU-b", 63)) == ["GPU-a", "GPU-b"]


def test_an_error_of_a_whole_gpu_withholds_its_parts() -> None:
    watched = Watched()
    watched.read(GpuReading((A, PART)))
    assert watched.read(GpuReading((A, PART)), XidEvent("GPU-c", 48)) == ["GPU-a"]
    assert watched.read(GpuReading((A, PART)), XidEvent("", 79)) == ["GPU-a"]


def test_memory_errors_that_grow_withhold_it_and_old_ones_do_not() -> None:
    watched = Watched()
    old = replace(A, ecc_uncorrected=3)
    assert watched.read(GpuReading((old,))) == ["GPU-a"]
    assert watched.read(GpuReading((replace(old, ecc_uncorrected=4),))) == []
    assert watched.codes() == {"GPU-a": "ecc"}


def test_who_fails_again_and_again_waits_longer_each_time_and_a_day_forgives() -> None:
    watched = Watched()
    watched.read(BOTH)
    waited = []
    for _ in range(12):
        watched.read(BOTH, XidEvent("GPU-b", 79))
        (withheld,) = watched.fitness.withheld
        waited.append((withheld.until_ms - watched.now_ms) // MINUTE_MS)
        watched.now_ms = withheld.until_ms
        watched.read(BOTH, times=CLEAN_READINGS)
    assert waited[:4] == [10, 20, 40, 80]
    assert max(waited) * MINUTE_MS <= PENALTY_MAX_MS
    watched.wait(DAY_MS)
    watched.read(BOTH, XidEvent("GPU-b", 79))
    (withheld,) = watched.fitness.withheld
    assert withheld.until_ms - watched.now_ms == 10 * MINUTE_MS


def test_a_gpu_on_which_something_else_computes_is_not_offered() -> None:
    watched = Watched()
    busy = replace(B, processes=(GpuProcess(4711, None),))
    assert watched.read(GpuReading((A, busy))) == ["GPU-a"]
    assert watched.codes() == {"GPU-b": "in_use"}
    assert watched.fitness.broken("GPU-b") == "", "a job that has it has not lost it"
    assert watched.read(BOTH, times=CLEAN_READINGS) == ["GPU-a", "GPU-b"]
    watched.ours = {"GPU-b"}
    assert watched.read(GpuReading((A, busy))) == ["GPU-a", "GPU-b"], "our own job"


def test_a_gpu_that_is_held_back_waits_until_it_is_said_to_be_clean() -> None:
    watched = Watched()
    watched.read(BOTH)
    watched.fitness.hold_back("GPU-a", "memory is still in use", watched.now_ms)
    assert watched.read(BOTH, times=10) == ["GPU-b"]
    assert watched.fitness.broken("GPU-a") == ""
    watched.fitness.cleaned("GPU-a")
    assert watched.read(BOTH) == ["GPU-a", "GPU-b"]
    watched.fitness.hold_back("GPU-a", "again", watched.now_ms)
    watched.read(GpuReading((B,)))
    assert watched.codes() == {"GPU-a": "gone"}, "what is worse counts"


def test_a_restart_does_not_forget_what_is_broken() -> None:
    before = Withheld("GPU-b", "xid", "XID 48", 999_000_000, 1_000_000_000 + MINUTE_MS, strikes=2)
    watched = Watched(Fitness([before]))
    assert watched.read(BOTH) == ["GPU-a"]
    watched.wait(MINUTE_MS)
    assert watched.read(BOTH, times=CLEAN_READINGS) == ["GPU-a", "GPU-b"]


UUIDS = st.sampled_from([f"GPU-{number}" for number in range(200)])
READINGS = st.lists(UUIDS, max_size=64, unique=True).map(
    lambda uuids: GpuReading(tuple(replace(A, uuid=uuid) for uuid in uuids))
)
ERRORS = st.lists(st.builds(XidEvent, UUIDS, st.integers(1, 150)), max_size=5)


@given(st.lists(st.tuples(READINGS, ERRORS, st.integers(0, DAY_MS)), max_size=12))
def test_nothing_is_offered_that_is_not_there_and_nothing_grows(
    story: list[tuple[GpuReading, list[XidEvent], int]],
) -> None:
    watched = Watched()
    for reading, errors, pause_ms in story:
        watched.wait(pause_ms)
        offered = watched.read(reading, *errors)
        assert set(offered) <= {gpu.uuid for gpu in reading.gpus}
        assert not set(offered) & set(watched.codes())
        assert set(offered) | set(watched.codes()) >= {gpu.uuid for gpu in reading.gpus}
        assert len(watched.fitness.withheld) <= 128
