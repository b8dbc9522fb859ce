"""The chain's own clock, by which the program's windows and deadlines end."""

import struct
from typing import Final

from solders.pubkey import Pubkey

CLOCK_SYSVAR: Final = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
# slot u64, epoch start i64, epoch u64, leader schedule epoch u64, unix timestamp i64.
_LAYOUT = struct.Struct("<QqQQq")


def unix_time_s(data: bytes) -> int:
    """The time in the clock sysvar's data, Unix seconds. Behind or ahead of ours by up to minutes.

    Raises:
        ValueError: this is not the clock.
    """
    if len(data) < _LAYOUT.size:
        raise ValueError(f"the clock sysvar has {_LAYOUT.size} bytes, not {len(data)}")
    return int(_LAYOUT.unpack_from(data)[4])
