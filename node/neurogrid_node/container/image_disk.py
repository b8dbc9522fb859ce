"""How much of an image fits where the engine keeps them."""

import shutil
from pathlib import Path
from typing import Final

import trio

# Unpacked, layers take two to three times what is downloaded; no registry says how much it is.
UNPACKED_RATIO: Final = 3

# Some large images, and most of the disk for jobs' own files.
_SHARE_PERCENT: Final = 30
_ALL: Final = 2**63 - 1


async def image_free_bytes(data_root: str) -> int | None:
    """What is free on the disk of images; None where we cannot look.

    Args:
        data_root: the engine's.
    """

    def look() -> int | None:
        if not data_root or not Path(data_root).is_dir():
            return None
        return shutil.disk_usage(data_root).free

    return await trio.to_thread.run_sync(look)


def cache_limit_bytes(cache_gib: int, data_root: str) -> int:
    """How much of what was fetched and nobody uses is kept; where nothing is said, a share of the disk.

    Args:
        cache_gib: as configured; 0: nothing is said.
        data_root: the engine's; where we cannot look, everything is kept.
    """
    if cache_gib:
        return cache_gib << 30
    if not data_root or not Path(data_root).is_dir():
        return _ALL
    return shutil.disk_usage(data_root).total * _SHARE_PERCENT // 100
