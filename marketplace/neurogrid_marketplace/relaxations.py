"""What a demand could ask for instead, so that nodes come in which one constraint keeps out.

Nothing here guesses: every relaxation is a demand of its own, held against the nodes as any other.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from .attribute_values import BYTES, Kind, order_key
from .attributes import NODE, NodeFacts, Subject
from .condition_checks import tidy_condition
from .condition_text import write_clause
from .conditions import MAX_VALUES, Clause, Condition, Operator
from .constraints import (
    MAX_PRICE,
    OF_THE_MOMENT,
    TOGETHER,
    Constraint,
    constraints_of,
    meets,
    of_clause,
)
from .demand import Demand
from .judgement import suits
from .money import format_usdc

# How far to go is shown in so many steps at most.
STEPS = 5
_GB = 10**9
_LOWER = (Operator.AT_LEAST, Operator.MORE)
_UPPER = (Operator.AT_MOST, Operator.LESS)


@dataclass(frozen=True, slots=True)
class Step:
    """How many nodes come in when the constraint is this."""

    constraint: str
    nodes: int


@dataclass(frozen=True, slots=True)
class Relaxation:
    """The single constraint whose removal would let most nodes in.

    Attributes:
        nodes: that come in without it.
        steps: what it could be instead: of something ordered the nearest first, each with more nodes
            than the one before; else what brings most first. Empty where there is nothing between
            asking and not asking.
    """

    constraint: str
    nodes: int
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class _Instead:
    """Another demand, which one node meets.

    Attributes:
        distance: compares those of one constraint.
        clause: that stands for the one which was relaxed; None for what every demand has.
    """

    text: str
    distance: int
    demand: Demand
    clause: Clause | None = None


def nodes_without(constraint: Constraint, kept_out: Sequence[NodeFacts]) -> int:
    """How many come in without this constraint.

    Args:
        kept_out: the nodes that miss it and nothing else, and where it is about GPUs those that miss
            nothing but `TOGETHER`; at least one.
    """
    dropped = _without(constraint, kept_out[0].demand)
    return len(kept_out) if dropped is None else _meeting(kept_out, dropped, (TOGETHER,))


def relaxation(constraint: Constraint, kept_out: Sequence[NodeFacts]) -> Relaxation:
    """What relaxing this constraint brings; ``kept_out`` as in `nodes_without`."""
    every = sorted(_instead_of(constraint, kept_out), key=lambda each: (each.distance, each.text))
    ordered = any(instead.distance for instead in every)
    steps = [
        Step(instead.text, count)
        for instead in _spread(every)
        if (count := _meeting(kept_out, instead.demand, _in_question(instead)))
    ]
    if ordered:
        steps = [
            step
            for index, step in enumerate(steps)
            if not index or step.nodes > steps[index - 1].nodes
        ]
    else:
        steps.sort(key=lambda step: -step.nodes)
    return Relaxation(constraint.name, nodes_without(constraint, kept_out), tuple(steps))


def _instead_of(constraint: Constraint, kept_out: Sequence[NodeFacts]) -> Collection[_Instead]:
    """What could be asked instead, each once: there are fewer values than nodes."""
    if constraint.clause is None:
        found = (_other_terms(constraint.name, facts) for facts in kept_out)
        return {instead.text: instead for instead in found if instead is not None}.values()
    if len(constraint.clause.alternatives) > 1:
        return ()
    demand = kept_out[0].demand
    (condition,) = constraint.clause.alternatives
    rest = _without(constraint, demand)
    assert rest is not None, "a clause can be left out"
    values = {_value(condition, NodeFacts(facts.offer, rest, facts.standing)) for facts in kept_out}
    known = (value for value in values if value is not None)
    others = {clause for value in known if (clause := _wider(condition, value)) is not None}
    return [_with_clause(demand, constraint.clause, other) for other in others]


def _meeting(
    kept_out: Iterable[NodeFacts], demand: Demand, in_question: Iterable[Constraint]
) -> int:
    """How many meet these, and are free."""
    looked_at = (*in_question, *OF_THE_MOMENT)
    return sum(
        meets(NodeFacts(facts.offer, demand, facts.standing), looked_at) for facts in kept_out
    )


def _in_question(instead: _Instead) -> tuple[Constraint, ...]:
    """What nodes that missed one constraint alone may miss now.

    With another clause, that one, and what GPUs have to meet together. With other requirements
    anything: they decide the price too.
    """
    if instead.clause is None:
        return constraints_of(instead.demand)
    return (of_clause(instead.clause), TOGETHER)


def _spread(every: list[_Instead]) -> list[_Instead]:
    """The nearest, the furthest, and some between."""
    if len(every) <= STEPS:
        return every
    return [every[index * (len(every) - 1) // (STEPS - 1)] for index in range(STEPS)]


def _without(constraint: Constraint, demand: Demand) -> Demand | None:
    """The demand without one of its own clauses; None for what it cannot do without."""
    if constraint.clause is None:
        return None
    return replace(demand, where=tuple(each for each in demand.where if each != constraint.clause))


def _other_terms(name: str, facts: NodeFacts) -> _Instead | None:
    """Of what every demand has, as much as this node has."""
    demand, need, total = facts.demand, facts.need, facts.offer.total

    def needing(text: str, distance: int, **changes: object) -> _Instead:
        changed = replace(need, **changes)  # type: ignore[arg-type]  # fields of requirements
        return _Instead(text, distance, replace(demand, requirements=changed))

    match name:
        case "region":
            there = facts.offer.region
            return needing(f"region {there}", 0, regions=(*need.regions, there))
        case "cpu_cores":
            cores = total.cpu_millis
            return needing(f"{cores / 1000:g} cores", need.cpu_millis - cores, cpu_millis=cores)
        case "ram":
            size = _tenth_of_gb(total.memory_bytes)
            return needing(f"{size / _GB:g} GB of memory", -size, memory_bytes=size)
        case "storage":
            size = _tenth_of_gb(total.disk_bytes)
            return needing(f"{size / _GB:g} GB of disk", -size, disk_bytes=size)
        case "gpu":
            count = total.largest_gpu_group(need)
            return needing(f"{count} GPUs", -count, gpu_count=count) if count else None
        case _ if name == MAX_PRICE:
            price = facts.quote
            text = f"{format_usdc(price)} USDC per hour"
            return _Instead(text, price, replace(demand, max_price_micro_usdc_per_hour=price))
    return None


def _wider(condition: Condition, value: int | str) -> Clause | None:
    """The condition with a node's own value for the limit, or among those that are allowed."""
    operator, values = condition.operator, condition.values
    if operator in (*_LOWER, *_UPPER):
        operator = Operator.AT_LEAST if operator in _LOWER else Operator.AT_MOST
        kind = NODE[condition.attribute].kind
        values = (_round(kind, value, up=operator is Operator.AT_MOST),)
    elif operator in (Operator.EQUAL, Operator.IN) and len(values) < MAX_VALUES:
        operator, values = Operator.IN, (*values, value)
    else:
        return None
    return Clause((tidy_condition(Condition(condition.attribute, operator, values)),))


def _with_clause(demand: Demand, clause: Clause, other: Clause) -> _Instead:
    (before,), (after,) = clause.alternatives, other.alternatives
    distance = 0
    if after.operator in (Operator.AT_LEAST, Operator.AT_MOST):
        kind = NODE[after.attribute].kind
        distance = abs(_place(kind, after.values[0]) - _place(kind, before.values[0]))
    where = tuple(other if each == clause else each for each in demand.where)
    return _Instead(write_clause(other, NODE), distance, replace(demand, where=where), other)


def _value(condition: Condition, facts: NodeFacts) -> int | str | None:
    """A node's value; of GPUs, the one that as many have as the job gets, or one."""
    attribute = NODE[condition.attribute]
    if attribute.subject is not Subject.GPU:
        value = attribute.read(facts)
        return None if isinstance(value, tuple) else value
    gpus = filter(suits(facts), facts.offer.total.gpus)
    values = [attribute.read(facts.of_gpu(gpu)) for gpu in gpus]
    known = [value for value in values if isinstance(value, int | str)]
    enough = max(1, facts.need.gpu_count)
    if len(known) < enough:
        return None
    if not attribute.kind.is_ordered:
        return known[0]
    known.sort(
        key=lambda value: _place(attribute.kind, value), reverse=condition.operator in _LOWER
    )
    return known[enough - 1]


def _place(kind: Kind, value: int | str) -> int:
    """Where an ordered value stands, as a number."""
    key = order_key(kind, value)
    if isinstance(key, int):
        return key
    padded = (*key, 0, 0, 0, 0)[:4]
    return sum(part * 10 ** (9 * (3 - index)) for index, part in enumerate(padded))


def _round(kind: Kind, value: int | str, *, up: bool) -> int | str:
    """Bytes to three digits, on the side where the node still comes in."""
    if kind is not BYTES or not isinstance(value, int):
        return value
    size: int = int("1".ljust(max(1, len(str(value)) - 2), "0"))
    return -(-value // size) * size if up else value // size * size


def _tenth_of_gb(size_bytes: int) -> int:
    return size_bytes // (_GB // 10) * (_GB // 10)
