"""Conditions that can never hold together, whatever the market has.

What is found: an attribute that its clauses of one condition leave no value, and a clause all of
whose alternatives these rule out. Clauses that can be met are never called a contradiction.
"""

from collections.abc import Sequence
from typing import TypeVar

from .attribute_values import FLAG, VERSION, WORDS, Kind, Value
from .attributes import Vocabulary
from .condition_checks import tidy_condition
from .conditions import MAX_VALUES, Clause, Condition, Operator
from .errors import InvalidValue
from .judgement import compare
from .resources import Requirements

F = TypeVar("F")

# Makes of a version one that is later, and earlier than any other that can be named.
_NEXT = ".0.0.0.0.0.0.0.1"


class Contradiction(InvalidValue):
    """Clauses that can never hold together.

    Attributes:
        clauses: which, in their order.
    """

    def __init__(self, clauses: Sequence[Clause]) -> None:
        self.clauses = tuple(clauses)
        super().__init__(
            "this can never hold" if len(self.clauses) == 1 else "these can never hold together"
        )


def refuse_contradictions(clauses: Sequence[Clause], vocabulary: Vocabulary[F]) -> None:
    """See that the clauses can hold together.

    Raises:
        Contradiction: they cannot.
    """
    fixed: dict[str, list[Clause]] = {}
    for clause in clauses:
        if len(clause.alternatives) == 1:
            fixed.setdefault(clause.alternatives[0].attribute, []).append(clause)
    for clause in clauses:
        rivals = {
            each.attribute: [other for other in fixed.get(each.attribute, []) if other != clause]
            for each in clause.alternatives
        }
        if not any(
            _possible(
                vocabulary[each.attribute].kind,
                [each, *(rival.alternatives[0] for rival in rivals[each.attribute])],
            )
            for each in clause.alternatives
        ):
            against = [clause, *(rival for found in rivals.values() for rival in found)]
            raise Contradiction([each for each in clauses if each in against])


def implied(need: Requirements, max_price_micro_usdc_per_hour: int) -> tuple[Clause, ...]:
    """What a demand asks anyhow, as conditions: so that clauses which contradict it are found too."""
    asked = [
        Condition("cpu.cores", Operator.AT_LEAST, (need.cpu_millis,)),
        Condition("ram", Operator.AT_LEAST, (need.memory_bytes,)),
        Condition("disk", Operator.AT_LEAST, (need.disk_bytes,)),
        Condition("price.hour", Operator.AT_MOST, (max_price_micro_usdc_per_hour,)),
    ]
    if 0 < len(need.regions) <= MAX_VALUES:
        asked.append(tidy_condition(Condition("region", Operator.IN, need.regions)))
    if need.gpu_count:
        asked += [
            Condition("gpu.count", Operator.AT_LEAST, (need.gpu_count,)),
            Condition("gpu.memory", Operator.AT_LEAST, (need.gpu_memory_bytes,)),
            Condition("gpu.compute_capability", Operator.AT_LEAST, (need.compute_capability,)),
        ]
    if need.gpu_count and need.gpu_model:
        asked.append(Condition("gpu.model", Operator.CONTAINS, (need.gpu_model,)))
    return tuple(Clause((condition,)) for condition in asked)


def _possible(kind: Kind, conditions: Sequence[Condition]) -> bool:
    """Whether one value meets all of these, as far as can be seen."""
    if kind is WORDS:
        wanted = {each.values[0] for each in conditions if each.operator is Operator.HAS}
        banned = {each.values[0] for each in conditions if each.operator is Operator.LACKS}
        return not wanted & banned
    return any(
        all(compare(kind, condition, value) for condition in conditions)
        for value in _candidates(kind, conditions)
    )


def _candidates(kind: Kind, conditions: Sequence[Condition]) -> list[Value]:
    """Values of which one meets the conditions if any does."""
    named: list[int | str] = [value for each in conditions for value in each.values]
    if kind is FLAG:
        return list(kind.words)
    if kind.is_number:
        # Only the named numbers and their neighbours can be where a condition turns.
        near = {number + step for number in named for step in (-1, 0, 1) if isinstance(number, int)}
        return [number for number in sorted(near) if 0 <= number <= kind.most]
    if kind is VERSION:
        return ["0", *named, *(f"{value}{_NEXT}" for value in named)]
    exact = [
        value
        for each in conditions
        if each.operator in (Operator.EQUAL, Operator.IN)
        for value in each.values
    ]
    if exact:
        return list(exact)
    # Everything that has to occur in it, one after the other, and something that nobody named.
    parts = [str(each.values[0]) for each in conditions if each.operator is Operator.CONTAINS]
    unnamed = "\0".join(["", *parts, ""])
    return [unnamed]
