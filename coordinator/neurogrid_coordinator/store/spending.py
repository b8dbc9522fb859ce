"""What an account has spent, and what its tasks may still cost."""

from sqlalchemy import Connection, func, select

from neurogrid_marketplace.settlement import SettlementPhase
from neurogrid_marketplace.task import TERMINAL

from . import leases
from .tables import account_holds, tasks
from .tables import leases as lease_rows

_TERMINAL = [phase.value for phase in TERMINAL]


def committed_micro_usdc(conn: Connection, account_id: str, since_ms: int) -> int:
    """The cost of the tasks that have ended since, and the most that all others may still cost.

    All of it is read from the books in one transaction: what moves from one part to another is counted in both
    rather than in none.
    """
    mine = tasks.c.account_id == account_id
    ended = conn.scalar(
        select(func.coalesce(func.sum(tasks.c.cost_micro_usdc), 0)).where(
            mine, tasks.c.ended_at_ms >= since_ms
        )
    )
    going = conn.scalar(
        select(func.coalesce(func.sum(tasks.c.cost_micro_usdc), 0)).where(
            mine, tasks.c.phase.not_in(_TERMINAL)
        )
    )
    held = conn.scalar(
        select(account_holds.c.held_micro_usdc).where(account_holds.c.account_id == account_id)
    )
    open_leases = conn.scalars(
        select(lease_rows.c.id)
        .join(tasks, tasks.c.id == lease_rows.c.task_id)
        .where(
            mine,
            tasks.c.phase.not_in(_TERMINAL),
            lease_rows.c.settlement_phase == SettlementPhase.OPEN.value,
        )
    ).all()
    escrowed = 0
    for lease_id in open_leases:
        row = leases.get(conn, lease_id)
        assert row is not None, "read a moment ago"
        escrowed += row.settlement.max_cost_micro_usdc
    return int(ended or 0) + int(going or 0) + int(held or 0) + escrowed


def submitted(conn: Connection, account_id: str, since_ms: int) -> int:
    """How many tasks the account has submitted since, deleted ones too; not those that only verify others."""
    return (
        conn.scalar(
            select(func.count())
            .select_from(tasks)
            .where(
                tasks.c.account_id == account_id,
                tasks.c.created_at_ms >= since_ms,
                tasks.c.belongs_to.is_(None),
            )
        )
        or 0
    )
