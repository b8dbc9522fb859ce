"""Which checkpoints of a task are kept, and from which its next run begins. Pure; part of `orchestration`."""

from dataclasses import replace

from .checkpoint import Checkpoint, KeptCheckpoint
from .demand import VerifyMode
from .task import Task


def newest(task: Task) -> Checkpoint | None:
    """The newest that is kept."""
    return task.checkpoints[-1].checkpoint if task.checkpoints else None


def resumes_from(task: Task) -> Checkpoint | None:
    """What the task's next run begins from; None: from nothing.

    Each run that verifies another, or is verified, begins from nothing: it would be judged by what a
    stranger has left.
    """
    if task.checkpoint is None or task.verification.mode is not VerifyMode.NONE:
        return None
    return newest(task)


def keep(task: Task, lease_id: str, checkpoint: Checkpoint, now_ms: int) -> Task:
    """The task with one more, and without those that are too many.

    One that is not newer than what is there changes nothing, nor does one that nobody has asked for.

    Args:
        lease_id: of the task's present lease, which has left it.
        checkpoint: complete: the caller has looked.
    """
    last = newest(task)
    if task.checkpoint is None or (last and checkpoint.sequence <= last.sequence):
        return task
    kept = (*task.checkpoints, KeptCheckpoint(checkpoint, lease_id, now_ms))
    return replace(task, checkpoints=kept[-task.checkpoint.keep :])
