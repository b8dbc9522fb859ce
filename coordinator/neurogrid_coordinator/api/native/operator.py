"""``/operator``: the whole coordinator, for keys that act as its operator."""

from typing import Annotated

from fastapi import Depends, FastAPI, Query
from starlette.responses import Response

from ...services.directory_of_accounts import LIST_MAX, DirectoryOfAccounts
from ..auth import Caller, Gate
from ..envelope import iso, success
from ..openapi import Schemas, errors
from ..paths import API
from .account_schemas import AccountListView, AccountSummary


def add_operator_routes(
    app: FastAPI, directory: DirectoryOfAccounts, gate: Gate, schemas: Schemas
) -> None:
    """Add the routes."""

    @app.get(
        f"{API}/operator/accounts",
        tags=["Operator"],
        summary="List all accounts",
        response_class=Response,
        responses={
            200: schemas.answer(AccountListView, "Oldest first."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "KEY_EXPIRED", "FORBIDDEN", "RATE_LIMITED"),
        },
    )
    async def list_accounts(
        _: Annotated[Caller, Depends(gate.for_operators)],
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Needs the role `operator`, which `neurogrid-coordinator account roles` gives."""
        found, total = await directory.list(limit=limit, offset=offset)
        views = [
            AccountSummary(
                account.id,
                account.name,
                account.wallet,
                list(account.roles),
                iso(account.created_at_ms),
            )
            for account in found
        ]
        return success(AccountListView(views, total, limit, offset))
