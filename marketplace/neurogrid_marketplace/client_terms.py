"""A client's conditions, as the machine that is asked judges them. Pure.

A bid signs the demand, and with it the conditions: what a machine does not meet, or does not understand, is declined.
"""

from .attributes import NODE, NodeFacts
from .bid import DeclineCode
from .condition_checks import checked
from .condition_text import write_clause
from .errors import InvalidValue
from .fields import MAX_TEXT_CHARS
from .judgement import met_by_node, node_can_judge, shortfall


def unmet(facts: NodeFacts) -> tuple[DeclineCode, str] | None:
    """Why a demand's conditions forbid a bid, as code and words; None if they do not.

    Args:
        facts: the machine, as the demand sees it.
    """
    try:
        checked(facts.demand.where, NODE)
    except InvalidValue as error:
        return DeclineCode.UNKNOWN_CONDITION, str(error)[:MAX_TEXT_CHARS]
    for clause in facts.demand.where:
        if node_can_judge(clause) and not met_by_node(clause, facts):
            said = f"{write_clause(clause, NODE)}: {shortfall(clause, facts)}"
            return DeclineCode.DOES_NOT_FIT, said[:MAX_TEXT_CHARS]
    return None
