"""What one side demands of the other: conditions, and how they are put together.

Only their form is here, as it travels and is signed: `attributes` says what may be named,
`condition_checks` what fits together, `condition_text` how people write it, and `judgement` whether
it holds.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

# More than anybody can oversee; they bound what one demand costs each node that is looked at.
MAX_CLAUSES = 32
MAX_ALTERNATIVES = 16
MAX_VALUES = 16
MAX_VALUE_CHARS = 512

AttributeName = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}(\.[a-z][a-z0-9_]{0,31}){0,3}\Z")
]
Number = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Phrase = Annotated[str, Meta(max_length=MAX_VALUE_CHARS)]


class Operator(StrEnum):
    """How an attribute is compared; which ones it takes depends on what it is."""

    EQUAL = "="
    NOT_EQUAL = "!="
    AT_LEAST = ">="
    AT_MOST = "<="
    MORE = ">"
    LESS = "<"
    CONTAINS = "~"
    OMITS = "!~"
    IN = "in"
    NOT_IN = "not in"
    HAS = "has"
    LACKS = "lacks"


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison.

    Attributes:
        values: one; with ``in`` and ``not in`` any number. Numbers in the attribute's base unit:
            bytes, micro-USDC, thousandths of a core, thousandths of a score, seconds.
    """

    attribute: AttributeName
    operator: Operator
    values: Annotated[tuple[Number | Phrase, ...], Meta(min_length=1, max_length=MAX_VALUES)]


@dataclass(frozen=True, slots=True)
class Clause:
    """Alternatives: it is met when one of them is."""

    alternatives: Annotated[tuple[Condition, ...], Meta(min_length=1, max_length=MAX_ALTERNATIVES)]


# Every clause has to be met: a conjunctive normal form.
Where = Annotated[tuple[Clause, ...], Meta(max_length=MAX_CLAUSES)]
