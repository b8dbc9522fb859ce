from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.resources import Capacity, Gpu, Requirements

from .market import GIB, capacity, gpu

gpus = st.lists(
    st.builds(Gpu, st.uuids().map(lambda u: f"GPU-{u}"), st.just("A"), st.integers(0, 99)),
    max_size=5,
    unique_by=lambda item: item.uuid,
).map(tuple)
capacities = st.builds(
    Capacity, st.integers(0, 9_000), st.integers(0, 99), st.integers(0, 99), gpus
)
needs = st.builds(
    Requirements,
    st.integers(0, 9_000),
    st.integers(0, 99),
    st.integers(0, 99),
    st.integers(0, 3),
    st.integers(0, 99),
)


@given(capacities, needs)
def test_what_is_taken_and_what_is_left_add_up(have: Capacity, need: Requirements) -> None:
    outcome = have.take(need)
    if outcome is None:
        return
    left, taken = outcome
    assert left.cpu_millis + need.cpu_millis == have.cpu_millis
    assert left.memory_bytes + need.memory_bytes == have.memory_bytes
    assert left.disk_bytes + need.disk_bytes == have.disk_bytes
    assert sorted(g.uuid for g in (*left.gpus, *taken)) == sorted(g.uuid for g in have.gpus)
    assert len(taken) == need.gpu_count
    assert all(need.accepts(g) for g in taken)
    assert min(left.cpu_millis, left.memory_bytes, left.disk_bytes) >= 0


@given(capacities, st.lists(needs, max_size=6))
def test_nothing_is_ever_promised_twice(have: Capacity, wishes: list[Requirements]) -> None:
    left, taken = have, []
    for need in wishes:
        if (outcome := left.take(need)) is not None:
            left, got = outcome
            taken += [item.uuid for item in got]
    assert len(set(taken)) == len(taken)


def test_large_gpus_are_kept_for_who_needs_them() -> None:
    outcome = capacity(gpus=(gpu(1, 80), gpu(2, 24))).take(Requirements(gpu_count=1))
    assert outcome is not None
    assert outcome[1] == (gpu(2, 24),)


def test_models_and_compute_capabilities_are_compared_as_people_mean_them() -> None:
    need = Requirements(gpu_model="rtx 4090", compute_capability="8.0", gpu_memory_bytes=20 * GIB)
    assert need.accepts(gpu(1))
    assert not need.accepts(Gpu("GPU-2", "NVIDIA GeForce RTX 4090", 24 * GIB, "7.5"))
    assert Requirements(compute_capability="8.0").accepts(Gpu("GPU-3", "B", 1, "10.0"))
