"""Conditions for tests: as text, and drawn at random."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from neurogrid_marketplace.attribute_values import TEXT, VERSION, Kind
from neurogrid_marketplace.attributes import NODE, Attribute, Subject
from neurogrid_marketplace.condition_checks import checked
from neurogrid_marketplace.condition_text import read_conditions
from neurogrid_marketplace.conditions import Clause, Condition, Operator
from neurogrid_marketplace.errors import InvalidValue

_WORD_CHARS = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789._:/@+-"
_TEXTS = st.text(
    st.characters(categories=("L", "N", "P", "S")) | st.just(" "), min_size=1, max_size=8
)
_NUMBERS = st.integers(0, 2000) | st.integers(0, 2**53 - 1)
_VERSIONS = st.lists(st.integers(0, 600).map(str), min_size=1, max_size=4).map(".".join)
_WORDS = st.builds(str.__add__, st.sampled_from("aZ9"), st.text(_WORD_CHARS, max_size=6))


def where(text: str) -> tuple[Clause, ...]:
    """A client's conditions."""
    return read_conditions(text, NODE)


def values(kind: Kind) -> st.SearchStrategy[int | str]:
    """A value of this kind."""
    if kind.is_number:
        return _NUMBERS.map(lambda number: number % (kind.most + 1))
    if kind.words:
        return st.sampled_from(kind.words)
    return {VERSION: _VERSIONS, TEXT: _TEXTS}.get(kind, _WORDS)


@st.composite
def conditions(
    draw: Callable[[st.SearchStrategy[Any]], Any], attributes: tuple[Attribute[Any], ...]
) -> Condition:
    """A condition on one of these attributes."""
    attribute = draw(st.sampled_from(attributes))
    operator = draw(st.sampled_from(sorted(attribute.kind.operators)))
    listed = operator in (Operator.IN, Operator.NOT_IN)
    wanted = st.lists(values(attribute.kind), min_size=1, max_size=3 if listed else 1).map(tuple)
    return Condition(attribute.name, operator, draw(wanted))


_ABOUT_NODES = tuple(each for each in NODE if each.subject is not Subject.STANDING)
_NOT_ABOUT_GPUS = tuple(each for each in NODE if each.subject is not Subject.GPU)
_clause = st.one_of(
    [
        st.lists(conditions(attributes), min_size=1, max_size=4).map(
            lambda alternatives: Clause(tuple(alternatives))
        )
        for attributes in (_ABOUT_NODES, _NOT_ABOUT_GPUS)
    ]
)


def clauses(max_size: int = 6) -> st.SearchStrategy[tuple[Clause, ...]]:
    """What a client may sign."""
    return st.lists(_clause, max_size=max_size).map(lambda drawn: checked(drawn, NODE))


def complaint(text: str) -> str:
    """What is said of a text that is no condition."""
    try:
        where(text)
    except InvalidValue as error:
        return str(error)
    raise AssertionError(f"{text!r} was read")
