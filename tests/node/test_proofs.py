"""What was proved, and when it is asked again: no clock and no container here."""

from hypothesis import given
from hypothesis import strategies as st

from neurogrid_node.machine.proofs import (
    ABILITIES,
    AGAIN_FIRST_MS,
    AGAIN_MAX_MS,
    CHECKPOINTS,
    CONTAINER,
    GANGS,
    HOLDS_MS,
    Disproof,
    Proofs,
)

GPU = "GPU-1"
WANTED = (CONTAINER, CHECKPOINTS, GANGS, GPU)
BROKEN = Disproof("CONTAINER_UNSAFE", "jobs keep capabilities")
NOW_MS = 1_800_000_000_000


def proved(*whats: str) -> Proofs:
    proofs = Proofs()
    for what in (CONTAINER, *whats):
        proofs.passed(what, NOW_MS)
    return proofs


def test_nothing_is_tried_before_a_container_holds_jobs() -> None:
    proofs = Proofs()
    assert proofs.due(WANTED, NOW_MS) == (CONTAINER,)
    proofs.failed(CONTAINER, BROKEN, NOW_MS)
    # Not due yet, and until then nothing else is either.
    assert proofs.due(WANTED, NOW_MS + AGAIN_FIRST_MS - 1) == ()
    assert proofs.due(WANTED, NOW_MS + AGAIN_FIRST_MS) == (CONTAINER,)
    proofs.passed(CONTAINER, NOW_MS + AGAIN_FIRST_MS)
    assert proofs.due(WANTED, NOW_MS + AGAIN_FIRST_MS) == (CHECKPOINTS, GANGS, GPU)


def test_a_proof_is_asked_again_after_a_day_and_stands_meanwhile() -> None:
    proofs = proved(GPU)
    assert proofs.due((GPU,), NOW_MS + HOLDS_MS - 1) == ()
    proofs.passed(CONTAINER, NOW_MS + HOLDS_MS)
    assert proofs.due((GPU,), NOW_MS + HOLDS_MS) == (GPU,)
    assert proofs.is_proved(GPU)
    proofs.failed(GPU, Disproof("CONTAINER_NO_GPU", "it is not there"), NOW_MS + HOLDS_MS)
    assert not proofs.is_proved(GPU)
    assert proofs.of(GPU).code == "CONTAINER_NO_GPU"


def test_an_engine_that_is_away_proves_and_disproves_nothing() -> None:
    proofs = proved(GPU)
    proofs.undecided(GPU, NOW_MS)
    proofs.undecided(GANGS, NOW_MS)
    assert (proofs.is_proved(GPU), proofs.is_proved(GANGS)) == (True, False)
    assert proofs.due(WANTED[1:], NOW_MS) == (CHECKPOINTS,)


def test_what_is_doubted_is_not_offered_until_it_is_proved_again() -> None:
    proofs = proved(GPU, GANGS)
    proofs.doubt((GPU,), "it has failed", NOW_MS + 1)
    assert (proofs.is_proved(GPU), proofs.is_proved(GANGS)) == (False, True)
    assert proofs.of(GPU).message == "it has failed"
    assert proofs.due(WANTED, NOW_MS + 1) == (CHECKPOINTS, GPU)
    # What failed already waits as long as it would have.
    proofs.failed(GPU, BROKEN, NOW_MS + 1)
    proofs.doubt((GPU,), "again", NOW_MS + 2)
    assert proofs.of(GPU).code == BROKEN.code
    assert GPU not in proofs.due(WANTED, NOW_MS + 2)


@given(st.integers(1, 100))
def test_what_fails_is_tried_later_each_time_and_every_ten_minutes_at_least(tries: int) -> None:
    proofs = proved()
    now_ms = NOW_MS
    waits = []
    for _ in range(tries):
        proofs.failed(GPU, BROKEN, now_ms)
        waits.append(proofs.of(GPU).next_ms - now_ms)
        now_ms = proofs.of(GPU).next_ms
    assert waits == sorted(waits)
    assert waits[0] >= AGAIN_FIRST_MS
    assert waits[-1] <= AGAIN_MAX_MS
    proofs.passed(GPU, now_ms)
    proofs.failed(GPU, BROKEN, now_ms)
    assert proofs.of(GPU).next_ms - now_ms == AGAIN_FIRST_MS


STEPS = st.lists(
    st.tuples(st.sampled_from(("passed", "failed", "undecided", "doubt")), st.sampled_from(WANTED)),
    max_size=40,
)


@given(STEPS)
def test_only_what_passed_last_is_ever_offered(steps: list[tuple[str, str]]) -> None:
    proofs = Proofs()
    last: dict[str, str] = {}
    for number, (step, what) in enumerate(steps):
        now_ms = NOW_MS + number
        match step:
            case "passed":
                proofs.passed(what, now_ms)
            case "failed":
                proofs.failed(what, BROKEN, now_ms)
            case "undecided":
                proofs.undecided(what, now_ms)
            case _:
                proofs.doubt((what,), "doubted", now_ms)
        if step != "undecided":
            last[what] = step
    for what in WANTED:
        assert proofs.is_proved(what) is (last.get(what) == "passed")
        assert bool(proofs.of(what).code) is not proofs.is_proved(what)


def test_gpus_that_came_and_went_are_forgotten_and_abilities_are_not() -> None:
    proofs = proved()
    for number in range(1000):
        proofs.passed(f"MIG-{number}", NOW_MS)
    assert proofs.is_proved(CONTAINER)
    assert proofs.is_proved("MIG-999")
    assert not proofs.is_proved("MIG-0")
    assert len(proofs.all) <= 200
    assert set(ABILITIES) >= {CONTAINER}


def test_of_an_earlier_life_only_what_it_proved_is_kept() -> None:
    proofs = proved(GPU)
    proofs.failed(GANGS, BROKEN, NOW_MS)
    later = Proofs(proofs.all)
    assert later.is_proved(GPU)
    assert later.of(GANGS).tries == 0
