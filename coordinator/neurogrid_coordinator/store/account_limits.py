"""What each account may ask and spend, where that is not the operator's default."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, insert, select, update

from .prepared import Prepared
from .tables import account_limits

_BY_ACCOUNT = Prepared(
    select(account_limits).where(account_limits.c.account_id == bindparam("the_account"))
)


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """An account's limits.

    Attributes:
        tier: name of a tier of the operator's; "" for the default one.
        monthly_budget_micro_usdc: what its tasks may cost in a month (UTC); None: no limit.
        monthly_tasks: how many tasks it may submit in a month; None: no limit.
        task_budget_micro_usdc: what one task may cost at most; None: no limit.
    """

    account_id: str
    tier: str = ""
    monthly_budget_micro_usdc: int | None = None
    monthly_tasks: int | None = None
    task_budget_micro_usdc: int | None = None

    @property
    def is_monthly(self) -> bool:
        """Whether what the account did in this month counts."""
        return self.monthly_budget_micro_usdc is not None or self.monthly_tasks is not None


def get(conn: Connection, account_id: str) -> AccountLimits:
    """The account's limits; of one that has none of its own, none."""
    row = _BY_ACCOUNT.first(conn, {"the_account": account_id})
    return AccountLimits(*row) if row else AccountLimits(account_id)


def tier_of(conn: Connection, account_id: str) -> str:
    """The account's tier; "" for the default one."""
    return get(conn, account_id).tier


def set_tier(conn: Connection, account_id: str, tier: str) -> None:
    """Give the account a tier; "" for the default one."""
    _save(conn, replace(get(conn, account_id), tier=tier))


def set_budget(conn: Connection, limits: AccountLimits) -> None:
    """Store the account's budget; its tier stays."""
    _save(conn, replace(limits, tier=tier_of(conn, limits.account_id)))


def _save(conn: Connection, limits: AccountLimits) -> None:
    values = {
        "tier": limits.tier,
        "monthly_budget_micro_usdc": limits.monthly_budget_micro_usdc,
        "monthly_tasks": limits.monthly_tasks,
        "task_budget_micro_usdc": limits.task_budget_micro_usdc,
    }
    mine = account_limits.c.account_id == limits.account_id
    changed = conn.execute(update(account_limits).where(mine).values(values))
    if not changed.rowcount:
        conn.execute(insert(account_limits).values(account_id=limits.account_id, **values))
