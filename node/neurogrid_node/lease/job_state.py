"""What is known of a lease's job while this process lives; a restart finds it out again."""

from dataclasses import dataclass, field

import trio

from ..container.cgroup_use import CgroupUse
from ..container.usage import Usage
from .job_log import JobLog


@dataclass(slots=True)
class JobState:
    """One job.

    Attributes:
        counted: what the kernel counted last; `usage` has it, too.
        note: what the preparation is at, for people.
        disk_full: the disk was seen full while it ran.
        link_lost: what it had no way to any more, its gang or its hosts; "" while it has.
        gpu_lost: why it has lost a GPU; "" if it has not.
        service_failed: why its service was ended; "" if it was not.
        ready: whether its service was well when it was looked at last.
        fork_refused: it wanted more processes than it may have.
        container_id: "" until it is known.
        steering: who pauses it, or lets it go on: one at a time.
    """

    log: JobLog
    usage: Usage = field(default_factory=Usage)
    counted: CgroupUse = field(default_factory=CgroupUse)
    note: str = ""
    disk_full: bool = False
    link_lost: str = ""
    gpu_lost: str = ""
    service_failed: str = ""
    ready: bool = False
    fork_refused: bool = False
    container_id: str = ""
    steering: trio.Lock = field(default_factory=trio.Lock)
