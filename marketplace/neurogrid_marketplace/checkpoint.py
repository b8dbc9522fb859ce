"""What a job keeps of its work while it runs, so that another node can go on from there.

A job that asks for it gets a writable folder. Its node takes *checkpoints* of it: each is a list of
files by their hashes (`checkpoint_manifest`), named by the hash of the list, and exists once every file
of it is at the coordinator. The node's rules are in `snapshots`, the coordinator's in `resuming`.
"""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from .errors import InvalidValue
from .fields import Bytes, Sha256

# Among the runtimes of a node that takes checkpoints, and begins from them.
CHECKPOINT_RUNTIME = "checkpoint"
INTERVAL_MIN_S, INTERVAL_MAX_S = 10, 24 * 3600
KEEP_MAX = 8
# Each file is open while it is read, so that the job may go on meanwhile.
MAX_CHECKPOINT_FILES = 256
# 256 paths of 512 characters of four bytes each, with their hashes and sizes: 572 KiB.
MAX_MANIFEST_BYTES = 600 * 1024
# Names that end so are files and folders that a job is about to rename: no part of a checkpoint.
UNFINISHED_SUFFIXES = (".tmp", ".partial")
# Where the engine, the kernel or the sandbox has something of its own.
_RESERVED = ("/proc", "/sys", "/dev", "/tmp", "/run", "/inputs", "/outputs")

CheckpointPath = Annotated[
    str, Meta(pattern=r"^(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}){1,8}\Z", max_length=255)
]
IntervalS = Annotated[int, Meta(ge=INTERVAL_MIN_S, le=INTERVAL_MAX_S)]
Keep = Annotated[int, Meta(ge=1, le=KEEP_MAX)]
Sequence = Annotated[int, Meta(ge=1, le=10**9)]
FileCount = Annotated[int, Meta(ge=0, le=MAX_CHECKPOINT_FILES)]


@dataclass(frozen=True, slots=True)
class CheckpointPlan:
    """What a job asks for.

    Attributes:
        path: of the folder, as the job sees it.
        interval_s: of running time between two checkpoints; the job may ask for one sooner.
        keep: how many of them, the newest, the coordinator keeps.

    Raises:
        InvalidValue: something else is at that path in every container.
    """

    path: CheckpointPath = "/checkpoint"
    interval_s: IntervalS = 300
    keep: Keep = 1

    def __post_init__(self) -> None:
        if any(self.path == taken or self.path.startswith(f"{taken}/") for taken in _RESERVED):
            raise InvalidValue(
                f"{self.path} can't be the checkpoint's folder: below {', '.join(_RESERVED)} is "
                "something else"
            )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One that is complete.

    Attributes:
        sequence: counts those of a task, over all its leases; some numbers are never used.
        manifest_sha256: of its manifest's bytes, which name every file by its hash.
        files, size_bytes: how many there are, and what they have together.
    """

    sequence: Sequence
    manifest_sha256: Sha256
    files: FileCount
    size_bytes: Bytes


@dataclass(frozen=True, slots=True)
class KeptCheckpoint:
    """One that the coordinator keeps for a task.

    Attributes:
        lease_id: whose run has left it; "" of one that the task was given at its submission.
        at_ms: when it was kept.
    """

    checkpoint: Checkpoint
    lease_id: str
    at_ms: int
