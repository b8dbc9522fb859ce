"""What a challenge has a device work out, exactly, and how a little of it is worked out again.

The device fills its memory with *tiles*: 32 by 32 matrices over the integers modulo `PRIME`. A tile is
drawn from the device's key and its number and squared so many *rounds*, each time with a constant of the
round added, which leaves no way to it but the products. Then *walks* go over the tiles: a walk is a vector
that says which tile is next and is multiplied by it, step after step, so that no part of the order is known
before the step before it, and no digest of a tile stands in for the tile. The number in which a walk ends
depends on every tile that it came by: whoever checks it works out those tiles alone, from the key.

All in integers: every machine gets the same numbers (`images/challenge/field.h` is the same in C).
"""

from array import array
from collections.abc import Sequence
from functools import cache, lru_cache
from operator import mul
from typing import Final

DIMENSION: Final = 32
TILE_WORDS: Final = DIMENSION * DIMENSION
TILE_BYTES: Final = 4 * TILE_WORDS
# The largest prime below 2^29: sums of 32 products and a word have room in 64 bits.
PRIME: Final = 2**29 - 3

# What the constants of rounds, and the starts of walks, are drawn by; tiles count from 0.
_ROUND_PLACE: Final = 1 << 63
_WALK_PLACE: Final = 1 << 62
_WORD_MASK: Final = (1 << 64) - 1
# splitmix64's last step.
_MIX_1: Final = 0xBF58476D1CE4E5B9
_MIX_2: Final = 0x94D049BB133111EB
# Numbers that are mixed together lie in one large integer, this far apart: a product of two has room.
_LANE_BITS: Final = 128
_ROW_BYTES: Final = 8 * DIMENSION

Key = tuple[int, int]
"""Two numbers of 64 bits, drawn for one device of one challenge."""


def key_of(text: str) -> Key:
    """From its 32 hexadecimal digits."""
    return int(text[:16], 16), int(text[16:], 16)


def words(key: Key, place: int, count: int) -> list[int]:
    """The words at ``place`` and after it."""
    ones, low = _lanes(count)
    numbers = (_counting(count) + ones * ((place + key[0]) & _WORD_MASK)) & low
    mixed = _mixed(_mixed(numbers, count) ^ (ones * key[1]), count)
    halves = array("I", mixed.to_bytes(count * _LANE_BITS // 8, "little"))
    return [word % PRIME for word in halves[1::4]]


def tile(key: Key, number: int, rounds: int) -> list[int]:
    """One tile, row by row."""
    made = words(key, number * TILE_WORDS, TILE_WORDS)
    for round_number in range(rounds):
        constant = _constant(key, round_number)
        rows = _rows(made)
        squared: list[int] = []
        for start in range(0, TILE_WORDS, DIMENSION):
            end = start + DIMENSION
            squared += _times(made[start:end], rows, constant[start:end])
        made = squared
    return made


def walk_end(key: Key, number: int, *, tiles: int, steps: int, rounds: int) -> int:
    """The 32-bit number in which a walk over ``tiles`` tiles ends after ``steps`` steps."""
    vector: Sequence[int] = words(key, _WALK_PLACE + number * DIMENSION, DIMENSION)
    for _ in range(steps):
        vector = _times(vector, _rows_of(key, _direction(vector) % tiles, rounds), _NOTHING)
    return _direction(vector) >> 32


_NOTHING: Final = (0,) * DIMENSION


def _times(left: Sequence[int], rows: Sequence[int], added: Sequence[int]) -> list[int]:
    """A row vector times a matrix, plus a row vector."""
    sums = array("Q", sum(map(mul, left, rows)).to_bytes(_ROW_BYTES, "little"))
    return [(number + more) % PRIME for number, more in zip(sums, added, strict=True)]


def _rows(matrix: Sequence[int]) -> list[int]:
    """Each row of a matrix as one integer, with 64 bits for each entry."""
    entries = array("Q", matrix).tobytes()
    return [
        int.from_bytes(entries[start : start + _ROW_BYTES], "little")
        for start in range(0, len(entries), _ROW_BYTES)
    ]


def _direction(vector: Sequence[int]) -> int:
    """Where a walk goes from here, 64 bits."""
    return sum(_mix(entry + (column << 32)) for column, entry in enumerate(vector)) & _WORD_MASK


# Walks over few tiles meet again; a tile takes ten kilobytes, and a millisecond and more to work out.
@lru_cache(maxsize=512)
def _rows_of(key: Key, number: int, rounds: int) -> list[int]:
    return _rows(tile(key, number, rounds))


# As many rounds as a challenge has, of several devices.
@lru_cache(maxsize=64)
def _constant(key: Key, round_number: int) -> tuple[int, ...]:
    return tuple(words(key, _ROUND_PLACE + round_number * TILE_WORDS, TILE_WORDS))


def _mix(number: int) -> int:
    number = ((number ^ (number >> 30)) * _MIX_1) & _WORD_MASK
    number = ((number ^ (number >> 27)) * _MIX_2) & _WORD_MASK
    return number ^ (number >> 31)


def _mixed(numbers: int, count: int) -> int:
    """`_mix` of every lane. A shift moves bits into the upper half of the lane below, which is masked."""
    _, low = _lanes(count)
    numbers = ((numbers ^ ((numbers >> 30) & low)) * _MIX_1) & low
    numbers = ((numbers ^ ((numbers >> 27) & low)) * _MIX_2) & low
    return numbers ^ ((numbers >> 31) & low)


@cache
def _lanes(count: int) -> tuple[int, int]:
    """1 in every lane, and all lower halves of lanes; asked for two counts."""
    ones = sum(1 << (lane * _LANE_BITS) for lane in range(count))
    return ones, ones * _WORD_MASK


@cache
def _counting(count: int) -> int:
    """0, 1, 2, ... in the lanes."""
    return sum(lane << (lane * _LANE_BITS) for lane in range(count))
