"""May a waiting task go on? What it needs, against what became of the tasks that it needs.

The answer is an event for `orchestration`. A shell asks whenever one of those tasks has ended, in the
transaction that ends it; so a waiting task is never forgotten, and the end of one reaches
everything behind it at once.
"""

from collections.abc import Mapping
from dataclasses import replace

from .job import InputFile, Job
from .task import TERMINAL, Phase, Task
from .task_events import DependencyUnmet, InputsFixed

# How many of a task's outputs are named to who asked for another one.
_NAMED_MAX = 5

_CODES = {Phase.CANCELLED: "DEPENDENCY_CANCELLED"}


def look(
    task: Task, draft: Job, needed: Mapping[str, Task], request: InputFile | None = None
) -> InputsFixed | DependencyUnmet | None:
    """What happens to a waiting task; None if it waits on.

    It ends as soon as one thing that it needs can't be had, also while others still run.

    Args:
        draft: its job with the inputs that were known at once.
        needed: every task that it needs, by id.
        request: what it asks a model, with the words that others have left; until it is written, a task that waits
            for words waits on (`lacks_request_only`).
    """
    for task_id in task.needs.task_ids:
        other = needed[task_id]
        if other.phase in TERMINAL and other.phase is not Phase.COMPLETED:
            return _unmet(other)
    found: list[InputFile] = []
    for wanted in task.needs.outputs:
        left = _outputs(needed[wanted.task_id])
        if left is None:
            continue
        file = left.get(wanted.output)
        if file is None:
            return _missing(wanted.task_id, wanted.output, sorted(left))
        found.append(replace(file, path=wanted.path))
    for part in task.needs.prompt:
        left = _outputs(needed[part.task_id])
        if left is not None and part.output not in left:
            return _missing(part.task_id, part.output, sorted(left))
    if not _all_completed(task, needed) or (task.needs.prompt and request is None):
        return None
    given = [item for item in draft.inputs if request is None or item.path != request.path]
    found += [] if request is None else [request]
    inputs = sorted((*given, *found), key=lambda item: item.path)
    return InputsFixed(replace(draft, inputs=tuple(inputs)))


def lacks_request_only(task: Task, needed: Mapping[str, Task]) -> bool:
    """Whether all that a waiting task needs has completed, and what it asks a model is to be written."""
    return bool(task.needs.prompt) and _all_completed(task, needed)


def waiting_on(needed: Mapping[str, Task]) -> str:
    """What a waiting task is waiting for, in words."""
    left = sorted(task_id for task_id, other in needed.items() if other.phase not in TERMINAL)
    more = f" and {len(left) - 1} more" if len(left) > 1 else ""
    return f"Waits for {left[0]}{more}." if left else ""


def _all_completed(task: Task, needed: Mapping[str, Task]) -> bool:
    return all(needed[task_id].phase is Phase.COMPLETED for task_id in task.needs.task_ids)


def _outputs(task: Task) -> dict[str, InputFile] | None:
    """Path -> file that a completed task has left; None before."""
    if task.phase is not Phase.COMPLETED:
        return None
    assert task.result is not None, "a completed task has a result"
    return {
        item.path: InputFile(item.path, item.sha256, item.size_bytes)
        for item in task.result.outputs
    }


def _unmet(other: Task) -> DependencyUnmet:
    code = _CODES.get(other.phase, "DEPENDENCY_FAILED")
    why = f" ({other.ending.code})" if other.ending is not None else ""
    return DependencyUnmet(
        code, f"It depends on {other.task_id}, which has {_word(other.phase)}{why}."
    )


def _missing(task_id: str, output: str, left: list[str]) -> DependencyUnmet:
    named = ", ".join(repr(path[:64]) for path in left[:_NAMED_MAX]) or "nothing"
    more = f" and {len(left) - _NAMED_MAX} more" if len(left) > _NAMED_MAX else ""
    return DependencyUnmet(
        "OUTPUT_MISSING",
        f"{task_id} has completed, and left no {output[:128]!r} under /outputs: it left {named}{more}.",
    )


def _word(phase: Phase) -> str:
    return {Phase.CANCELLED: "been cancelled"}.get(phase, phase.value)
