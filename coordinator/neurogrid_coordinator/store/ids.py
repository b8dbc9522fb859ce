"""Ids of rows: a word that says what they name, and a UUIDv7 as 32 hex digits."""

import os
import time


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
    value |= int.from_bytes(os.urandom(8)) >> 2
    return f"{prefix}_{value:032x}"
