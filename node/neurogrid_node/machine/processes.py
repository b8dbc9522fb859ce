"""In which container a process runs, as the kernel tells."""

import re
from pathlib import Path
from typing import Final

_CONTAINER: Final = re.compile(r"[/-]([0-9a-f]{64})(\.scope)?$", re.MULTILINE)
_CGROUP_BYTES_MAX: Final = 16_384


def container_of(pid: int, proc: Path = Path("/proc")) -> str:
    """The id of a process's container; "" where it is in none, is gone, or may not be looked at.

    The engine names a container's control groups by its id: ``docker/ID`` or ``docker-ID.scope``.
    """
    try:
        with (proc / str(pid) / "cgroup").open("rb") as file:
            text = file.read(_CGROUP_BYTES_MAX).decode(errors="replace")
    except OSError:
        return ""
    found = _CONTAINER.search(text)
    return found.group(1) if found else ""
