"""Ids of rows: a word that says what they name, and a UUIDv7 as 32 hex digits."""

import os
import time

# Random numbers that were asked for together: a call of the system each would cost more than the rest of an id.
_TOGETHER = 256
_random: list[int] = []
os.register_at_fork(after_in_child=_random.clear)


def new_id(prefix: str) -> str:
    """A new id such as ``task_0198...``; later ones sort after earlier ones.

    UUIDv7 with the fraction of the millisecond in its 12 first random bits (RFC 9562, section 6.2,
    method 3), so that ids made within one millisecond keep their order too.
    """
    now_ns = time.time_ns()
    unix_ms, fraction_ns = divmod(now_ns, 1_000_000)
    fraction = fraction_ns * 4096 // 1_000_000
    value = (unix_ms & (2**48 - 1)) << 80
    value |= 0x7 << 76
    value |= fraction << 64
    value |= 0b10 << 62
    value |= _random_62_bits()
    return f"{prefix}_{value:032x}"


def _random_62_bits() -> int:
    while True:
        # Taken in one step: ids are made in several threads.
        try:
            return _random.pop()
        except IndexError:
            some = os.urandom(8 * _TOGETHER)
            _random.extend(int.from_bytes(some[at : at + 8]) >> 2 for at in range(0, len(some), 8))
