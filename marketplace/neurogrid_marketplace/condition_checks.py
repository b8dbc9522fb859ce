"""Whether conditions make sense: names, operators and values; and their one form.

Whether they can hold together is asked of `contradictions`.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from .attribute_values import check_value
from .attributes import Subject, Vocabulary
from .conditions import Clause, Condition, Operator
from .errors import InvalidValue

F = TypeVar("F")


def checked(clauses: Sequence[Clause], vocabulary: Vocabulary[F]) -> tuple[Clause, ...]:
    """Clauses that came as data, in the form that is signed: see `tidy_condition`.

    Raises:
        UnknownAttribute: of this side there is none of that name.
        InvalidValue: an operator or a value does not fit its attribute.
    """
    for clause in clauses:
        for condition in clause.alternatives:
            _check_condition(condition, vocabulary)
    refuse_mixed(clauses, vocabulary)
    return without_implied(
        Clause(tuple(dict.fromkeys(map(tidy_condition, clause.alternatives)))) for clause in clauses
    )


def tidy_condition(condition: Condition) -> Condition:
    """The one form of a condition: listed values sorted, each once; a list of one is none."""
    operator, values = condition.operator, condition.values
    if operator not in (Operator.IN, Operator.NOT_IN):
        return condition
    values = tuple(sorted(set(values), key=lambda value: (isinstance(value, str), value)))
    if len(values) == 1:
        operator = Operator.EQUAL if operator is Operator.IN else Operator.NOT_EQUAL
    return Condition(condition.attribute, operator, values)


def without_implied(clauses: Iterable[Clause]) -> tuple[Clause, ...]:
    """The clauses in their order, each once, without those that another one implies."""
    first: dict[frozenset[Condition], Clause] = {}
    for clause in clauses:
        first.setdefault(frozenset(clause.alternatives), clause)
    return tuple(
        clause
        for alternatives, clause in first.items()
        if not any(other < alternatives for other in first)
    )


def refuse_mixed(clauses: Iterable[Clause], vocabulary: Vocabulary[F]) -> None:
    """See that no clause needs two to judge it who do not speak in time.

    Raises:
        InvalidValue: alternatives about a GPU, which the node alone picks, and about its standing,
            which it does not know.
    """
    for clause in clauses:
        names = {vocabulary[each.attribute].subject: each.attribute for each in clause.alternatives}
        if Subject.GPU in names and Subject.STANDING in names:
            raise InvalidValue(
                f"{names[Subject.GPU]} and {names[Subject.STANDING]} cannot be alternatives: "
                "a node picks its GPUs and does not know its standing"
            )


def _check_condition(condition: Condition, vocabulary: Vocabulary[F]) -> None:
    attribute = vocabulary[condition.attribute]
    operator, kind = condition.operator, attribute.kind
    if operator not in kind.operators:
        takes = ", ".join(kind.sorted_operators)
        raise InvalidValue(
            f"{attribute.name} is {kind.name} and does not take {operator.value!r}, but {takes}"
        )
    if len(condition.values) > 1 and operator not in (Operator.IN, Operator.NOT_IN):
        raise InvalidValue(f"{attribute.name}: {operator.value!r} takes one value")
    for value in condition.values:
        try:
            check_value(kind, value)
        except InvalidValue as error:
            raise InvalidValue(f"{attribute.name}: {error}") from error
