"""``/account/limits``: how much an account lets itself spend, and how many requests it may send."""

import time
from decimal import Decimal
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from msgspec import Meta, Struct
from starlette.responses import Response

from neurogrid_marketplace.money import format_usdc

from ...server.request_rules import RequestRules
from ...services.budgets import Budgets, next_month_ms
from ...store.account_limits import AccountLimits
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, success
from ..openapi import Schemas, errors
from ..paths import API
from .amounts import micro_usdc
from .schemas import Amount, Time

_EXAMPLE = {"monthly_budget": "100.00", "monthly_tasks": 1000, "task_budget": "5.00"}
_TasksMax = Annotated[int, Meta(ge=0, le=10**9)]


class AccountLimitsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits that the account sets itself; null or left out: none. They replace those before."""

    monthly_budget: Decimal | None = None
    monthly_tasks: _TasksMax | None = None
    task_budget: Decimal | None = None


class UsedView(Struct, frozen=True):
    """What of it is used in this month: ``budget`` is spent, or promised to tasks that have not ended."""

    tasks: int
    budget: Amount
    until: Annotated[Time, Meta(description="The month's end, when it begins anew.")]


class AccountLimitsView(Struct, frozen=True):
    """What the account may do. ``monthly_*`` and ``task_budget`` are its own to set."""

    tier: str
    requests_per_minute: Annotated[int | None, Meta(description="null: no limit.")]
    monthly_budget: Amount | None
    monthly_tasks: int | None
    task_budget: Annotated[Amount | None, Meta(description="What one task may cost at most.")]
    used: UsedView


def add_account_limit_routes(
    app: FastAPI, budgets: Budgets, rules: RequestRules, gate: Gate, schemas: Schemas
) -> None:
    """Add the routes."""

    @app.get(
        f"{API}/account/limits",
        tags=["Account"],
        summary="Show your limits",
        response_class=Response,
        responses={
            200: schemas.answer(AccountLimitsView, "With what of them is used."),
            **errors("UNAUTHORIZED", "KEY_EXPIRED", "FORBIDDEN", "RATE_LIMITED"),
        },
    )
    async def get_account_limits(caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Months are UTC's."""
        return await show(caller, await budgets.get(caller.account))

    @app.put(
        f"{API}/account/limits",
        tags=["Account"],
        summary="Limit what your account spends",
        response_class=Response,
        responses={
            200: schemas.answer(AccountLimitsView, "They hold from the next submission on."),
            **errors(
                "INVALID_REQUEST",
                "UNAUTHORIZED",
                "KEY_EXPIRED",
                "FORBIDDEN",
                "PAYLOAD_TOO_LARGE",
                "RATE_LIMITED",
            ),
        },
        openapi_extra=schemas.body(AccountLimitsRequest, _EXAMPLE),
    )
    async def put_account_limits(
        request: Request, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """A submission that could cost more is refused with `QUOTA_EXCEEDED`; tasks that are there go on.
        What counts is the cost of the tasks that have ended in the month, and the most that all others may
        still cost."""
        body = await read_json(request, AccountLimitsRequest)
        wanted = AccountLimits(
            caller.account.id,
            monthly_budget_micro_usdc=_micro(body.monthly_budget, "monthly_budget"),
            monthly_tasks=body.monthly_tasks,
            task_budget_micro_usdc=_micro(body.task_budget, "task_budget"),
        )
        return await show(caller, await budgets.set(caller.account, wanted))

    async def show(caller: Caller, limits: AccountLimits) -> Response:
        tasks, spent = await budgets.used(caller.account)
        now_ms = time.time_ns() // 1_000_000
        return success(
            AccountLimitsView(
                tier=limits.tier or rules.default_tier,
                requests_per_minute=rules.per_minute(limits.tier) or None,
                monthly_budget=_amount(limits.monthly_budget_micro_usdc),
                monthly_tasks=limits.monthly_tasks,
                task_budget=_amount(limits.task_budget_micro_usdc),
                used=UsedView(tasks, format_usdc(spent), iso(next_month_ms(now_ms))),
            )
        )


def _micro(amount: Decimal | None, field: str) -> int | None:
    return None if amount is None else micro_usdc(amount, field)


def _amount(micro: int | None) -> str | None:
    return None if micro is None else format_usdc(micro)
