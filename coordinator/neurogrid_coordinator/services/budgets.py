"""What an account lets itself spend: checked where money is held, in the transaction that holds it."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from neurogrid_marketplace.money import format_usdc

from ..store import account_limits, spending
from ..store.account_limits import AccountLimits
from ..store.accounts import Account
from ..store.database import Database, TakesLong
from .errors import MonthExhausted, QuotaExceeded


def month_start_ms(now_ms: int) -> int:
    """The first moment of the month, UTC."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return round(start.timestamp() * 1000)


def next_month_ms(now_ms: int) -> int:
    """The first moment of the next month, UTC."""
    # 31 days after the first of any month are in the next one, or are its first moment.
    return month_start_ms(month_start_ms(now_ms) + 31 * 86_400_000)


def require_within(
    conn: Connection,
    account: Account,
    costs_micro_usdc: Sequence[int],
    now_ms: int,
    *,
    brief: bool = False,
) -> None:
    """Refuse tasks that could cost more than the account lets itself spend.

    Args:
        costs_micro_usdc: the most that each could cost.
        brief: do not add up what the account spent in this month.

    Raises:
        QuotaExceeded: names the limit.
        TakesLong: that has to be added up.
    """
    limits = account_limits.get(conn, account.id)
    if brief and limits.is_monthly:
        raise TakesLong
    _require_task(limits, max(costs_micro_usdc, default=0))
    if not limits.is_monthly:
        return
    since_ms = month_start_ms(now_ms)
    if limits.monthly_tasks is not None:
        there = spending.submitted(conn, account.id, since_ms)
        if there + len(costs_micro_usdc) > limits.monthly_tasks:
            raise MonthExhausted(
                f"your account's limit is {limits.monthly_tasks} tasks a month, and {there} were submitted in "
                "this one. Raise it with PUT /api/v1/account/limits",
                {"limit": "monthly_tasks", "allowed": limits.monthly_tasks, "used": there},
            )
    _require_month(conn, limits, sum(costs_micro_usdc), 0, since_ms)


def require_raise_within(
    conn: Connection,
    account: Account,
    before_micro_usdc: int,
    after_micro_usdc: int,
    now_ms: int,
) -> None:
    """As `require_within`, of a task that is there and could cost more than before.

    Raises:
        QuotaExceeded: names the limit.
    """
    limits = account_limits.get(conn, account.id)
    _require_task(limits, after_micro_usdc)
    _require_month(conn, limits, after_micro_usdc, before_micro_usdc, month_start_ms(now_ms))


def _require_task(limits: AccountLimits, cost_micro_usdc: int) -> None:
    most = limits.task_budget_micro_usdc
    if most is not None and cost_micro_usdc > most:
        allowed, needed = format_usdc(most), format_usdc(cost_micro_usdc)
        raise QuotaExceeded(
            f"this task may cost up to {needed} USDC, and your account's limit for one is "
            f"{allowed} USDC. Lower max_price_per_hour, timeout_seconds or max_total_cost, or "
            "raise the limit with PUT /api/v1/account/limits",
            {"limit": "task_budget", "allowed": allowed, "needed": needed},
        )


def _require_month(
    conn: Connection,
    limits: AccountLimits,
    needed_micro_usdc: int,
    counted_micro_usdc: int,
    since_ms: int,
) -> None:
    """``counted``: of what is needed, how much is promised already."""
    if limits.monthly_budget_micro_usdc is None:
        return
    used = spending.committed_micro_usdc(conn, limits.account_id, since_ms) - counted_micro_usdc
    if used + needed_micro_usdc > limits.monthly_budget_micro_usdc:
        allowed = format_usdc(limits.monthly_budget_micro_usdc)
        needed = format_usdc(needed_micro_usdc)
        raise MonthExhausted(
            f"this may cost up to {needed} USDC; your account's limit is {allowed} USDC a "
            f"month, of which {format_usdc(used)} are spent or promised to tasks that have not ended. Raise "
            "it with PUT /api/v1/account/limits",
            {
                "limit": "monthly_budget",
                "allowed": allowed,
                "used": format_usdc(used),
                "needed": needed,
            },
        )


class Budgets:
    """An account's own limits."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, account: Account) -> AccountLimits:
        """The account's limits."""
        return await self._database.read(account_limits.get, account.id)

    async def set(self, account: Account, wanted: AccountLimits) -> AccountLimits:
        """Have these limits from now on, in place of all earlier ones; the tier is the operator's."""

        def save(conn: Connection) -> AccountLimits:
            account_limits.set_budget(conn, replace(wanted, account_id=account.id))
            return account_limits.get(conn, account.id)

        return await self._database.write(save)

    async def used(self, account: Account) -> tuple[int, int]:
        """Tasks submitted, and micro-USDC spent or promised, in this month."""
        since_ms = month_start_ms(time.time_ns() // 1_000_000)

        def read(conn: Connection) -> tuple[int, int]:
            return (
                spending.submitted(conn, account.id, since_ms),
                spending.committed_micro_usdc(conn, account.id, since_ms),
            )

        return await self._database.read(read)
