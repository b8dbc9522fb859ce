"""Whether new work is taken, and why not."""

from hypothesis import given
from hypothesis import strategies as st

from neurogrid_node.market.intake import (
    OPEN,
    PAUSE_MAX_S,
    Mode,
    Word,
    drain,
    in_force,
    pause,
    refusal,
    resume,
)

NOW_MS = 1_800_000_000_000
WORDS = st.sampled_from(
    [
        OPEN,
        resume(5),
        pause(5, None),
        pause(5, 60),
        drain(OPEN, 5, exits=False),
        drain(OPEN, 5, exits=True),
    ]
)


def why(
    word: Word,
    *,
    ends: bool = False,
    may_work: bool = True,
    is_proved: bool = True,
    now_ms: int = NOW_MS,
) -> str:
    return refusal(word, ends=ends, may_work=may_work, is_proved=is_proved, now_ms=now_ms)


def test_new_work_needs_the_owners_word_a_stake_a_proof_and_a_daemon_that_stays() -> None:
    assert why(OPEN) == ""
    assert why(pause(NOW_MS, None)) == "paused"
    assert why(drain(OPEN, NOW_MS, exits=False)) == "draining"
    assert why(OPEN, may_work=False) == "no stake in place"
    assert why(OPEN, is_proved=False).startswith("no container has shown yet")
    assert why(pause(NOW_MS, None), ends=True, may_work=False) == "stopping"


@given(st.integers(1, PAUSE_MAX_S), st.integers(-1, 10**12))
def test_a_pause_with_an_end_is_over_exactly_then(for_s: int, later_ms: int) -> None:
    word = pause(NOW_MS, for_s)
    now_ms = NOW_MS + later_ms
    assert (why(word, now_ms=now_ms) == "") is (later_ms >= for_s * 1000)
    assert in_force(word, now_ms).mode is (Mode.OPEN if later_ms >= for_s * 1000 else Mode.PAUSED)


@given(WORDS, st.integers(0, 10**15))
def test_what_is_in_force_refuses_the_same_and_stays(word: Word, now_ms: int) -> None:
    current = in_force(word, now_ms)
    assert why(current, now_ms=now_ms) == why(word, now_ms=now_ms)
    assert in_force(current, now_ms) == current


def test_a_drain_that_is_asked_for_again_began_at_the_first() -> None:
    first = drain(pause(1, None), 10, exits=False)
    assert drain(first, 20, exits=True) == Word(Mode.DRAINING, 10, 0, exits=True)
