"""Conditions at the node: the owner's on tasks and clients, and a client's on this machine. Pure.

A bid signs the demand, and with it the client's conditions: what this machine does not meet, or
does not understand, is declined.
"""

from neurogrid_marketplace.attributes import TASK, NodeFacts
from neurogrid_marketplace.bid import DeclineCode
from neurogrid_marketplace.client_terms import unmet
from neurogrid_marketplace.condition_text import read_conditions, write_clause
from neurogrid_marketplace.conditions import Clause
from neurogrid_marketplace.contradictions import Contradiction, refuse_contradictions
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.fields import MAX_TEXT_CHARS
from neurogrid_marketplace.judgement import met, shortfall_of_task


def read_own(text: str) -> tuple[Clause, ...]:
    """The owner's conditions on tasks and clients, as they are written in node.toml.

    Raises:
        InvalidValue: says where it is wrong, or what can never hold.
    """
    clauses = read_conditions(text, TASK)
    try:
        refuse_contradictions(clauses, TASK)
    except Contradiction as error:
        texts = " and ".join(write_clause(clause, TASK) for clause in error.clauses)
        raise InvalidValue(f"{error}: {texts}") from error
    return clauses


def refusal(facts: NodeFacts, own: tuple[Clause, ...]) -> tuple[DeclineCode, str] | None:
    """Why a demand's or the owner's conditions forbid a bid; None if they do not.

    Args:
        facts: this machine, as the demand sees it.
        own: the owner's conditions.
    """
    for clause in own:
        if not met(clause, TASK, facts.demand):
            said = f"{write_clause(clause, TASK)}: {shortfall_of_task(clause, facts.demand)}"
            return DeclineCode.CONDITION_UNMET, said[:MAX_TEXT_CHARS]
    return unmet(facts)
