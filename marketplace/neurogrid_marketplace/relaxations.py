"""What a demand could ask for instead, so that nodes come in which one constraint keeps out.

Nothing here guesses: every relaxation is a demand of its own, held against the nodes as any other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .attribute_values import BYTES, Kind, order_key
from .attributes import NODE, NodeFacts, Subject
from .condition_checks import tidy_condition
from .condition_text import write_clause
from .conditions import MAX_VALUES, Clause, Condition, Operator
from .constraints import MAX_PRICE, Constraint, misses
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
    """Another demand, which one node meets; ``distance`` compares those of one constraint."""

    text: str
    distance: int
    demand: Demand


def relaxation(constraint: Constraint, kept_out: Sequence[NodeFacts]) -> Relaxation:
    """What relaxing this constraint brings.

    Args:
        kept_out: the nodes that miss it and nothing else; at least one.
    """
    dropped = _without(constraint, kept_out[0].demand)
    nodes = len(kept_out) if dropped is None else _meeting(kept_out, dropped)
    found = {
        instead.text: instead for facts in kept_out if (instead := _instead(constraint, facts))
    }
    ordered = any(instead.distance for instead in found.values())
    every = sorted(found.values(), key=lambda each: (each.distance, each.text))
    steps = [
        Step(instead.text, count)
        for instead in _spread(every)
        if (count := _meeting(kept_out, instead.demand))
    ]
    if ordered:
        steps = [
            step
            for index, step in enumerate(steps)
            if not index or step.nodes > steps[index - 1].nodes
        ]
    else:
        steps.sort(key=lambda step: -step.nodes)
    return Relaxation(constraint.name, nodes, tuple(steps))


def _meeting(kept_out: Iterable[NodeFacts], demand: Demand) -> int:
    return sum(not misses(replace(facts, demand=demand)) for facts in kept_out)


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


def _instead(constraint: Constraint, facts: NodeFacts) -> _Instead | None:
    if constraint.clause is not None:
        return _other_clause(constraint.clause, facts)
    demand, need, total = facts.demand, facts.need, facts.offer.total

    def needing(text: str, distance: int, **changes: object) -> _Instead:
        changed = replace(need, **changes)  # type: ignore[arg-type]  # fields of requirements
        return _Instead(text, distance, replace(demand, requirements=changed))

    match constraint.name:
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
        case name if name == MAX_PRICE:
            price = facts.quote
            text = f"{format_usdc(price)} USDC per hour"
            return _Instead(text, price, replace(demand, max_price_micro_usdc_per_hour=price))
    return None


def _other_clause(clause: Clause, facts: NodeFacts) -> _Instead | None:
    """The clause with the node's own value for the limit, or among those that are allowed."""
    if len(clause.alternatives) > 1:
        return None
    rest = tuple(each for each in facts.demand.where if each != clause)
    (condition,) = clause.alternatives
    value = _value(condition, replace(facts, demand=replace(facts.demand, where=rest)))
    if value is None:
        return None
    kind = NODE[condition.attribute].kind
    wider: Condition
    distance = 0
    if condition.operator in (*_LOWER, *_UPPER):
        operator = Operator.AT_LEAST if condition.operator in _LOWER else Operator.AT_MOST
        value = _round(kind, value, up=operator is Operator.AT_MOST)
        wider = Condition(condition.attribute, operator, (value,))
        distance = abs(_place(kind, value) - _place(kind, condition.values[0]))
    elif condition.operator in (Operator.EQUAL, Operator.IN) and len(condition.values) < MAX_VALUES:
        values = (*condition.values, value)
        wider = tidy_condition(Condition(condition.attribute, Operator.IN, values))
    else:
        return None
    changed = Clause((wider,))
    where = tuple(changed if each == clause else each for each in facts.demand.where)
    return _Instead(write_clause(changed, NODE), distance, replace(facts.demand, where=where))


def _value(condition: Condition, facts: NodeFacts) -> int | str | None:
    """A node's value; of GPUs, the one that as many have as the job gets, or one."""
    attribute = NODE[condition.attribute]
    if attribute.subject is not Subject.GPU:
        value = attribute.read(facts)
        return None if isinstance(value, tuple) else value
    gpus = filter(suits(facts), facts.offer.total.gpus)
    values = [attribute.read(replace(facts, gpu=gpu)) for gpu in gpus]
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
