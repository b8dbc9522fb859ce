"""A client's own comparator: an image that gets all results and says which are the same. Pure.

It runs as a task of the client's. Below /inputs it finds a folder for each run, named 0, 1, ..., with what
that run left, and in the variable ``RUNS`` how many there are. It answers as `diff` does, by ending with
0 (all are the same) or 1 (no two are), or by ending with 0 and leaving ``/outputs/agree.json``: lists of
the runs that are the same, such as ``[[0, 2], [1]]``.

Results of the same bytes are the same whatever it says, and runs that ended in other ways are not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec

from .demand import VerifyMode
from .faults import Outcome
from .fields import FilePath
from .job import MAX_INPUTS, InputFile, Job, OutputFile
from .messages import Result
from .resources import Requirements
from .submission import submit
from .task import Task
from .verification import RUNS_MAX, Verdict, comparison_id, same_files

Same = Callable[[Result, Result], bool]

# So that all runs of the largest group fit one job. A result of more files, or with a path that has
# no room for the folder's name, is not shown to the image, and is the same as its own bytes alone.
FILES_MAX = MAX_INPUTS // RUNS_MAX
ANSWER_FILE = "agree.json"
ANSWER_BYTES_MAX = 4096
_MEMORY_BYTES = 1024**3
# As `diff` ends when it has found a difference.
_NONE_SAME = 1


class NoVerdict(Exception):
    """The image has not said which results are the same; the message says why."""


def to_show(answers: Mapping[str, Result]) -> tuple[str, ...]:
    """The runs whose results the image has to see, in their order; none where bytes tell them apart.

    Args:
        answers: run -> what it came to, in the order of the runs.
    """
    shown = {name: result for name, result in answers.items() if _fits(result)}
    results = list(shown.values())
    if all(same_files(results[0], result) for result in results[1:]):
        return ()
    return tuple(shown)


def comparison(task: Task, answers: Mapping[str, Result], now_ms: int) -> tuple[Task, Job]:
    """The task that shows these results to the image, and its job.

    It runs where the task itself might have run, and on a node of an owner who has no run of it.
    """
    comparator = task.verification.comparator
    assert comparator.image is not None, "an image's comparator has one"
    inputs = tuple(
        InputFile(f"{number}/{output.path}", output.sha256, output.size_bytes)
        for number, result in enumerate(answers.values())
        for output in result.outputs
    )
    job = Job(comparator.image, comparator.command, {"RUNS": str(len(answers))}, inputs)
    demand = replace(
        task.demand,
        job_hash=job.hash(),
        requirements=Requirements(
            memory_bytes=_MEMORY_BYTES, regions=task.demand.requirements.regions
        ),
        image=job.image,
        input_bytes=sum(item.size_bytes for item in inputs),
        timeout_s=comparator.timeout_s,
        finish_by_ms=0,
        verify=VerifyMode.NONE,
        comparator=None,
    )
    made = submit(
        comparison_id(task.task_id, len(answers)),
        demand,
        now_ms,
        task.queue_timeout_ms,
        verification=task.verification,
    )
    return (
        replace(made, belongs_to=task.task_id, compares=tuple(answers), verdict=Verdict.NONE),
        job,
    )


def answer_file(result: Result) -> OutputFile | None:
    """Where the image has written its answer; None: in how it ended.

    Raises:
        NoVerdict: it is larger than any answer.
    """
    found = next((output for output in result.outputs if output.path == ANSWER_FILE), None)
    if found is not None and found.size_bytes > ANSWER_BYTES_MAX:
        raise NoVerdict(f"{ANSWER_FILE} has more than {ANSWER_BYTES_MAX} bytes")
    return found


def read_answer(result: Result, answer: bytes | None, shown: Sequence[Result]) -> Same:
    """What the image has said of the results that it was shown.

    Args:
        answer: what is in `answer_file`.

    Raises:
        NoVerdict: it has failed, or answered what can't be.
    """
    group_of: dict[int, int] = {}
    if result.outcome is Outcome.COMPLETED and answer is not None:
        group_of = _read(answer, len(shown))
    elif result.outcome is Outcome.COMPLETED:
        group_of = dict.fromkeys(range(len(shown)), 0)
    elif (result.outcome, result.exit_code) != (Outcome.EXIT_NONZERO, _NONE_SAME):
        raise NoVerdict(f"it ended with {result.outcome.value}, exit code {result.exit_code}")

    def same(one: Result, other: Result) -> bool:
        if same_files(one, other):
            return True
        groups = [_groups(shown, group_of, each) for each in (one, other)]
        return not groups[0].isdisjoint(groups[1])

    return same


def _read(answer: bytes, runs: int) -> dict[int, int]:
    try:
        groups = msgspec.json.decode(answer, type=list[list[int]])
    except msgspec.MsgspecError as error:
        raise NoVerdict(f"{ANSWER_FILE} holds no lists of runs: {error}") from error
    named = [number for group in groups for number in group]
    if len(set(named)) != len(named):
        raise NoVerdict(f"{ANSWER_FILE} names a run twice")
    if not set(named) <= set(range(runs)):
        raise NoVerdict(f"{ANSWER_FILE} names a run that there is not")
    return {number: place for place, group in enumerate(groups) for number in group}


def _groups(shown: Sequence[Result], group_of: Mapping[int, int], result: Result) -> set[int]:
    """The groups that the image put a result into: it may be there as several runs'."""
    return {
        group_of[number]
        for number, each in enumerate(shown)
        if number in group_of and same_files(each, result)
    }


def _fits(result: Result) -> bool:
    # The files of a program that failed by itself were not checked to be here.
    if result.outcome is not Outcome.COMPLETED or len(result.outputs) > FILES_MAX:
        return False
    try:
        for output in result.outputs:
            msgspec.convert(f"{RUNS_MAX}/{output.path}", FilePath)
    except msgspec.ValidationError:
        return False
    return True
