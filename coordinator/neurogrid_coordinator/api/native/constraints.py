"""Conditions in requests and answers, and ``/constraints``: what they may name."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, FastAPI
from starlette.responses import Response

from neurogrid_marketplace.attributes import NODE, UnknownAttribute
from neurogrid_marketplace.condition_checks import checked
from neurogrid_marketplace.condition_text import ConditionError, read_conditions, write_conditions
from neurogrid_marketplace.conditions import Clause, Where
from neurogrid_marketplace.contradictions import Contradiction, implied, refuse_contradictions
from neurogrid_marketplace.errors import InvalidValue

from ...services.errors import InvalidConstraints
from ...services.submission import Submission
from ..auth import Caller, Gate
from ..envelope import success
from ..openapi import Schemas, errors
from ..paths import API
from .market_schemas import AttributeListView, AttributeView


def read_constraints(given: str | Where, field: str) -> Where:
    """The conditions of a request: a text, or clauses.

    Args:
        field: the path in the request, for errors.

    Raises:
        InvalidConstraints: says where a text is wrong, what was expected, and what may have been meant.
    """
    if not given:
        return ()
    try:
        return read_conditions(given, NODE) if isinstance(given, str) else checked(given, NODE)
    except ConditionError as error:
        raise InvalidConstraints(
            f"{field}: {error}",
            field,
            position=error.position,
            expected=error.expected,
            nearest=list(error.nearest),
            attributes=list(NODE.names),
        ) from error
    except UnknownAttribute as error:
        raise InvalidConstraints(
            f"{field}: {error}", field, nearest=list(error.nearest), attributes=list(NODE.names)
        ) from error
    except InvalidValue as error:
        raise InvalidConstraints(f"{field}: {error}", field) from error


def require_possible(wanted: Submission, field: str) -> None:
    """Refuse conditions that can never hold, together or with what the job needs and may cost.

    Raises:
        InvalidConstraints: names the conditions that are at fault.
    """
    needs = implied(wanted.requirements, wanted.price_micro_usdc_per_hour())
    try:
        refuse_contradictions((*wanted.where, *needs), NODE)
    except Contradiction as error:
        texts = [text_of((clause,)) for clause in error.clauses]
        follows = any(clause in needs and clause not in wanted.where for clause in error.clauses)
        because = " (some of it is what the job needs or may cost)" if follows else ""
        raise InvalidConstraints(
            f"{field}: {error}: {' and '.join(texts)}{because}", field, clauses=list(texts)
        ) from error


def text_of(where: Sequence[Clause]) -> str:
    """Conditions as people write them."""
    return write_conditions(tuple(where), NODE)


def add_constraint_route(app: FastAPI, gate: Gate, schemas: Schemas) -> None:
    """Add the route."""

    @app.get(
        f"{API}/constraints",
        tags=["Nodes"],
        summary="List what constraints may name",
        response_class=Response,
        responses={
            200: schemas.answer(AttributeListView, "In a fixed order."),
            **errors("UNAUTHORIZED", "RATE_LIMITED"),
        },
    )
    async def list_attributes(_: Annotated[Caller, Depends(gate.for_everybody)]) -> Response:
        """What the `constraints` of a task may name, how it compares, and its units."""
        views = [
            AttributeView(
                name=each.name,
                about=each.subject.value,
                type=each.kind.name,
                operators=[known.value for known in each.kind.sorted_operators],
                units=[unit for unit in each.kind.units if unit],
                base_unit=each.kind.base_unit,
                example=each.example,
                meaning=each.meaning,
            )
            for each in NODE
        ]
        return success(AttributeListView(views))
