"""Whether a condition holds: of a value, of a task, of a node and its GPUs.

What is not known meets nothing, neither ``=`` nor ``!=``: a client who wants no old driver does not
get a machine that does not name its own.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from operator import ge, gt, le, lt
from typing import Any, TypeVar

from .attribute_values import Kind, Value, order_key, show_value
from .attributes import NODE, TASK, Attribute, NodeFacts, Subject, Vocabulary
from .conditions import Clause, Condition, Operator
from .demand import Demand
from .resources import Capacity, Gpu

F = TypeVar("F")

_IN_ORDER: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.AT_LEAST: ge,
    Operator.AT_MOST: le,
    Operator.MORE: gt,
    Operator.LESS: lt,
}
_GPU_ATTRIBUTES = frozenset(each.name for each in NODE if each.subject is Subject.GPU)


def compare(kind: Kind, condition: Condition, value: Value) -> bool:
    """Whether a value meets a condition on an attribute of this kind."""
    operator, wanted = condition.operator, condition.values
    if isinstance(value, tuple):
        return (wanted[0] in value) is (operator is Operator.HAS)
    in_order = _IN_ORDER.get(operator)
    if in_order is not None:
        return in_order(order_key(kind, value), order_key(kind, wanted[0]))
    if operator in (Operator.CONTAINS, Operator.OMITS):
        found = str(wanted[0]).casefold() in str(value).casefold()
        return found is (operator is Operator.CONTAINS)
    return _is_one_of(kind, value, wanted) is (operator in (Operator.EQUAL, Operator.IN))


def holds(condition: Condition, vocabulary: Vocabulary[F], facts: F) -> bool:
    """Whether one condition is met."""
    attribute = vocabulary[condition.attribute]
    value = attribute.read(facts)
    return value is not None and compare(attribute.kind, condition, value)


def met(clause: Clause, vocabulary: Vocabulary[F], facts: F) -> bool:
    """Whether one of a clause's alternatives is met."""
    return any(holds(condition, vocabulary, facts) for condition in clause.alternatives)


# --- nodes, with several GPUs each ----------------------------------------------------------------


def met_by_node(clause: Clause, facts: NodeFacts) -> bool:
    """Whether a node meets a clause: for one about GPUs, with as many as the job gets, or one."""
    if met(clause, NODE, facts):
        return True
    if not is_about_gpus(clause):
        return False
    enough = max(1, facts.need.gpu_count)
    gpus = facts.offer.total.gpus
    return sum(met(clause, NODE, facts.of_gpu(gpu)) for gpu in gpus) >= enough


def suits(facts: NodeFacts) -> Callable[[Gpu], bool]:
    """Which of a node's GPUs a job may get: those that meet every clause about GPUs."""
    about_gpus = [
        clause
        for clause in facts.demand.where
        if is_about_gpus(clause) and not met(clause, NODE, facts)
    ]

    def suitable(gpu: Gpu) -> bool:
        return facts.need.accepts(gpu) and all(
            met(clause, NODE, facts.of_gpu(gpu)) for clause in about_gpus
        )

    return suitable


def gpus_needed(facts: NodeFacts) -> int:
    """How many such GPUs the node has to have: one too where the job gets none, if a clause asks."""
    asks = any(
        is_about_gpus(clause) and not met(clause, NODE, facts) for clause in facts.demand.where
    )
    return max(facts.need.gpu_count, int(asks))


def narrowed(capacity: Capacity, facts: NodeFacts) -> Capacity:
    """What of a node's capacity the demand's conditions leave: all but the GPUs they rule out."""
    if not any(map(is_about_gpus, facts.demand.where)):
        return capacity
    return replace(capacity, gpus=tuple(filter(suits(facts), capacity.gpus)))


def shortfall(clause: Clause, facts: NodeFacts) -> str:
    """What a node has of that which a clause names, in words."""
    of_gpus = [facts.of_gpu(gpu) for gpu in facts.offer.total.gpus]
    return "; ".join(
        _told(NODE[name], of_gpus if NODE[name].subject is Subject.GPU else [facts])
        for name in _names(clause)
    )


def shortfall_of_task(clause: Clause, demand: Demand) -> str:
    """What a task is of that which a clause names, in words."""
    return "; ".join(_told(TASK[name], [demand]) for name in _names(clause))


def is_about_gpus(clause: Clause) -> bool:
    """Whether it names what each GPU has of its own."""
    return any(each.attribute in _GPU_ATTRIBUTES for each in clause.alternatives)


def node_can_judge(clause: Clause) -> bool:
    """Whether a node knows of itself what this clause names."""
    return all(NODE[each.attribute].subject is not Subject.STANDING for each in clause.alternatives)


def _names(clause: Clause) -> Iterable[str]:
    return dict.fromkeys(each.attribute for each in clause.alternatives)


def _told(attribute: Attribute[F], looks: Iterable[F]) -> str:
    values = [attribute.read(look) for look in looks]
    known = [show_value(attribute.kind, value) for value in values if value is not None]
    return f"{attribute.name} is {', '.join(dict.fromkeys(known)) or 'not known'}"


def _is_one_of(kind: Kind, value: Value, wanted: tuple[int | str, ...]) -> bool:
    if kind.is_ordered:
        assert not isinstance(value, tuple), "a set of words has no order"
        return order_key(kind, value) in {order_key(kind, each) for each in wanted}
    return value in wanted
