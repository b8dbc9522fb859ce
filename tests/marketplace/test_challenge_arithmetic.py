from hypothesis import given, settings
from hypothesis import strategies as st

from neurogrid_marketplace.challenge_arithmetic import (
    DIMENSION,
    PRIME,
    TILE_WORDS,
    Key,
    key_of,
    tile,
    walk_end,
    words,
)

from .challenge_reference import walk_ends

keys = st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))


def test_a_key_is_two_numbers_of_64_bits() -> None:
    assert key_of("0123456789abcdef00000000000000ff") == (0x0123456789ABCDEF, 0xFF)


def test_the_prime_is_one_and_sums_have_room() -> None:
    assert all(PRIME % divisor for divisor in range(2, int(PRIME**0.5) + 1))
    assert DIMENSION * (PRIME - 1) ** 2 + PRIME < 2**64


def test_the_numbers_never_change() -> None:
    """Answers are compared with these for ever: whoever changes them breaks every runner out there."""
    key = key_of("0123456789abcdef0123456789abcdef")
    assert words(key, 0, 3) == [265420562, 164334974, 446079153]
    assert walk_end(key, 7, tiles=50, steps=3, rounds=2) == 1223213859


@given(key=keys, place=st.integers(0, 2**63), count=st.integers(1, 80))
def test_words_do_not_depend_on_how_many_are_asked_for(key: Key, place: int, count: int) -> None:
    one_by_one = [words(key, place + number, 1)[0] for number in range(count)]
    assert words(key, place, count) == one_by_one
    assert all(0 <= word < PRIME for word in one_by_one)


@given(key=keys, number=st.integers(0, 2**28), rounds=st.integers(1, 3))
@settings(max_examples=10)
def test_a_tile_is_squared_with_the_constant_of_each_round(
    key: Key, number: int, rounds: int
) -> None:
    made = tile(key, number, rounds - 1)
    constant = words(key, 2**63 + (rounds - 1) * TILE_WORDS, TILE_WORDS)
    expected = [
        (
            sum(made[row * DIMENSION + k] * made[k * DIMENSION + column] for k in range(DIMENSION))
            + constant[row * DIMENSION + column]
        )
        % PRIME
        for row in range(DIMENSION)
        for column in range(DIMENSION)
    ]
    assert tile(key, number, rounds) == expected


@given(
    key=keys,
    tiles=st.integers(1, 40),
    walks=st.integers(1, 4),
    steps=st.integers(1, 8),
    rounds=st.integers(1, 3),
)
@settings(max_examples=25, deadline=None)
def test_a_walk_that_is_worked_out_alone_ends_where_it_ends_among_all(
    key: Key, tiles: int, walks: int, steps: int, rounds: int
) -> None:
    ends = walk_ends(key, tiles, walks, steps, rounds)
    alone = [
        walk_end(key, number, tiles=tiles, steps=steps, rounds=rounds) for number in range(walks)
    ]
    assert alone == ends
