"""What a task waits for before it is queued: other tasks, and files that they will leave.

A task names what it needs when it is submitted, and never again; so it can only name tasks that
were there before it, and no circle can arise. Tasks that are submitted together name each other;
`in_order` finds an order in which each comes after what it needs, or the circle.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

# Tasks that one task may name. Each is looked at whenever one of them has ended.
MAX_NEEDS = 64
# The longest chain of tasks that wait for each other: the end of the first reaches the last in one
# transaction.
MAX_DEPTH = 32


class Circular(Exception):
    """Tasks wait for each other in a circle; ``names``: along it, the first again at its end."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(" -> ".join(names))
        self.names = names


@dataclass(frozen=True, slots=True)
class OutputWanted:
    """An input that another task will leave.

    Attributes:
        path: below /inputs, where the job finds it.
        task_id: who leaves it.
        output: its path below /outputs there.
    """

    path: str
    task_id: str
    output: str


@dataclass(frozen=True, slots=True)
class PromptPart:
    """Words of a model's request that another task will leave (`prompts`).

    Attributes:
        name: ``{{name}}`` stands for them.
        task_id: who leaves them; output: the file, below /outputs there.
        field: of a JSON object; "": the whole file is the words.
        chars_max: no more than so many of them.
    """

    name: str
    task_id: str
    output: str
    field: str
    chars_max: int


@dataclass(frozen=True, slots=True)
class Needs:
    """What a task waits for.

    Attributes:
        task_ids: must have completed; those of ``outputs`` and ``prompt`` are among them.
        outputs: files of theirs that become its inputs.
        prompt: words of theirs that stand in what it asks a model: its request is written when all are there.
        depth: the longest chain of tasks that had not ended when it was submitted, itself counted;
            0 where it waits for nothing.
    """

    task_ids: tuple[str, ...] = ()
    outputs: tuple[OutputWanted, ...] = ()
    depth: int = 0
    prompt: tuple[PromptPart, ...] = ()


NOTHING = Needs()


def in_order(graph: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The names so that each comes after those it needs; names that are no key are left out.

    Raises:
        Circular: there is no such order.
    """
    sorter = TopologicalSorter({name: _known(needed, graph) for name, needed in graph.items()})
    try:
        return tuple(sorter.static_order())
    except CycleError as error:
        raise Circular(tuple(error.args[1])) from error


def _known(names: Iterable[str], graph: Mapping[str, object]) -> list[str]:
    return [name for name in names if name in graph]
