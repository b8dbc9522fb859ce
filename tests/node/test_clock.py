"""The boot of this machine, as its clock tells it."""

import time

from neurogrid_marketplace.lease_clock import CLOCK_STEP_MS
from neurogrid_node.machine.clock import read_boot


def test_while_nobody_sets_the_clock_the_boot_stays_where_it_was() -> None:
    first = read_boot()
    time.sleep(0.05)
    second = read_boot()
    assert second.boot_id == first.boot_id != ""
    assert abs(second.at_ms - first.at_ms) < CLOCK_STEP_MS
    with open("/proc/stat") as stat:
        booted_s = next(int(line.split()[1]) for line in stat if line.startswith("btime "))
    assert abs(first.at_ms / 1000 - booted_s) < 5
