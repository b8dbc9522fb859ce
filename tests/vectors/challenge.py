"""A challenge's walk."""

from neurogrid_marketplace.canonical import Json, sha256_hex
from neurogrid_marketplace.challenge import Challenge, ChallengeDevice
from neurogrid_marketplace.challenge_arithmetic import tile, walk_end, words
from neurogrid_marketplace.fields import plain

from .lease_story import GIB
from .parties import WINNER


def challenge() -> Json:
    devices = (
        ChallengeDevice("GPU-00000001-1111-2222-3333-444444444444", "a GPU", 24 * GIB, 20, 4),
        ChallengeDevice("cpu", "CPU", GIB, 9, 3, 8),
    )
    asked = Challenge(
        "challenge_" + "1" * 32, WINNER.peer_id, "2" * 64, 2, 7, devices, deadline_ms=30_000
    )
    return {
        "challenge": plain(asked),
        "command": list(asked.job().command),
        "devices": [
            {
                "first_words": list(words(asked.key(place), 0, 4)),
                "first_tile_sha256": sha256_hex(tile(asked.key(place), 0, asked.rounds)),
                "walk_ends": [
                    walk_end(
                        asked.key(place), number, tiles=device.tiles, steps=7, rounds=asked.rounds
                    )
                    for number in range(device.walks)
                ],
            }
            for place, device in enumerate(devices)
        ],
    }
