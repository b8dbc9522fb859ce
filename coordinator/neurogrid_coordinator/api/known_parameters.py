"""Refuses what a route has no parameter of."""

from fastapi import Request

from ..services.errors import InvalidRequest


def known_parameters(request: Request) -> None:
    """A dependency of routes that filter: a misspelt filter would be answered with everything.

    Raises:
        InvalidRequest: the query has a parameter that the route does not; names it, and those that there are.
    """
    known = {field.alias for field in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        if name not in known:
            there = ", ".join(sorted(known))
            raise InvalidRequest(f"{name[:64]}: is no parameter here; there are {there}", name[:64])
