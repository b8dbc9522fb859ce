"""``python -m neurogrid_coordinator.model_checks.picture_process``: reads a picture, a PNG from its input, and says some of its points as JSON.

Started by `pictures`, not by hand. Its memory and its time are limited by the kernel, and it can write nothing.
"""

import resource
import sys

import msgspec

from neurogrid_marketplace.png_points import FILE_BYTES_MAX, Unreadable, points_of
from neurogrid_p2p.orphans import die_with

# The file, its rows packed and unpacked, and an interpreter.
MEMORY_BYTES_MAX = 512 * 1024 * 1024
# The largest picture takes three seconds.
CPU_S_MAX = 60
_OPEN_FILES_MAX = 64


def main(parent_pid: int) -> int:
    """Read one picture; it says null where it is none that can be read."""
    die_with(parent_pid)
    file = sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CPU, CPU_S_MAX),
        (resource.RLIMIT_NOFILE, _OPEN_FILES_MAX),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    try:
        points = points_of(file)
    except Unreadable:
        points = None
    sys.stdout.buffer.write(msgspec.json.encode(points))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
