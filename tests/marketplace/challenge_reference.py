"""An answer to a challenge, worked out whole and in another way than the rules check it: with numpy."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogrid_marketplace.challenge import Challenge, ChallengeTerms, Rate, plan_challenge
from neurogrid_marketplace.challenge_arithmetic import DIMENSION, PRIME, TILE_BYTES, Key

from .market import capacity, offer

Words = NDArray[np.uint64]

CHALLENGE_ID, SEED = "challenge_" + "3" * 32, "5e" * 32
RATES = (Rate("4090", 500_000), Rate("gpu", 50_000), Rate("cpu", 100))
TERMS = ChallengeTerms(fill_permille=900, visits=8, allowance_ms=20_000, rates=RATES)


def small_challenge(tiles: int = 30, node: str = "winner") -> Challenge:
    """One that a test answers in no time."""
    memory = (64 << 20) + tiles * TILE_BYTES * 10 // 9 + TILE_BYTES
    total = replace(capacity(cores=2), memory_bytes=memory)
    return plan_challenge(offer(node, total=total), CHALLENGE_ID, SEED, TERMS)


def honest_answer(challenge: Challenge) -> dict[str, Any]:
    """What the runner would write, as JSON is read."""
    devices = []
    for place, device in enumerate(challenge.devices):
        ends = walk_ends(
            challenge.key(place), device.tiles, device.walks, challenge.steps, challenge.rounds
        )
        devices.append(
            {
                "uuid": device.uuid,
                "name": "a device",
                "memory_bytes": device.memory_bytes,
                "fill_ms": 5,
                "walk_ms": 1,
                "numbers": "".join(f"{end:08x}" for end in ends),
            }
        )
    return {"devices": devices}


def as_bytes(answer: object) -> bytes:
    return json.dumps(answer).encode()


def walk_ends(key: Key, tiles: int, walks: int, steps: int, rounds: int) -> list[int]:
    filled = _words(key, 0, tiles * DIMENSION**2).reshape(tiles, DIMENSION, DIMENSION)
    constants = _words(key, 1 << 63, rounds * DIMENSION**2).reshape(rounds, DIMENSION, DIMENSION)
    for constant in constants:
        filled = (filled @ filled + constant) % PRIME
    vectors = _words(key, 1 << 62, walks * DIMENSION).reshape(walks, 1, DIMENSION)
    for _ in range(steps):
        vectors = (vectors @ filled[_directions(vectors) % tiles]) % PRIME
    return [int(direction) >> 32 for direction in _directions(vectors)]


def _directions(vectors: Words) -> Words:
    columns = np.arange(DIMENSION, dtype=np.uint64) << np.uint64(32)
    sums: Words = _mix(vectors[:, 0, :] + columns).sum(axis=1, dtype=np.uint64)
    return sums


def _words(key: Key, place: int, count: int) -> Words:
    places = np.arange(count, dtype=np.uint64) + np.uint64((place + key[0]) % 2**64)
    drawn: Words = (_mix(_mix(places) ^ np.uint64(key[1])) >> np.uint64(32)) % np.uint64(PRIME)
    return drawn


def _mix(x: Words) -> Words:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Words = x ^ (x >> np.uint64(31))
    return mixed
