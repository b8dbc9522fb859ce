"""What is known of a lease's job while this process lives; a restart finds it out again."""

from dataclasses import dataclass, field

from .container_usage import Usage
from .job_log import JobLog


@dataclass(slots=True)
class JobState:
    """One job.

    Attributes:
        note: what the preparation is at, for people.
        disk_full: the disk was seen full while it ran.
        link_lost: a gang's member, it had no way to the others any more.
        fork_refused: it wanted more processes than it may have.
        container_id: "" until it is known.
    """

    log: JobLog
    usage: Usage = field(default_factory=Usage)
    note: str = ""
    disk_full: bool = False
    link_lost: bool = False
    fork_refused: bool = False
    container_id: str = ""
