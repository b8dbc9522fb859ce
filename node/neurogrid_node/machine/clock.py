"""The machine's clock, and when it was set: Linux counts the time since the boot by another one."""

import time
from functools import cache
from pathlib import Path

from neurogrid_marketplace.lease import Boot

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def now_ms() -> int:
    """Unix time."""
    return time.time_ns() // 1_000_000


def read_boot() -> Boot:
    """This boot, by the clock as it is set now."""
    since_boot_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    return Boot(_boot_id(), now_ms() - since_boot_ms)


@cache
def _boot_id() -> str:
    """No process lives through a boot; leases ask twice a second."""
    return _BOOT_ID.read_text().strip()
