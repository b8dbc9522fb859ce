"""What is heard of writes by other coordinators of the database (`hints`)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heard:
    """What was committed since the last time.

    Attributes:
        task_ids: handed over.
        may_lack: hints may have been missed before.
    """

    task_ids: frozenset[str] = frozenset()
    may_lack: bool = False
